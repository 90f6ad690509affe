"""Cost of ingest against its floor and its rivals, side by side in one run.

    python -m benchmarks.ingest REPOSITORY [--rounds 3] [--rivals FOLDER]

The floor is the least that anyone must do to count exact tokens of a repository: `git ls-files`, read, tiktoken.
Rivals are run where they are found in FOLDER (a virtual environment's bin, or node_modules/.bin). Tools take turns;
each figure is the median over the rounds of CPU seconds, children included. The repository is copied first, so that
one file of it can be edited.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.process import Cost, checked, measure

FLOOR = """
import subprocess, sys
from longctx.vocabulary import SPLIT_PATTERN, llama4
import tiktoken
encoding = tiktoken.Encoding('llama4', pat_str=SPLIT_PATTERN, mergeable_ranks=llama4().ranks(), special_tokens={})
names = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '-z'], capture_output=True, check=True).stdout
total = 0
for name in names.split(b'\\0')[:-1]:
    with open(name, 'rb') as file:
        content = file.read()
    try:
        total += len(encoding.encode_ordinary(content.decode()))
    except UnicodeDecodeError:
        pass
print(total)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals", type=Path, action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        copy = work / "repository"
        shutil.copytree(options.repository, copy, symlinks=True)
        costs = run(copy, work, options.rounds, options.rivals)
    report(costs)


def run(repository: Path, work: Path, rounds: int, rivals: list[Path]) -> dict[str, list[Cost]]:
    """Every tool once a round, in turn."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for number in range(rounds):
        costs["floor: git + read + tiktoken"].append(checked([sys.executable, "-c", FLOOR], cwd=repository))
        for name, cost in ours(repository, work / f"home{number}", number):
            costs[name].append(cost)
        for name, command in rival_commands(repository, work, rivals):
            costs[name].append(measure(command, cwd=work))
    return costs


def ours(repository: Path, home: Path, number: int) -> Iterator[tuple[str, Cost]]:
    """Cold, with index, warm, and with one file edited; each round begins with empty stores."""
    environ = {"LONGCTX_HOME": str(home)}
    longctx = [sys.executable, "-P", "-m", "longctx"]
    source = str(repository)

    def ingest(*options: str) -> Cost:
        return checked([*longctx, "ingest", source, "-q", *options], env=environ)

    yield "longctx ingest, cold, no index", ingest("--no-index")
    yield "longctx ingest, the index alone", ingest()
    yield "longctx ingest, warm", ingest()
    edited = middling_file(repository)
    edited.write_text(f"{edited.read_text()}\n# edited {number}\n")
    yield "longctx ingest, one file edited", ingest()
    yield "longctx ask, warm", checked([*longctx, "ask", source, "where is this defined?", "-q"], env=environ)
    shutil.rmtree(home)
    yield "longctx ingest, cold, with index", ingest()
    shutil.rmtree(home)


def middling_file(repository: Path) -> Path:
    """A file like those that people edit: the median by size of the Python files between 10 and 50 kB."""
    files = [path for path in repository.rglob("*.py") if 10_000 < path.stat().st_size < 50_000]
    return sorted(files, key=lambda path: (path.stat().st_size, str(path)))[len(files) // 2]


def rival_commands(repository: Path, work: Path, folders: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """The rivals that are there."""
    target, source = str(work / "rival.txt"), str(repository)
    known: dict[str, Callable[[str], list[str]]] = {
        "gitingest": lambda tool: [tool, source, "-o", target],
        "files-to-prompt": lambda tool: [tool, source, "--cxml", "-o", target],
        "repomix": lambda tool: [tool, source, "-o", target],
    }
    for name, command in known.items():
        tool = shutil.which(name, path=os.pathsep.join(map(str, folders)))
        if tool:
            node = shutil.which("node", path=os.pathsep.join(map(str, folders)))
            yield (
                name,
                [node, os.path.realpath(tool), *command(tool)[1:]] if name == "repomix" and node else command(tool),
            )


def report(costs: dict[str, list[Cost]]) -> None:
    """A line a tool: medians, and the ratio to the floor of the same run."""
    floor = statistics.median(cost.cpu_s for cost in next(iter(costs.values())))
    for name, runs in costs.items():
        cpu = statistics.median(cost.cpu_s for cost in runs)
        spread = f"{min(cost.cpu_s for cost in runs):.2f}-{max(cost.cpu_s for cost in runs):.2f}"
        rss = statistics.median(cost.rss_mb for cost in runs)
        failed = "  FAILED" if any(cost.returncode for cost in runs) else ""
        print(f"{name:<34} {cpu:6.2f} CPU s ({spread})  {cpu / floor:5.2f}x floor  {rss:5.0f} MB{failed}")


if __name__ == "__main__":
    main()
