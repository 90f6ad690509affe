"""`longctx summarize`: a summary of sources, of folders in them, or of each document, with checked citations."""

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from ingest.naming import safe_text, show
from longctx.commands.dialogues import Opened, open_dialogue
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import LastFace, LinesFace, Progress, TextFace, ending_lines
from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.commands.output import open_output, stdout_is_terminal
from longctx.commands.prefixes import counted
from longctx.errors import Interrupted, ItemsFailed, LongctxError, UsageError
from longctx.events import follow
from longctx.summary_form import Length, Scope, Style, Summary

if TYPE_CHECKING:
    from longctx.answer import Answer, CorpusSummary
    from longctx.commands.faces import Face
    from longctx.kept_steps import KeptSteps

SUMMARY = "Summary"
SECTIONS_MOST, SECTION_LONGEST, FOCUS_LONGEST = 30, 200, 2000
STOPPED = "interrupted; what was finished is kept: the same command goes on from there"


@with_shared_options
def summarize(
    chosen: Chosen,
    engines: EngineOptions,
    sessions: SessionOptions,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="What to read: folders, files, globs, git URLs.", show_default=False),
    ] = None,
    per_document: Annotated[
        bool, typer.Option("--per-document", help="One summary for each document.", rich_help_panel=SUMMARY)
    ] = False,
    folder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Summarize only this folder or file of what is read; may be given again.",
            show_default=False,
            rich_help_panel=SUMMARY,
        ),
    ] = None,
    length: Annotated[Length, typer.Option(help="How long it is.", rich_help_panel=SUMMARY)] = Length.MEDIUM,
    style: Annotated[Style, typer.Option(help="In what form.", rich_help_panel=SUMMARY)] = Style.BULLETS,
    sections: Annotated[
        str | None,
        typer.Option(
            metavar='"A, B"', help="The headings it has, in order.", show_default=False, rich_help_panel=SUMMARY
        ),
    ] = None,
    focus: Annotated[
        str | None,
        typer.Option(
            metavar="QUESTION", help="The question that it bears on.", show_default=False, rich_help_panel=SUMMARY
        ),
    ] = None,
    show_quotes: Annotated[
        bool, typer.Option("--show-quotes", help="Write what is quoted under each footnote.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON; a line for each document.", rich_help_panel=OUTPUT)
    ] = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write events, one JSON value a line.", rich_help_panel=OUTPUT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to FILE.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Summarize the sources, with checked citations: by a model, or in quotations.

    What does not fit the engine is read in several calls; a run that was stopped goes on where it was.

    longctx summarize ./repo

    longctx summarize ./repo --folder src/ --folder README.md --length long --style outline

    longctx summarize ./papers --per-document --sections "question, method, numbers" -o papers.md

    longctx summarize ./contracts --focus "what may each party terminate, and when?"
    """
    from longctx.narration import ProgressLine

    form = Form(per_document=per_document, as_json=as_json, as_jsonl=as_jsonl, show_quotes=show_quotes)
    summary = Summary(
        scope=Scope(tuple(folder or ())),
        length=length,
        style=style,
        sections=_sections(sections),
        focus=_focus(focus),
    )
    with (
        open_output(output) as stream,
        Progress(ProgressLine(quiet=chosen.quiet, quiet_for_s=0)) as progress,
        LinesFace(stream) if as_jsonl else nullcontext() as lines,
        open_dialogue(chosen, engines, sessions, paths or [], progress=progress, kept=not per_document) as opened,
        _steps(opened, summary, form) as steps,
    ):
        shown = Shown(opened, form, stream, progress, lines, output is None and stdout_is_terminal())
        try:
            (_each if per_document else _one)(shown, summary, steps)
        except KeyboardInterrupt:
            raise Interrupted(STOPPED if steps.kept else "interrupted") from None
        steps.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """In what form summaries are written."""

    per_document: bool
    as_json: bool
    as_jsonl: bool
    show_quotes: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What is summarised, and where it is shown."""

    opened: Opened
    form: Form
    stream: IO[str]
    progress: Progress
    lines: LinesFace | None
    on_terminal: bool


