"""That a report which was killed again and again and resumed is the report of a run that nothing disturbed.

    python -m benchmarks.report_proof --sources PATH... [--questions 12] [--kills 10] [--engine evidence]
                                      [--model FOLDER --python PYTHON] [--jobs 1] [--per-document] [--seed 0]
                                      [--keep FOLDER]

One run goes undisturbed. Another, with a home and a folder of its own, is killed (SIGKILL to the process alone) at
moments drawn by chance, the first while the sources are read, the others once it asks again and so many items are
done; after each the same command is given again, and after the last it ends by itself.
Compared are report.json without times, dates and what was cached, evidence.jsonl, report.md without times, and the
pictures; both pages must be what report.json gives. Nothing that the journal has as done may be in it a second time.
It exits with 1 where anything differs.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from longctx.reports.markdown import to_markdown
from longctx.reports.own_folder import OwnFolder
from longctx.reports.page import to_html
from longctx.reports.picture_files import PictureFiles
from longctx.reports.report import from_json

QUESTIONS = (
    "What is this about?",
    "How are errors handled?",
    "Which options are there, and what are their defaults?",
    "What is the version, and who wrote it?",
    "How is it installed and used?",
    "Which limits are named?",
    "What does the example show?",
    "What happens when a timeout is exceeded?",
    "How are headers treated?",
    "Which files or packages are required?",
    "What must a user not do?",
    "How is the output formatted?",
    "What is said about colours and sizes?",
    "How are parameters passed?",
    "What changed in the last version?",
    "What is the licence?",
)
JOURNAL = "run.jsonl"
ITEM, DONE = "item", "done"
ITEM_SIGN = b'"event":"item"'
POLL_S = 0.002
LONGEST_RUN_S = 1800
# What may differ in report.md: dates, times, how often it was begun, and what was cached.
TIMES = re.compile(
    r"^The longest item was .*$|^- (?:begun|written|runs|time|tokens from the cache): .*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is run, in which folder."""

    work: Path
    command: tuple[str, ...]

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """The command over the home and the folder of that name."""
        environment = {**os.environ, "LONGCTX_HOME": str(self.work / f"{name}-home"), "OMP_NUM_THREADS": "1"}
        log = (self.work / f"{name}.log").open("ab")
        with log:
            command = [*self.command, "-o", str(self.work / name)]
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def done(self, name: str) -> int:
        """How many items its journal has by now."""
        path = self.work / name / JOURNAL
        return path.read_bytes().count(ITEM_SIGN) if path.exists() else 0

    def size(self, name: str) -> int:
        """How long its journal is by now."""
        path = self.work / name / JOURNAL
        return path.stat().st_size if path.exists() else 0

    def is_longer(self, name: str, size: int) -> bool:
        """Whether its journal is longer than that: it has begun to ask."""
        return self.size(name) > size

    def has_done(self, name: str, items: int) -> bool:
        """Whether its journal has so many items."""
        return self.done(name) >= items

    def journal(self, name: str) -> list[Mapping[str, Any]]:
        """The whole lines of its journal."""
        path = self.work / name / JOURNAL
        content = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


@dataclass(slots=True)
class Disturbed:
    """What became of the run that was killed: how many items were done each time."""

    kills: list[int] = field(default_factory=list)

    def kill(self, proof: Proof, process: "subprocess.Popen[bytes]") -> None:
        """Kill it unless it has ended."""
        if process.poll() is None:
            process.kill()
            self.kills.append(proof.done("disturbed"))
        process.wait()


