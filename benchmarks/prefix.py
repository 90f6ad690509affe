"""How much of the prompt stays the same from its start when a repository changes, against other packers.

    python -m benchmarks.prefix REPOSITORY [--rivals FOLDER]

What stays the same from the start is what an engine's prefix cache can use again. Each change begins from a fresh
copy; the share is counted in Llama 4 tokens of the prompt before the change.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingest import middling_file, rival_commands
from benchmarks.process import checked, measure
from longctx.tokens import Tokenizer

TOKENIZER = Tokenizer()
Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Packer:
    """A tool that writes a prompt: given the repository and a folder to work in, the prompt's ids."""

    name: str
    pack: Callable[[Path, Path], Ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--rivals", type=Path, action="append", default=[])
    options = parser.parse_args()
    TOKENIZER.expect_much()
    print(f"{'change':<28}" + "".join(f"{packer.name:>18}" for packer in packers(options.rivals)))
    for change in (run_again, empty_commit, add_file, edit_file, edit_and_commit):
        shares = [kept(packer, change, options.repository) for packer in packers(options.rivals)]
        print(f"{change.__name__.replace('_', ' '):<28}" + "".join(f"{share:>18.1%}" for share in shares))


def kept(packer: Packer, change: Callable[[Path], None], repository: Path) -> float:
    """The share of the first prompt's tokens that the second begins with."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(repository, copy, symlinks=True)
        before = packer.pack(copy, Path(folder))
        change(copy)
        after = packer.pack(copy, Path(folder))
    return common(before, after) / len(before)


def common(before: Ids, after: Ids) -> int:
    pairs = zip(before, after, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))


def packers(rivals: list[Path]) -> list[Packer]:
    """Ours, and the rivals that are there."""
    found = [Packer("longctx", pack_ours)]
    for name, _ in rival_commands(Path(), Path(), rivals):
        found.append(Packer(name, rival(name, rivals)))
    return found


def pack_ours(repository: Path, work: Path) -> Ids:
    command = [sys.executable, "-P", "-m", "longctx", "pack", str(repository), "--as", "ids", "-q"]
    cost = checked(command, env={"LONGCTX_HOME": str(work / "home")})
    return [token for line in cost.stdout.splitlines() for token in json.loads(line)]


def rival(name: str, rivals: list[Path]) -> Callable[[Path, Path], Ids]:
    def pack(repository: Path, work: Path) -> Ids:
        command = dict(rival_commands(repository, work, rivals))[name]
        measure(command, cwd=work)
        return TOKENIZER.encode((work / "rival.txt").read_text("utf-8", "replace"))

    return pack


def git(repository: Path, *words: str) -> None:
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", *who, *words], cwd=repository, check=True, capture_output=True, env=dict(os.environ))


def run_again(repository: Path) -> None:
    """No change at all."""


def empty_commit(repository: Path) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")


def add_file(repository: Path) -> None:
    (repository / "aaa_first_by_name.py").write_text("def added() -> None:\n    pass\n")


def edit_file(repository: Path) -> None:
    path = middling_file(repository)
    path.write_text(f"{path.read_text()}\n# edited\n")


def edit_and_commit(repository: Path) -> None:
    edit_file(repository)
    git(repository, "commit", "-qam", "edited")


if __name__ == "__main__":
    main()