def _sections(text: str | None) -> tuple[str, ...]:
    """The headings between the commas; raises UsageError."""
    named = tuple(" ".join(each.split()) for each in (text or "").split(","))
    found = tuple(dict.fromkeys(filter(None, named)))
    if text is not None and not found:
        raise UsageError("--sections names none", '--sections "methods, numbers, risks"')
    if len(found) > SECTIONS_MOST or any(len(each) > SECTION_LONGEST for each in found):
        raise UsageError(
            f"--sections takes at most {SECTIONS_MOST} headings of {SECTION_LONGEST} characters",
            '--sections "methods, numbers, risks"',
        )
    return found


def _focus(text: str | None) -> str:
    focus = " ".join((text or "").split())
    if text is not None and not focus:
        raise UsageError("--focus is empty", '--focus "who may terminate, and when?"')
    if len(focus) > FOCUS_LONGEST:
        raise UsageError(f"--focus has more than {FOCUS_LONGEST:,} characters", "ask shorter")
    return focus


def _steps(opened: Opened, summary: Summary, form: Form) -> "KeptSteps":
    """What earlier runs of the same command have left, and where this one keeps what it has done."""
    from longctx import paths
    from longctx.kept_steps import KeptSteps

    who = opened.engine.identity() if opened.engine else None
    names = [opened.corpus.record.id, asdict(summary), form.per_document, who.kind if who else "", who and who.model]
    return KeptSteps(paths.locate(os.environ).state / "summaries", names)


# --- one summary ----------------------------------------------------------------------------------------------------


def _one(shown: Shown, summary: Summary, steps: "KeptSteps") -> None:
    follow(shown.opened.dialogue.summarise(summary, steps), _face(shown).tell)


def _face(shown: Shown) -> "Face":
    """What shows the events, in the form that was asked for."""
    if shown.lines is not None:
        _write_corpus(shown)
        return shown.lines
    if shown.form.as_json:
        return LastFace(shown.progress, lambda answer: _write_json(answer, shown.stream, indent=2))
    return TextFace(shown.stream, shown.progress, lambda answer: _end(answer, shown))


def _write_corpus(shown: Shown) -> None:
    from longctx.answer import corpus_json

    if shown.lines is not None:
        shown.lines.write({"event": "corpus", **corpus_json(_corpus(shown.opened))})


def _corpus(opened: Opened) -> "CorpusSummary":
    from longctx.answer import summarise

    return summarise(opened.corpus.record.id, opened.corpus.files)


def _write_json(answer: "Answer", stream: IO[str], indent: int | None = None) -> None:
    from longctx.answer import to_json

    stream.write(json.dumps(to_json(answer), indent=indent) + "\n")
    stream.flush()


def _end(answer: "Answer", shown: Shown) -> None:
    """What follows a summary's text: its footnotes, and on stderr what it took; of quotations, all of it."""
    from longctx import terminal

    opened, stream = shown.opened, shown.stream
    if opened.engine is None or not answer.raw:  # nothing of it has come before
        stream.write(safe_text(answer.answer_markdown) + "\n")
    stream.flush()
    if shown.on_terminal:
        color, quotes = opened.configured.color, shown.form.show_quotes
        terminal.print_footnotes(answer, opened.corpus.location, color, show_quotes=quotes)
    else:
        stream.write(terminal.plain_footnotes(answer, show_quotes=shown.form.show_quotes))
    stream.flush()
    for line in ending_lines(answer, opened.dialogue.session):
        shown.progress.say(line)


# --- one for each document ------------------------------------------------------------------------------------------


