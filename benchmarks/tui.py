"""What the terminal UI costs, each figure beside the floor or the rival that it is judged by.

    python -m benchmarks.tui [--rounds 3] [--files 3000] [--only NAME...] [--json]

CPU seconds of the UI's own process, each subject in a process of its own, taking turns; the median over the rounds.
`blocks` opens a folder of generated files through the real backend, asks, and opens a source: the longest that the
event loop was kept by one callback, in CPU seconds of its thread, with Python's garbage collection and without it.
Python collects as it does in `longctx tui`: `left alone` is what it does where nobody waits.
"""

import argparse
import json
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import termios
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROWS, COLUMNS = 40, 120
MOST_S = 0.05  # a frame is blocked no longer
FUNCTIONS = "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(20))


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is measured: what it may take, and what it is judged by."""

    name: str
    subject: str
    most_s: float
    beside: str
    beside_is: str


FIGURES = (
    Figure("first paint", "ours", 0.8, "floor", "floor: an empty app"),
    Figure("stream 9 KB of rich Markdown", "stream", 2.0, "stream_floor", "floor: one Markdown.update"),
    Figure("100,000 lines to the cited one", "source", 0.3, "source_rival", "rival: TextArea.load_text"),
    Figure("20,000 files in the corpus", "corpus", 0.5, "corpus_rival", "rival: Tree, all nodes added"),
)
BLOCKS = "blocks"


@dataclass(frozen=True, slots=True)
class Row:
    """A figure as it was measured: medians, and the least and most of ours."""

    name: str
    cpu_s: float
    least_s: float
    longest_s: float
    most_s: float
    beside_s: float
    beside_is: str


def main() -> None:
    """Measure what is wanted and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=3000, help="in the folder that is read for `blocks`")
    names = [*(figure.subject for figure in FIGURES), BLOCKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measured([figure for figure in FIGURES if figure.subject in options.only], options.rounds)
    found = blocks(options.files) if BLOCKS in options.only else {}
    if options.json:
        print(json.dumps({"figures": [asdict(row) for row in rows], "blocks": found}))
    else:
        report(rows, found)


def measured(figures: Iterable[Figure], rounds: int) -> list[Row]:
    """Every subject and what it stands beside once a round, in turn."""
    wanted, taken = list(figures), defaultdict[str, list[float]](list)
    for _ in range(rounds):
        for figure in wanted:
            for subject in (figure.subject, figure.beside):
                taken[subject].append(float(run(subject)["cpu_s"]))
    return [
        Row(
            name=figure.name,
            cpu_s=statistics.median(taken[figure.subject]),
            least_s=min(taken[figure.subject]),
            longest_s=max(taken[figure.subject]),
            most_s=figure.most_s,
            beside_s=statistics.median(taken[figure.beside]),
            beside_is=figure.beside_is,
        )
        for figure in wanted
    ]


def run(subject: str, *given: str) -> dict[str, Any]:
    """What a subject says it took."""
    module = "benchmarks.tui_paint" if subject in ("ours", "floor") else "benchmarks.tui_subject"
    said = on_terminal([sys.executable, "-m", module, subject, *given])
    last = said.rstrip().rpartition("\n")[2]
    try:
        result: dict[str, Any] = json.loads(last[last.index("{") :])
    except ValueError:
        raise SystemExit(f"{subject} did not say what it took:\n{said[-2000:]}") from None
    return result


def on_terminal(command: list[str]) -> str:
    """Run a command on a terminal of its own, which takes all that is drawn; what it drew and said."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    said = bytearray()
    while select.select([ours], [], [], 600)[0]:
        try:
            said += os.read(ours, 1 << 16)
        except OSError:  # the terminal's last user has gone
            break
    os.close(ours)
    process.wait()
    return said.decode("utf-8", "replace")


def blocks(files: int) -> dict[str, Any]:
    """The longest blocks of the event loop by phase, ours and those of Textual's own widgets."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        for n in range(files):
            file = corpus / f"package{n % 60}" / f"module{n}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'"""Module {n}."""\n\n{FUNCTIONS}')
        home = str(Path(folder) / "home")
        return {"ours": run("loop", str(corpus), home), "floor": run("loop_floor", str(corpus), home)}


def report(rows: Iterable[Row], found: dict[str, Any]) -> None:
    """A line a figure, then the blocks by phase."""
    for row in rows:
        verdict = "" if row.cpu_s <= row.most_s else "  OVER"
        spread = f"({row.least_s:.2f}-{row.longest_s:.2f})"
        print(
            f"{row.name:<32} {row.cpu_s:5.2f} CPU s {spread:<12} of {row.most_s:.1f}"
            f"   {row.beside_s:5.2f} {row.beside_is}{verdict}"
        )
    for whose, phases in found.items():
        what = "event loop" if whose == "ours" else "floor: Textual's widgets"
        for phase, told in phases.items():
            longest, own = told["longest_s"] * 1000, told["without_garbage_s"] * 1000
            verdict = f"  {told['over']} OVER" if told["over"] else ""
            print(f"{what}, {phase:<14} longest {longest:4.0f} ms, {own:4.0f} without garbage{verdict}")


if __name__ == "__main__":
    main()
