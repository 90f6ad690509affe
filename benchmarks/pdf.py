"""Pages per CPU second of the PDF reader against bare `get_text("blocks")`, in turn in one process.

usage: python -m benchmarks.pdf FOLDER [--files 60] [--rounds 5] [--outcomes]
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import pymupdf

from ingest import pdf
from ingest.outcome import ReadFailure, Status


def main() -> None:
    """Measure, or with --outcomes count how each file ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=60, help="at most this many, spread evenly over the folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outcomes", action="store_true")
    arguments = parser.parse_args()
    found = sorted(path for path in arguments.folder.rglob("*") if path.is_file() and is_pdf(path))
    if not found:
        sys.exit(f"no PDF under {arguments.folder}")
    if arguments.outcomes:
        return count_outcomes(found)
    step = max(1, len(found) // arguments.files)
    return compare([path.read_bytes() for path in found[::step][: arguments.files]], arguments.rounds)


def is_pdf(path: Path) -> bool:
    """By content, as the reader judges."""
    with path.open("rb") as file:
        return b"%PDF" in file.read(1024)


def compare(contents: Sequence[bytes], rounds: int) -> None:
    """Both over the files that are wholly read, in turn file by file so that a busy machine slows both alike."""
    readable = [content for content in contents if outcome(content)[0] is Status.READ]
    pages = sum(bare(content) for content in readable)
    spent = {"bare": 0.0, "reader": 0.0}
    for content in readable:
        turns = [(cpu_seconds(bare, content), cpu_seconds(read, content)) for _ in range(rounds)]
        spent["bare"] += median(turn[0] for turn in turns)
        spent["reader"] += median(turn[1] for turn in turns)
    for name, value in spent.items():
        print(f"{name:6} {value:7.3f} CPU s  {pages / value:7.0f} pages/CPU s")
    print(f"ratio  {spent['bare'] / spent['reader']:.3f}")
    print(f"over   {len(readable)} files, {pages} pages; each file's median of {rounds}, PyMuPDF {pymupdf.VersionBind}")


def cpu_seconds(work: Callable[[bytes], object], content: bytes) -> float:
    """What `work` costs on one file."""
    started = process_time()
    work(content)
    return process_time() - started


def bare(content: bytes) -> int:
    """The floor: blocks of every page, kept until the file is done."""
    library: Any = pymupdf
    with library.open(stream=content, filetype="pdf") as document:
        return len([page.get_text("blocks") for page in document])


def read(content: bytes) -> object:
    """The reader as the worker calls it."""
    return pdf.read(content, "benchmark.pdf")


def outcome(content: bytes) -> tuple[Status, str]:
    """How the file ends."""
    try:
        document = pdf.read(content, "benchmark.pdf")
    except ReadFailure as failure:
        return failure.status, failure.detail
    partly = document.metadata.get("partly", "")
    return (Status.PARTLY_READ, partly) if partly else (Status.READ, "")


def count_outcomes(paths: Sequence[Path]) -> None:
    """One line for each file that is not simply read, then the counts and the slowest file."""
    counts: Counter[Status] = Counter()
    slowest = (0.0, "")
    for path in paths:
        started = process_time()
        status, detail = outcome(path.read_bytes())
        slowest = max(slowest, (process_time() - started, path.name))
        counts[status] += 1
        if status is not Status.READ:
            print(f"{path.name}: {status}: {detail}")
    print(f"{len(paths)} files:", ", ".join(f"{number} {status}" for status, number in counts.most_common()))
    print(f"slowest {slowest[0]:.2f} CPU s: {slowest[1]}")


if __name__ == "__main__":
    main()
