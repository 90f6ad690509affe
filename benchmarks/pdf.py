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
    """Both over the files that are wholly read, taking turns so that a busy machine slows both."""
    readable = [content for content in contents if outcome(content)[0] is Status.READ]
    pages = sum(bare(content) for content in readable)
    seconds: dict[str, list[float]] = {"bare": [], "reader": []}
    for _ in range(rounds):
        for name, work in (("bare", bare), ("reader", read)):
            seconds[name].append(cpu_seconds(work, readable))
    spent = {name: median(values) for name, values in seconds.items()}
    for name, value in spent.items():
        print(f"{name:6} {value:7.3f} CPU s  {pages / value:7.0f} pages/CPU s")
    ratios = [a / b for a, b in zip(seconds["bare"], seconds["reader"], strict=True)]
    print(f"ratio  {median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"over   {len(readable)} files, {pages} pages, {rounds} rounds, PyMuPDF {pymupdf.VersionBind}")


def cpu_seconds(work: Callable[[bytes], object], contents: Sequence[bytes]) -> float:
    """What `work` costs over all files."""
    started = process_time()
    for content in contents:
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
