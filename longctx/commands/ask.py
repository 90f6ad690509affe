"""`longctx ask`: questions over sources, answered with checked citations."""

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from longctx.commands.dialogues import Opened, open_dialogue, write_end
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import LastFace, LinesFace, Progress, TextFace, ending_lines, write_json
from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.commands.output import open_output, stdout_is_terminal
from longctx.counted import counted
from longctx.errors import Interrupted, LongctxError, UsageError
from longctx.events import Answered, AnswerEvent, AnswerEvents, follow

if TYPE_CHECKING:
    from longctx.answer import Answer
    from longctx.commands.faces import Face
    from longctx.structured import Schema


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the name a batch gives it."""

    text: str
    id: str | None = None


@with_shared_options
def ask(
    chosen: Chosen,
    engines: EngineOptions,
    sessions: SessionOptions,
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
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask for JSON that obeys the JSON schema in FILE; exit 1 where none came.",
            show_default=False,
        ),
    ] = None,
    quotes: Annotated[int, typer.Option(min=1, max=50, help="At most so many quotes of the evidence engine.")] = 3,
    require_verified: Annotated[
        bool, typer.Option("--require-verified", help="Exit 6 unless there are citations and all are verified.")
    ] = False,
    show_quotes: Annotated[
        bool, typer.Option("--show-quotes", help="Write what is quoted under each footnote.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write events, one JSON value a line.", rich_help_panel=OUTPUT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to FILE.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Answer a question over the sources, with checked citations: by a model, or by quoting them.

    longctx ask ./repo "where is the lock taken?"

    longctx ask -c "and who releases it?"

    longctx ask ./repo "what is a tide gauge?" --engine openai --base-url http://127.0.0.1:8000/v1 --mode full

    git ls-files '*.py' | longctx ask --from-file - "who calls connect()?"

    longctx ask ./papers --questions questions.txt > answers.jsonl
    """
    from longctx.narration import ProgressLine

    obeyed = _schema(schema)
    inputs, asked = _inputs_and_questions(words or [], question, questions, resumes=sessions.resumes)
    form = Form(is_batch=questions is not None, as_json=as_json, as_jsonl=as_jsonl, show_quotes=show_quotes)
    answers: list[Answer] = []
    with (
        open_output(output) as stream,
        Progress(ProgressLine(quiet=chosen.quiet, quiet_for_s=0)) as progress,
        LinesFace(stream) if as_jsonl else nullcontext() as lines,
        open_dialogue(
            chosen,
            engines,
            sessions,
            inputs,
            progress=progress,
            quotes=quotes,
            kept=not form.is_batch,
            guided=obeyed is not None,
        ) as opened,
    ):
        on_terminal = output is None and stdout_is_terminal()
        face = _face(opened, form, stream, lines or progress, on_terminal=on_terminal)
        try:
            for each in asked:
                follow(_events(opened, each, obeyed, alone=form.is_batch), _telling(face, answers))
        except KeyboardInterrupt:
            kept = bool(answers) and answers[-1].session is not None
            raise Interrupted("interrupted; what there is of the answer is kept" if kept else "interrupted") from None
    _check_valid(answers)
    if require_verified:
        _check_verified(answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """In what form answers are written."""

    is_batch: bool
    as_json: bool
    as_jsonl: bool
    show_quotes: bool


def _schema(file: Path | None) -> "Schema | None":
    if file is None:
        return None
    from longctx.structured import read_schema

    return read_schema(file)


def _events(opened: Opened, asked: Asked, schema: "Schema | None", *, alone: bool) -> AnswerEvents:
    """The events of a question: of a conversation, or of a batch, where each stands alone."""
    from longctx import analysis

    if alone:
        return analysis.ask(
            opened.corpus, asked.text, opened.engine, opened.asking, question_id=asked.id, schema=schema
        )
    return opened.dialogue.ask(asked.text, asked.id, schema)


def _telling(face: "Face", answers: "list[Answer]") -> Callable[[AnswerEvent], None]:
    """Shows an event and keeps the answers."""

    def tell(event: AnswerEvent) -> None:
        if isinstance(event, Answered):
            answers.append(event.answer)
        face.tell(event)

    return tell


def _face(opened: Opened, form: Form, stream: IO[str], shown: Progress | LinesFace, *, on_terminal: bool) -> "Face":
    """What shows the events, in the form that was asked for."""
    from longctx.answer import corpus_json, summarise

    if isinstance(shown, LinesFace):
        shown.write({"event": "corpus", **corpus_json(summarise(opened.corpus.record.id, opened.corpus.files))})
        return shown
    if form.as_json or form.is_batch:
        return LastFace(shown, lambda answer: write_json(answer, stream, indent=None if form.is_batch else 2))
    return TextFace(stream, shown, lambda answer: _end(answer, opened, stream, shown, form, on_terminal=on_terminal))


def _end(
    answer: "Answer", opened: Opened, stream: IO[str], progress: Progress, form: Form, *, on_terminal: bool
) -> None:
    """What follows an answer's text: its footnotes, and on stderr what it took; of quotes, all of it."""
    write_end(answer, opened, stream, on_terminal=on_terminal, show_quotes=form.show_quotes)
    for line in ending_lines(answer, opened.dialogue.session):
        progress.say(line)


def _check_valid(answers: "list[Answer]") -> None:
    """Raise unless every answer that was to obey a schema does."""
    for answer in answers:
        if answer.invalid:
            which = f" (question {answer.question_id})" if answer.question_id else ""
            raise LongctxError(f"no answer that obeys the schema{which}: {answer.invalid}", _hint(answer))


def _hint(answer: "Answer") -> str:
    """What may give an answer that obeys."""
    if answer.engine.kind == "evidence":
        return "--engine names one; longctx engine list says which there are"
    if answer.ending == "length":
        return "--max-tokens allows more"
    return "ask again, or an engine that holds answers to a schema: vllm, or a server"


def _check_verified(answers: "list[Answer]") -> None:
    """Raise EvidenceGate unless every answer has citations, all of them verified."""
    from longctx.errors import EvidenceGate

    for answer in answers:
        failed = [citation for citation in answer.citations if not citation.is_sound]
        if failed or not answer.citations:
            count = len(answer.citations)
            what = f"of {counted(count, 'citation')}, {len(failed)} not verified" if failed else "no citations"
            which = f" (question {answer.question_id})" if answer.question_id else ""
            raise EvidenceGate(f"{what}{which}", "--require-verified asks for citations that are all verified")


def _inputs_and_questions(
    words: list[str], question: str | None, questions: Path | None, *, resumes: bool
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
    if resumes and not inputs:
        return [], [Asked(last)]
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
