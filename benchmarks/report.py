"""What `longctx report` costs over a large corpus: CPU seconds a question, and the peak of memory.

    python -m benchmarks.report FOLDER [--questions 50] [--tokens 1_000_000] [--rounds 3]

The corpus is as many of FOLDER's Python files, in order, as hold so many tokens; the questions ask for functions
spread evenly over it, and quotes answer them, so that no model's time is in the figures. Each round reads all of it
with a home of its own and one question (cold), then asks one question, all of them, and all of them again once they
are answered; every run is a command of its own and writes all forms of the report. A question costs what the run with
all of them spent more than that with one. The figures are medians; CPU seconds hold those of all children.
"""

import argparse
import ast
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.process import Cost, checked

BUDGET_CPU_S = 0.3
CHARS_A_TOKEN = 3.6  # of Python source, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        corpus = work / "corpus"
        names = copied(options.folder, corpus, int(options.tokens * CHARS_A_TOKEN))
        asked = questions(names, options.questions)
        (work / "one.txt").write_text(asked[0] + "\n")
        (work / "all.txt").write_text("\n".join(asked) + "\n")
        rounds = [measured(work, number) for number in range(options.rounds)]
        size = json.loads((work / "round0/all/report.json").read_bytes())["corpus"]
    table(rounds, len(asked), size)


def copied(source: Path, target: Path, chars: int) -> list[str]:
    """Copy files until they hold so many characters; the names of their functions, in order."""
    names: list[str] = []
    for path in sorted(source.rglob("*.py")):
        content = path.read_bytes()
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        names += functions(content)
        chars -= len(content)
        if chars <= 0:
            break
    return names


def functions(content: bytes) -> Iterator[str]:
    """The names of a file's public functions."""
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith(("_", "test_")):
            yield node.name


def questions(names: list[str], count: int) -> list[str]:
    """Questions for functions spread evenly over those there are."""
    distinct = list(dict.fromkeys(names))
    step = max(1, len(distinct) // count)
    return [f"What does {name} return, and of what?" for name in distinct[::step][:count]]


def measured(work: Path, number: int) -> dict[str, Cost]:
    """The four runs of a round, in order."""
    folder = work / f"round{number}"
    runs = {
        "read, index, 1 question": ("one.txt", "cold"),
        "1 question": ("one.txt", "one"),
        "all questions": ("all.txt", "all"),
        "all once more": ("all.txt", "all"),
    }
    return {name: report(work, folder, *run) for name, run in runs.items()}


def report(work: Path, folder: Path, manifest: str, out: str) -> Cost:
    """One run of the command."""
    command = [sys.executable, "-m", "longctx", "report", str(work / manifest), "--corpus", str(work / "corpus")]
    command += ["-o", str(folder / out), "--engine", "evidence", "--quiet"]
    environment = {"LONGCTX_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    return checked(command, env=environment)


def table(rounds: list[dict[str, Cost]], count: int, size: dict[str, int]) -> None:
    """A line for each run, then what a question costs."""
    print(f"{size['tokens']:,} tokens in {size['files']:,} files, {count} questions; medians of {len(rounds)}")
    for name in rounds[0]:
        cpu_s = [each[name].cpu_s for each in rounds]
        rss_mb = statistics.median(each[name].rss_mb for each in rounds)
        spread = f"{min(cpu_s):.2f}-{max(cpu_s):.2f}"
        print(f"{name:<26} {statistics.median(cpu_s):7.2f} CPU s ({spread})  {rss_mb:5.0f} MB")
    each_s = [(run["all questions"].cpu_s - run["1 question"].cpu_s) / (count - 1) for run in rounds]
    cost = statistics.median(each_s)
    verdict = "within" if cost <= BUDGET_CPU_S else "OVER"
    print(f"{'a question':<26} {cost:7.3f} CPU s, {verdict} the budget of {BUDGET_CPU_S}")


if __name__ == "__main__":
    main()
