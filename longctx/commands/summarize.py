"""`longctx summarize`: a summary of sources, of folders in them, or of each document, with checked citations."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from ingest.naming import safe_text, show
from longctx.commands.dialogues import Opened, open_dialogue
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import LastFace, LinesFace, Progress, TextFace, ending_lines, write_json
from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.commands.output import open_output, stdout_is_terminal
from longctx.counted import counted
from longctx.errors import Interrupted, ItemsFailed, LongctxError, StoreError, UsageError
from longctx.events import Answered, AnswerEvent, follow
from longctx.summary_form import Length, Scope, Style, Summary

if TYPE_CHECKING:
    from longctx.answer import Answer
    from longctx.commands.faces import Face
    from longctx.kept_steps import KeptSteps
    from longctx.manifest import Entry

SUMMARY = "Summary"
SECTIONS_MOST, SECTION_LONGEST, FOCUS_LONGEST = 30, 200, 2000
UNWRITTEN = "*No model wrote this: it is made of quotations, chosen by their words and places.*"
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
        is_file = output is not None and str(output) != "-"
        shown = Shown(opened, form, stream, progress, lines, not is_file and stdout_is_terminal(), is_file)
        failed: tuple[str, ...] = ()
        try:
            if per_document:
                is_whole, failed = _each(shown, summary, steps)
            else:
                is_whole = _one(shown, summary, steps)
        except KeyboardInterrupt:
            raise Interrupted(STOPPED if steps.known else "interrupted") from None
        if is_whole and not failed:
            steps.finish()
    if failed:  # behind the block: a file has those that did not fail
        raise _failure(failed)


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
    is_file: bool


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
    names = [opened.corpus.record.id, asdict(summary), form.per_document, who.kind if who else "", who and who.key]
    return KeptSteps(paths.locate(os.environ).state / "summaries", names)


# --- one summary ----------------------------------------------------------------------------------------------------


def _one(shown: Shown, summary: Summary, steps: "KeptSteps") -> bool:
    """Whether all of it was read."""
    last = list[AnswerEvent]()
    face = _face(shown)

    def tell(event: AnswerEvent) -> None:
        last[:] = [event]
        face.tell(event)

    follow(shown.opened.dialogue.summarise(summary, steps), tell)
    return all(is_whole(event.answer) for event in last if isinstance(event, Answered))


def is_whole(answer: "Answer") -> bool:
    """Whether all that it is of was read: where one of its calls has failed, it was not."""
    return answer.calls == 1 or answer.reading is None or not (answer.reading.unread or answer.reading.partly)


def _face(shown: Shown) -> "Face":
    """What shows the events, in the form that was asked for."""
    if shown.lines is not None:
        _write_corpus(shown)
        return shown.lines
    if shown.form.as_json:
        return LastFace(shown.progress, lambda answer: write_json(answer, shown.stream, indent=2))
    if shown.is_file:
        return LastFace(
            shown.progress, lambda answer: _end(_said(answer, {c.n: c.n for c in answer.citations}, shown), shown)
        )
    return TextFace(shown.stream, shown.progress, lambda answer: _end(answer, shown))


def _said(answer: "Answer", numbers: Mapping[int, int], shown: Shown) -> "Answer":
    """The answer with these numbers, as it is read behind a pipe; as a file has it, what a model or a document says
    sets no link and no picture."""
    from longctx.export import marked, renumbered

    write = marked if shown.is_file else renumbered
    return replace(
        answer,
        answer_markdown=write(answer.answer_markdown, numbers.get),
        citations=tuple(replace(each, n=numbers[each.n]) for each in answer.citations),
    )


def _write_corpus(shown: Shown) -> None:
    from longctx.answer import corpus_json

    if shown.lines is not None:
        shown.lines.write({"event": "corpus", **corpus_json(shown.opened.corpus.summary)})


def _end(answer: "Answer", shown: Shown) -> None:
    """What follows a summary's text: its footnotes, and on stderr what it took; of quotations, all of it."""
    from longctx import terminal

    opened, stream = shown.opened, shown.stream
    if opened.engine is None or not answer.raw or shown.is_file:  # nothing of it has come before
        stream.write(f"{_unwritten(shown)}{safe_text(answer.answer_markdown)}\n")
    stream.flush()
    if shown.on_terminal:
        color, quotes = opened.configured.color, shown.form.show_quotes
        terminal.print_footnotes(answer, opened.corpus.location, color, show_quotes=quotes)
    else:
        stream.write(_footnotes(answer, shown))
    stream.flush()
    for line in ending_lines(answer, opened.dialogue.session):
        shown.progress.say(line)


def _footnotes(answer: "Answer", shown: Shown) -> str:
    from longctx import terminal

    write = terminal.file_footnotes if shown.is_file else terminal.plain_footnotes
    return write(answer, show_quotes=shown.form.show_quotes)


def _unwritten(shown: Shown) -> str:
    """What a reader of quotations must know, in the text itself."""
    return f"{UNWRITTEN}\n\n" if shown.opened.engine is None else ""


# --- one for each document ------------------------------------------------------------------------------------------


