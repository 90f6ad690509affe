"""Answer the questions of an evaluation folder with the evidence engine and write its predictions.

usage: python -m benchmarks.evals FOLDER... [-o DIR]

FOLDER holds corpus/ and questions.jsonl ({"id", "question"} a line). Writes DIR/<folder name>.jsonl, a line an answer:
{id, answer, citations: [{path, line_start, line_end, page, quote}], abstained, seconds}. One line of figures each on
stdout. It scores nothing: gold answers are never read.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import longctx
from longctx.api import OpenCorpus
from longctx.citations import Citation


def main() -> None:
    """Answer every folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/evals"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for folder in args.folders:
        print(answer_folder(folder, args.output / f"{folder.name}.jsonl"))


def answer_folder(folder: Path, output: Path) -> str:
    """Write the predictions for one folder and say how long they took."""
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    begun = time.process_time()
    with longctx.open(folder / "corpus") as corpus, output.open("w", encoding="utf-8") as lines:
        opened = time.process_time()
        for row in questions:
            lines.write(json.dumps(predict(corpus, row), ensure_ascii=False) + "\n")
    each = (time.process_time() - opened) / max(1, len(questions))
    reading = opened - begun
    return f"{folder.name}: {len(questions)} questions, {reading:.2f} CPU s reading, {each:.3f} a question -> {output}"


def predict(corpus: OpenCorpus, row: dict[str, str]) -> dict[str, Any]:
    """One prediction; a question that is declined keeps no citations."""
    begun = time.process_time()
    answer = corpus.ask(row["question"])
    return {
        "id": row["id"],
        "answer": answer.answer_markdown,
        "citations": [cited(citation) for citation in answer.citations],
        "abstained": not answer.found,
        "seconds": round(time.process_time() - begun, 4),
    }


def cited(citation: Citation) -> dict[str, Any]:
    """A citation as the scorer reads it."""
    first, last = citation.lines or (None, None)
    return {
        "path": citation.path,
        "page": citation.page,
        "line_start": first,
        "line_end": last,
        "quote": citation.quote,
    }


if __name__ == "__main__":
    main()