def _each(shown: Shown, summary: Summary, steps: "KeptSteps") -> None:
    """A summary of each document, each alone; raises ItemsFailed where there is one that failed."""
    failed = list[str]()
    documents = list(_documents(shown, summary))
    _write_corpus(shown)
    writing = Writing(shown)
    for number, path in enumerate(documents, start=1):
        shown.progress.say(f"document {number:,} of {len(documents):,}: {show(path)}")
        try:
            _document(shown, replace(summary, scope=Scope((path,))), steps, writing)
        except LongctxError as error:
            failed.append(path)
            shown.progress.say(f"longctx: {show(path)}: {error}")
    if failed:
        raise ItemsFailed(
            f"{len(failed):,} of {counted(len(documents), 'document')} failed: {', '.join(map(show, failed[:3]))}"
            + (f" and {len(failed) - 3:,} more" if len(failed) > 3 else ""),
            "the same command tries those again, and asks for no other",
        )


def _documents(shown: Shown, summary: Summary) -> Iterator[str]:
    """The paths of the texts in the summary's scope, in order."""
    from longctx.recap import present_path
    from longctx.summarising import within

    for entry in within(shown.opened.corpus, summary.scope):
        yield present_path(shown.opened.corpus, entry)


def _document(shown: Shown, summary: Summary, steps: "KeptSteps", writing: "Writing") -> None:
    """One document's summary, from an earlier run where that has made it."""
    from longctx.events import Answered, AnswerEvent
    from longctx.kept_answer import brief, from_json
    from longctx.summarising import summarise

    key = _key(shown.opened, summary)
    known = steps.get(key)
    if known is not None:
        writing.write(replace(from_json(known), corpus=_corpus(shown.opened)))
        return

    def tell(event: AnswerEvent) -> None:
        if isinstance(event, Answered):
            answer = replace(event.answer, question_id=summary.scope.paths[0])
            if shown.opened.engine is not None and answer.ending in ("stop", "length"):
                steps.put(key, brief(answer))
            event = replace(event, answer=answer)
        (shown.lines or LastFace(shown.progress, writing.write)).tell(event)

    opened = shown.opened
    follow(summarise(opened.corpus, opened.engine, opened.asking, summary, steps=steps), tell)


def _key(opened: Opened, summary: Summary) -> str:
    """Names the summary of a document by its text and by how it is asked for."""
    from hashlib import sha256

    from longctx.summarising import within

    texts = [[entry.document_id, *entry.key] for entry in within(opened.corpus, summary.scope)]
    named: list[Any] = [opened.corpus.record.id, texts, asdict(summary), asdict(opened.asking)]
    return sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


class Writing:
    """Summaries on a stream one after another, each under its document's name, the footnotes numbered through."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._notes = 0

    def write(self, answer: "Answer") -> None:
        """Write a summary that is there, in the form that was asked for."""
        from longctx import terminal
        from longctx.answer import to_json

        stream, form = self._shown.stream, self._shown.form
        if self._shown.lines is not None:
            self._shown.lines.write({"event": "result", **to_json(answer)})
        elif form.as_json:
            _write_json(answer, stream)
        else:
            numbered = self._numbered(answer)
            stream.write(f"## {_heading(answer)}\n\n{safe_text(numbered.answer_markdown)}\n")
            stream.write(terminal.plain_footnotes(numbered, show_quotes=form.show_quotes) + "\n")
            stream.flush()
            self._notes += len(answer.citations)

    def _numbered(self, answer: "Answer") -> "Answer":
        """The answer with numbers that no summary before it has."""
        from longctx.export import marked

        numbers = {citation.n: self._notes + n for n, citation in enumerate(answer.citations, start=1)}
        return replace(
            answer,
            answer_markdown=marked(answer.answer_markdown, numbers.get),
            citations=tuple(replace(each, n=numbers[each.n]) for each in answer.citations),
        )


def _heading(answer: "Answer") -> str:
    from longctx.export import inert

    return inert(show(answer.question_id or answer.question))
