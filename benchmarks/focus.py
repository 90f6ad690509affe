"""Whether what answers a question is in the prompt where only a part of a corpus fits.

usage: python -m benchmarks.focus FOLDER... [--limits 4 8 32000] [--misses]

FOLDER holds corpus/, questions.jsonl and gold.jsonl ({"id", "gold": [{path, line_start, line_end | page}]} a line). A
limit below 1,000 is a part of the corpus: 4 is a quarter of its tokens. A gold place is held where all of its lines,
or of its page, were sent in a piece or in the recap; touched where some were. One line a folder and limit.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.document import Document
from ingest.rules import Selection
from longctx import paths
from longctx.composing import Composed, compose
from longctx.corpus import Corpus
from longctx.manifest import total_tokens
from longctx.refresh import refresh
from longctx.request import Request


@dataclass(frozen=True, slots=True)
class Place:
    """Characters of a text that answer a question."""

    document_id: str
    start: int
    end: int


def main() -> None:
    """Measure every folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limits", nargs="+", type=int, default=[4, 8, 32_000])
    parser.add_argument("--misses", action="store_true", help="name the questions whose gold was not held")
    args = parser.parse_args()
    for folder in args.folders:
        rows = [json.loads(line) for line in (folder / "gold.jsonl").read_text("utf-8").splitlines()]
        answerable = [row for row in rows if row.get("answerable", True)]
        with Corpus(Request((str(folder / "corpus"),), Selection()), paths.locate(os.environ)) as corpus:
            for _ in refresh(corpus):
                pass
            for limit in args.limits:
                print(measured(corpus, folder.name, answerable, limit, misses=args.misses), flush=True)


def measured(corpus: Corpus, name: str, rows: list[dict[str, Any]], limit: int, *, misses: bool) -> str:
    """The figures of one folder at one limit."""
    tokens = total_tokens(corpus.entries)
    at_most = tokens // limit if limit < 1000 else limit
    held, touched, recapped = list[float](), list[bool](), list[float]()
    compose(corpus, "warm up", mode="focus", limit_tokens=at_most)
    begun = time.process_time()
    prompts = [compose(corpus, row["question"], mode="focus", limit_tokens=at_most) for row in rows]
    each = (time.process_time() - begun) / max(1, len(rows))
    for row, composed in zip(rows, prompts, strict=True):
        assert len(composed.prompt.ids) + 1024 <= at_most
        places = list(gold_places(corpus, row["gold"]))
        held.append(any(holds(composed, place) for place in places))
        touched.append(any(touches(composed, place) for place in places))
        recapped.append(sum(len(w) for w in composed.prompt.windows()) / at_most)
        if misses and not held[-1]:
            print(f"  {row['id']}: {row['question']} {row['gold']}")
    used = sum(recapped) / len(recapped)
    share = f"{sum(held) / len(held):.3f} held, {sum(touched) / len(touched):.3f} touched"
    return (
        f"{name}: {tokens:,} tokens, limit {at_most:,}: {share} of {len(rows)}; {used:.0%} used; {each:.3f} CPU s each"
    )


def gold_places(corpus: Corpus, gold: Iterable[dict[str, Any]]) -> Iterable[Place]:
    """The gold places as characters."""
    for each in gold:
        for entry in corpus.entries:
            if any(
                each["path"] in (path, path.partition("/")[2]) or path.endswith("/" + each["path"])
                for path in corpus.paths_of(entry)
            ):
                document = corpus.document(entry)
                yield Place(entry.document_id, *span(document, each))


def span(document: Document, gold: dict[str, Any]) -> tuple[int, int]:
    """A page, or lines without the white space about them."""
    if "page" in gold:
        start, end = next(((p.start, p.end) for p in document.pages if p.number == gold["page"]), (0, 0))
    else:
        lines = document.text.splitlines(keepends=True)
        start = sum(map(len, lines[: gold["line_start"] - 1]))
        end = start + sum(map(len, lines[gold["line_start"] - 1 : gold["line_end"]]))
    text = document.text[start:end]
    return end - len(text.lstrip()), start + len(text.rstrip())


def holds(composed: Composed, place: Place) -> bool:
    """Whether all of a place was sent; what stands between two ranges may be white space."""
    sent = composed.sent.get(place.document_id)
    if sent is None:
        return False
    at = place.start
    for start, end in sent.ranges:
        if start <= at or not sent.document.text[at:start].strip():
            at = max(at, end)
    return at >= place.end


def touches(composed: Composed, place: Place) -> bool:
    """Whether some of a place was sent."""
    sent = composed.sent.get(place.document_id)
    return sent is not None and any(start < place.end and place.start < end for start, end in sent.ranges)


if __name__ == "__main__":
    main()