def _each(shown: Shown, summary: Summary, steps: "KeptSteps") -> tuple[bool, tuple[str, ...]]:
    """A summary of each document, each alone; whether all was read, and the documents that failed. Raises StoreError
    where another run is at the same work."""
    from longctx.recap import present_path
    from longctx.summarising import within

    corpus = shown.opened.corpus
    documents = [(present_path(corpus, entry), entry) for entry in within(corpus, summary.scope)]
    _write_corpus(shown)
    writing, failed, read = Writing(shown), list[str](), list[bool]()
    for number, (path, entry) in enumerate(documents, start=1):
        shown.progress.say(f"document {number:,} of {len(documents):,}: {show(path)}")
        made = list["Answer"]()
        try:
            read.append(_document(shown, replace(summary, scope=Scope((path,))), entry, steps, writing, made))
        except StoreError:
            raise
        except LongctxError as error:
            failed.append(path)
            shown.progress.say(f"longctx: {show(path)}: {error}")
            writing.lacks(path, str(error), made)
        except KeyboardInterrupt:
            if made and made[-1].ending == "interrupted":
                writing.lacks(path, "interrupted", made)
            raise
    return all(read), tuple(failed)


def _failure(failed: Sequence[str]) -> ItemsFailed:
    more = f" and {len(failed) - 3:,} more" if len(failed) > 3 else ""
    return ItemsFailed(
        f"{counted(len(failed), 'document')} failed: {', '.join(map(show, failed[:3]))}{more}",
        "the same command tries those again, and asks for no other",
    )


def _document(
    shown: Shown, summary: Summary, entry: "Entry", steps: "KeptSteps", writing: "Writing", made: "list[Answer]"
) -> bool:
    """One document's summary, from an earlier run where that has made it; whether all of it was read. `made` is what
    there is of it, also where that ends in an error."""
    from longctx.summarising import summarise

    opened, key = shown.opened, _key(shown.opened, summary, entry)
    known = _known(steps, key) if opened.engine else None
    if known is not None:
        writing.write(replace(known, corpus=writing.corpus))
        return True

    def tell(event: AnswerEvent) -> None:
        if isinstance(event, Answered):
            made.append(replace(event.answer, question_id=summary.scope.paths[0]))
            event = replace(event, answer=made[-1])
        (shown.lines or shown.progress).tell(event)

    follow(summarise(opened.corpus, opened.engine, opened.asking, summary, steps=steps, entries=[entry]), tell)
    (answer,) = made
    if shown.lines is None:
        writing.write(answer)
    if opened.engine and is_whole(answer) and answer.ending in ("stop", "length"):
        writing.keep(steps, key, answer)
    return is_whole(answer)


def _known(steps: "KeptSteps", key: str) -> "Answer | None":
    from longctx.kept_answer import from_json

    kept = steps.get(key)
    try:
        return None if kept is None else from_json(kept)
    except ValueError:  # of another version: it is made anew
        return None


def _key(opened: Opened, summary: Summary, entry: "Entry") -> str:
    """Names the summary of a document by its text and by how it is asked for."""
    from hashlib import sha256

    texts = [entry.document_id, *entry.key]
    named: list[Any] = [opened.corpus.record.id, texts, asdict(summary), asdict(opened.asking)]
    return sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


class Writing:
    """Summaries on a stream one after another, each under its document's name, the footnotes numbered through."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._notes = 0
        self._unkept = ""
        self._before = _unwritten(shown)
        self.corpus = shown.opened.corpus.summary

    def write(self, answer: "Answer") -> None:
        """Write a summary that is there, in the form that was asked for."""
        from longctx.answer import to_json

        if self._shown.lines is not None:
            self._shown.lines.write({"event": "result", **to_json(answer)})
        elif self._shown.form.as_json:
            write_json(answer, self._shown.stream)
        else:
            self._put(answer.question_id or answer.question, "", answer)

    def lacks(self, path: str, reason: str, made: "Sequence[Answer]" = ()) -> None:
        """Say in the text that a document has no summary, above what was `made` of it; JSON holds answers alone, each
        with how it ended."""
        if self._shown.lines is not None:
            return
        if self._shown.form.as_json:
            for answer in made:
                write_json(answer, self._shown.stream)
            return
        cut = "\nWhat there is of it, cut off:\n\n" if made else ""
        self._put(path, f"Not summarised: {self._line(reason)}\n{cut}", *made)

    def _put(self, path: str, said: str, *answers: "Answer") -> None:
        """A heading, what is said, and the answers with their footnotes."""
        stream = self._shown.stream
        stream.write(f"{self._before}## {self._line(path)}\n\n{said}")
        for answer in answers:
            numbers = {each.n: self._notes + n for n, each in enumerate(answer.citations, start=1)}
            numbered = _said(answer, numbers, self._shown)
            stream.write(f"{safe_text(numbered.answer_markdown)}\n{_footnotes(numbered, self._shown)}")
            self._notes += len(numbers)
        stream.write("\n")
        stream.flush()
        self._before = ""

    def _line(self, text: str) -> str:
        """A name or a reason on one line; in a file it means itself."""
        from longctx.export import inert

        return inert(show(text)) if self._shown.is_file else show(text)

    def keep(self, steps: "KeptSteps", key: str, answer: "Answer") -> None:
        """Keep a summary for a later run; that it can't be is said once."""
        from longctx.kept_answer import brief
        from longctx.stepwise import unkept

        try:
            steps.put(key, brief(answer))
        except (OSError, StoreError) as error:
            if not self._unkept:
                self._unkept = unkept(error)
                self._shown.progress.say(self._unkept)