def main() -> int:
    options = arguments()
    with folder_of(options.keep) as work:
        manifest = work / "proof.toml"
        manifest.write_text(manifest_of(options), "utf-8")
        engine = ["--engine", options.engine, *(["--model", str(options.model)] if options.model else [])]
        command = [str(options.python), "-m", "longctx", "report", str(manifest), *engine, "--quiet"]
        command += ["--jobs", str(options.jobs)]
        proof = Proof(work=work, command=tuple(command))
        spent_s = undisturbed(proof)
        result = disturbed(proof, options.kills, random.Random(options.seed), spent_s)
        return told(proof, result, spent_s)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--engine", default="evidence")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--per-document", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    return parser.parse_args()


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """A new folder for all of it, which is kept where it was named."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def manifest_of(options: argparse.Namespace) -> str:
    """A manifest over the sources: questions, the last of which refers to the first, and summaries."""
    paths = [str(path.resolve()) for path in options.sources]
    lines = ['title = "Killed and resumed"', "[corpus]", f"paths = {json.dumps(paths)}", "[summary]"]
    lines += [f"per_document = {str(options.per_document).lower()}", 'length = "short"']
    if options.model:
        lines += ["[engine]", "max_tokens = 40", "temperature = 0.0", "seed = 0"]
    for number in range(options.questions):
        text = QUESTIONS[number % len(QUESTIONS)] + (f" ({number})" if number >= len(QUESTIONS) else "")
        lines += ["[[question]]", f'id = "q{number}"', f"text = {json.dumps(text)}"]
    lines += ["[[question]]", 'id = "after"', 'text = "What else is said of this: {{answers.q0}}"']
    return "\n".join(lines) + "\n"


def undisturbed(proof: Proof) -> float:
    """Run to the end; the seconds it took."""
    begun = time.monotonic()
    finished(proof, proof.start("undisturbed"), "undisturbed")
    return time.monotonic() - begun


def finished(proof: Proof, process: "subprocess.Popen[bytes]", name: str) -> None:
    """Wait until it has ended by itself; items that failed are no failure of the proof."""
    if process.wait(LONGEST_RUN_S) not in (0, 7):
        log = (proof.work / f"{name}.log").read_text("utf-8", "replace")
        raise SystemExit(f"{name} exited with {process.returncode}:\n{log[-4000:]}")


def disturbed(proof: Proof, kills: int, draw: random.Random, spent_s: float) -> Disturbed:
    """Begin, kill and begin again; then let it end."""
    secret = Path("data") / "secret"  # from which the tags of the documents are made: windows are cut with them
    (proof.work / "disturbed-home/data").mkdir(parents=True)
    shutil.copy(proof.work / "undisturbed-home" / secret, proof.work / "disturbed-home" / secret)
    result = Disturbed()
    items = proof.done("undisturbed")
    item_s = asked_s(proof) / items
    process = proof.start("disturbed")
    wait(process, draw.random() * 0.8 * (spent_s - asked_s(proof)))
    result.kill(proof, process)
    for moment in sorted(draw.randrange(items) for _ in range(kills - 1)):
        process = proof.start("disturbed")
        if until(process, partial(proof.is_longer, "disturbed", proof.size("disturbed"))):
            until(process, partial(proof.has_done, "disturbed", moment))
            wait(process, draw.random() * item_s)
        result.kill(proof, process)
    finished(proof, proof.start("disturbed"), "disturbed")
    return result


def asked_s(proof: Proof) -> float:
    """How long the undisturbed run asked items."""
    journal = proof.journal("undisturbed")
    return float(journal[-1]["at"] - journal[0]["at"])


def until(process: "subprocess.Popen[bytes]", has_come: Callable[[], bool]) -> bool:
    """Wait for something; False where the run ended before."""
    latest = time.monotonic() + LONGEST_RUN_S
    while process.poll() is None and time.monotonic() < latest:
        if has_come():
            return True
        time.sleep(POLL_S)
    return False


def wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let it go on for so long, or until it ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def is_item(record: Mapping[str, Any]) -> bool:
    """Whether a record of the journal says what became of an item."""
    return record.get("event") == ITEM


def told(proof: Proof, result: Disturbed, spent_s: float) -> int:
    """Print the table; the exit code."""
    one, other = proof.work / "undisturbed", proof.work / "disturbed"
    rows = dict(compared(one, other))
    rows |= {"nothing asked twice": once(proof.journal("undisturbed")) and once(proof.journal("disturbed"))}
    items = json.loads((one / "report.json").read_bytes())["items"]
    evidence = [each for item in items for each in item["evidence"]]
    failed = sum(item["state"] != DONE for item in items)
    print(f"{len(items)} items ({failed} failed), {len(evidence)} citations, {len(names(one / 'pages'))} pictures")
    print(f"undisturbed {spent_s:.1f} s; killed {len(result.kills)} times, with so many items done: {result.kills}")
    for name, is_same in rows.items():
        print(f"{name:<34} {'yes' if is_same else 'NO'}")
    return 0 if all(rows.values()) else 1


def compared(one: Path, other: Path) -> Iterator[tuple[str, bool]]:
    """Each output, and whether it is the same."""
    first, second = (json.loads((each / "report.json").read_bytes()) for each in (one, other))
    yield "report.json is the same", timeless(first) == timeless(second)
    yield "evidence.jsonl is the same", same_bytes(one, other, "evidence.jsonl")
    texts = [TIMES.sub("T", (each / "report.md").read_text("utf-8")) for each in (one, other)]
    yield "report.md is the same", texts[0] == texts[1]
    yield "both pages are of their report.json", is_rendered(one) and is_rendered(other)
    yield "the pictures are the same", same_pictures(one / "pages", other / "pages")


def timeless(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what tells of a run."""
    for item in report["items"]:
        del item["wall_s"]
        if item["answer"]:
            item["answer"]["timing"] = None
            item["answer"]["tokens"].pop("cached", None)
    return {**report, "made": None}


def is_rendered(folder: Path) -> bool:
    """Whether the pages in a folder are those that its report.json gives."""
    report = from_json((folder / "report.json").read_bytes())
    with OwnFolder(folder) as own, PictureFiles(own) as pictures:
        page = to_html(report, pictures.read, {})
    texts = [(folder / name).read_text("utf-8") for name in ("report.md", "report.html")]
    return texts == [to_markdown(report), page]


def same_bytes(one: Path, other: Path, name: str) -> bool:
    return (one / name).read_bytes() == (other / name).read_bytes()


def same_pictures(one: Path, other: Path) -> bool:
    """Whether the pictures that are finished are the same."""
    return names(one) == names(other) and all(same_bytes(one, other, name) for name in names(one))


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.glob("[!.]*.jpg"))


def once(journal: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no item and no step that is done is in a journal a second time."""
    done = Counter(row["key"] for row in journal if is_item(row) and row["state"] == DONE)
    steps = Counter(row["key"] for row in journal if row.get("event") == "step")
    return max([*done.values(), *steps.values()], default=0) == 1


if __name__ == "__main__":
    sys.exit(main())
