"""`longctx ask`: questions over sources, answered with checked citations."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.options import OUTPUT, Chosen, with_corpus_options
from longctx.commands.output import open_output, stdout_is_terminal
from longctx.errors import EngineError, UsageError

if TYPE_CHECKING:
    from longctx.answer import Answer
    from longctx.corpus import Corpus


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the name a batch gives it."""

    text: str
    id: str | None = None


@with_corpus_options
def ask(
    chosen: Chosen,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH... QUESTION", help="What to read and, last, the question.", show_default=False),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The question; all words are then paths.", show_default=False),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='One question a line, plain or {"id","question"}; writes one JSON answer a line.',
            show_default=False,
        ),
    ] = None,
    quotes: Annotated[int, typer.Option(min=1, max=50, help="At most so many quotes.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write events, one JSON value a line.", rich_help_panel=OUTPUT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to FILE.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Answer a question by quoting the sources, with checked citations.

    longctx ask ./repo "where is the lock taken?"

    git ls-files '*.py' | longctx ask --from-file - "who calls connect()?"

    longctx ask ./papers --questions questions.txt > answers.jsonl
    """
    from longctx import analysis

    _check_engine(chosen.settings().engine)
    inputs, asked = _inputs_and_questions(words or [], question, questions)
    with chosen.corpus(inputs) as (corpus, narrator), open_output(output) as stream:
        answers = (analysis.ask(corpus, each.text, limit=quotes, question_id=each.id) for each in asked)
        if questions is not None or as_jsonl:
            for line in _lines(answers, corpus, events=as_jsonl):
                stream.write(json.dumps(line) + "\n")
                stream.flush()
            return
        answer = next(answers)
        if as_json:
            stream.write(json.dumps(_json(answer), indent=2) + "\n")
        elif output is None and stdout_is_terminal():
            _print(answer, corpus, chosen.settings().color)
        else:
            from longctx.terminal import plain_answer

            stream.write(plain_answer(answer))
        if not as_json:
            narrator.say(answer.notice)


def _check_engine(engine: str) -> None:
    if engine not in ("evidence", "auto"):
        raise EngineError(f"the engine {engine!r} is not part of this version", "longctx config show says who set it")


def _print(answer: "Answer", corpus: "Corpus", color: str) -> None:
    from longctx.terminal import print_answer

    print_answer(answer, corpus.location, color)


def _json(answer: "Answer") -> dict[str, Any]:
    from longctx.answer import to_json

    return to_json(answer)


def _lines(answers: "Iterator[Answer]", corpus: "Corpus", *, events: bool) -> Iterator[dict[str, Any]]:
    """Each answer as one JSON value; as events, the citations come before the result that holds them."""
    from longctx.answer import corpus_json, summarise

    if events:
        yield {"event": "corpus", **corpus_json(summarise(corpus.record.id, corpus.files))}
    for answer in answers:
        fields = _json(answer)
        if events:
            yield from ({"event": "citation", **citation} for citation in fields["citations"])
            fields = {"event": "result", **fields}
        yield fields


def _inputs_and_questions(
    words: list[str], question: str | None, questions: Path | None
) -> tuple[list[str], list[Asked]]:
    if question is not None and questions is not None:
        raise UsageError("--question and --questions exclude each other", "put the question into the file")
    if questions is not None:
        return words, _read_questions(questions)
    if question is not None:
        return words, [Asked(question)]
    if not words:
        raise UsageError("no question", 'longctx ask PATH... "the question"')
    *inputs, last = words
    if os.path.exists(last) and not any(map(os.path.exists, inputs)):
        raise UsageError(f"{last} is a path, not a question", 'the question comes last: longctx ask PATH... "…"')
    if not last.strip():
        raise UsageError("the question is empty", 'longctx ask PATH... "the question"')
    if len(inputs) > 1 and not any(map(os.path.exists, inputs[1:])) and " " not in last:
        raise UsageError(f"no such file or folder: {inputs[1]}", "put the question in quotes")
    return inputs, [Asked(last)]


def _read_questions(path: Path) -> list[Asked]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "give a UTF-8 file with one question a line") from error
    asked = [_asked(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not asked:
        raise UsageError(f"{path}: no questions in it", "write one question a line")
    return asked


def _asked(path: Path, number: int, line: str) -> Asked:
    """A line of a questions file: JSON where it begins with a brace, else the question itself."""
    if not line.lstrip().startswith("{"):
        return Asked(line.strip(), str(number))
    try:
        row = json.loads(line)
        return Asked(str(row["question"]), str(row.get("id", number)))
    except (ValueError, KeyError) as error:
        raise UsageError(f'{path}:{number}: not {{"id", "question"}}: {error}', "mend that line") from error
