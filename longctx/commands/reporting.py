"""A report as it was asked for, carried out: all that it needs is opened, items are answered, files written."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ingest.interruption import undisturbed
from ingest.naming import show
from ingest.own_report import BEGINS, JOURNAL, NAMES, PICTURES
from ingest.rules import Selection
from longctx import __version__
from longctx.commands.engine_options import EngineOptions
from longctx.commands.options import Chosen
from longctx.commands.report_lines import ReportProgress, end_lines, failures, left_alone
from longctx.counted import counted
from longctx.engines.choice import AUTO
from longctx.engines.opening import QUOTES
from longctx.errors import Interrupted, ItemsFailed, UsageError
from longctx.journal import Journal
from longctx.quoting import QUOTES_SHOWN
from longctx.reports import items, records
from longctx.reports.assembly import Frame, made
from longctx.reports.drawing import Drawing, PageDrawing
from longctx.reports.manifest import Format, LoadedManifest, with_typed
from longctx.reports.open_engine import OpenEngine
from longctx.reports.outputs import Outputs, opened, other_files, place_of, sweep
from longctx.reports.own_folder import OwnFolder
from longctx.reports.report import State
from longctx.reports.run import FailedFast, Run
from longctx.reports.run_events import Agenda, Settled, Wish

if TYPE_CHECKING:
    from longctx.commands.report import Wanted
    from longctx.corpus import Corpus
    from longctx.engines.choice import Chosen as Picked
    from longctx.request import Request
    from longctx.settings import Settings

SCHEMA = "longctx.run-summary/1"
ANEW = "--only ID --force"
PROGRAM = f"longctx {__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A report as it was ordered: the manifest with what was typed above it; `remark` is on who answers."""

    loaded: LoadedManifest
    chosen: Chosen
    engines: EngineOptions
    wanted: "Wanted"
    folder: Path
    configured: "Settings"
    remark: str = ""


def carry_out(manifest: Path, chosen: Chosen, engines: EngineOptions, wanted: "Wanted") -> None:
    """Write the report of a manifest; raises ItemsFailed where items failed, and Interrupted."""
    from longctx.reports.manifest_file import read

    loaded = with_typed(read(manifest), _formats(wanted.form))
    remark = _own_engine(engines, chosen, loaded)
    engines = _with_manifest(engines, loaded, is_own=remark is not None)
    folder = place_of(loaded, wanted.output)
    configured = engines.settings(chosen)
    ordered = Ordered(
        loaded=loaded,
        chosen=chosen,
        engines=engines,
        wanted=wanted,
        folder=folder,
        configured=configured,
        remark=remark or "",
    )
    picked = _picked(ordered)
    with chosen.corpus(_request(ordered)) as (corpus, _):
        works = items.on_paper(loaded, corpus, require_verified=wanted.require_verified)
        with ReportProgress(len(works), quiet=chosen.quiet) as progress, ExitStack() as stack:
            writer = stack.enter_context(_opened(ordered, corpus, picked, works, progress))
            is_stopped = not _answered(writer, progress)
            _told(writer, progress, as_json=wanted.as_json)
    if is_stopped:
        raise Interrupted(*_stopped(writer, wanted))
    if failed := failures(writer.run.outcomes):
        raise ItemsFailed(failed, _hint(writer.run, wanted))


def _again(wanted: "Wanted") -> str:
    """The command that asks for no more than what is lacking."""
    return "the same command without --force" if wanted.force else "the same command"


def _stopped(writer: "Writer", wanted: "Wanted") -> tuple[str, str]:
    """How far it was when it was stopped, and what to do."""
    rows = writer.run.items
    if wanted.force and all(item.state is State.DONE for item in writer.run.wanted):
        what = f"interrupted; {writer.settled:,} of {counted(writer.asked, 'item')} asked anew"
        return what, f"the others are as they were: {ANEW} asks them"
    done = sum(item.state is State.DONE for item in rows)
    return f"interrupted; {done:,} of {counted(len(rows), 'item')} done and kept", f"{_again(wanted)} goes on"


def _hint(run: Run, wanted: "Wanted") -> str:
    """What to do about items that failed."""
    if all(item.state is State.DONE for item in run.wanted):
        return f"their answers from before stay: {ANEW} asks these again"
    if run.in_vain:
        return f"{_again(wanted)} asks again what has no answer, {ANEW} the others"
    if run.engine.kind == QUOTES and all(item.schema is not None for item in run.wanted if item.state is State.FAILED):
        return "a schema needs a model: `longctx engine doctor` says how to ask one"
    pending = any(item.state is State.PENDING for item in run.wanted)
    return f"{_again(wanted)} asks these again, and {'what is not asked yet' if pending else 'nothing else'}"


class Writer:
    """A run whose items go into a report as they come."""

    def __init__(self, run: Run, journal: Journal, past: records.Past, frame: Frame, outputs: Outputs) -> None:
        self.run, self.outputs = run, outputs
        self.asked = self.settled = 0
        self._is_begun = False
        self._journal, self._past, self._frame = journal, past, frame
        self._begun_s = time.time()

    def begin(self, agenda: Agenda) -> None:
        """Say in the journal that a run begins, and write the report before its first item."""
        self.asked = sum(agenda.asked.values())
        self._say_begun()
        self.write()

    def write(self) -> None:
        """Write the report as it is by now, where the journal says that it is one."""
        if not self._journal.lines:
            self._say_begun()
        rows = self.run.items
        self.outputs.write(self._frame.report(rows, made(PROGRAM, self._past, self._begun_s, time.time())))

    def _say_begun(self) -> None:
        engine = {name: text for name, text in asdict(self.run.engine).items() if text}
        at = round(self._begun_s, 3)
        row = records.Began(schema=records.SCHEMA, program=PROGRAM, at=at, engine=engine, items=self.asked)
        self._journal.append(records.plain(row))
        self._is_begun = True

    def settle(self) -> None:
        """One more item that was asked has its result; write the report where that would not slow the run down."""
        self.settled += 1
        if self.outputs.is_due:
            self.write()

    def end(self) -> None:
        """Write the report, and say in the journal that the run has ended; nothing interrupts that."""
        with undisturbed():
            self.run.conclude()
            self.write()
            if self._is_begun:
                states = [item.state for item in self.run.items]
                done, failed = states.count(State.DONE), states.count(State.FAILED)
                self._journal.append(records.plain(records.Ended(at=round(time.time(), 3), done=done, failed=failed)))


def _formats(typed: Sequence[str] | None) -> tuple[Format, ...]:
    names = [name.strip().lower() for each in typed or () for name in each.split(",")]
    for name in names:
        if name not in tuple(Format):
            raise UsageError(f"--format {show(name)}: there is no such form", f"one of {', '.join(Format)}")
    return tuple(dict.fromkeys(Format(name) for name in names))


def _own_engine(engines: EngineOptions, chosen: Chosen, loaded: LoadedManifest) -> str | None:
    """What to say where the user has named who answers, so that the manifest's word does not count; else None."""
    own, named = engines.settings(chosen), loaded.manifest.engine.name
    is_typed = bool(engines.engine or engines.base_url)
    if not is_typed and own.engine == AUTO:
        return None
    if named in (None, own.engine):
        return ""
    where = own.origins.get("engine", "it")
    return f"longctx: {show(own.engine)} answers, as {show(where)} says; the manifest names {show(str(named))}"


def _with_manifest(engines: EngineOptions, loaded: LoadedManifest, *, is_own: bool) -> EngineOptions:
    """What was typed of the engine, and what the manifest says where nothing was; who answers where the user has not
    said it anywhere: a manifest comes with documents, which are not to be sent where it likes."""
    part = loaded.manifest.engine
    return replace(
        engines,
        engine=engines.engine if is_own else part.name,
        mode=engines.mode or part.mode,
        max_tokens=part.max_tokens if engines.max_tokens is None else engines.max_tokens,
        temperature=part.temperature if engines.temperature is None else engines.temperature,
        seed=part.seed if engines.seed is None else engines.seed,
    )


def _picked(ordered: Ordered) -> "Picked":
    """Who answers; what is wrong with its name or model is said before a corpus is read."""
    from longctx import opening
    from longctx.reports.manifest_names import check_engine
    from longctx.setup import engine_setup

    check_engine(ordered.loaded, ordered.configured.engine)
    stored, guided = not ordered.engines.no_cache, bool(ordered.loaded.schemas)
    setup = engine_setup(ordered.configured, stored=stored, guided=guided)
    return opening.pick(ordered.configured.engine, setup, None, None)


def _request(ordered: Ordered) -> "Request":
    """What is read: the manifest's sources from its folder on, or those that were typed."""
    from longctx.reports.manifest_names import check_own, check_sources
    from longctx.reports.sources import with_rules

    chosen, loaded = ordered.chosen, ordered.loaded
    typed = list(ordered.wanted.corpus or ())
    from_manifest = not typed and chosen.from_file is None
    inputs = list(loaded.manifest.corpus.paths) if from_manifest else typed
    if from_manifest:
        check_sources(loaded)
    request = chosen.request(inputs, ordered.configured)
    if from_manifest:
        request = replace(request, folder=loaded.folder)
    include, exclude, only = (tuple(each or ()) for each in (chosen.include, chosen.exclude, chosen.only))
    rules = Selection(include, exclude, only)
    own = [str(ordered.folder / name) for name in (*NAMES, PICTURES)]
    own.append(os.path.join(loaded.folder, os.path.basename(loaded.path)))
    check_own(loaded, request, own, typed=not from_manifest)
    return with_rules(request, loaded.manifest.corpus, rules, own)


@contextmanager
def _opened(
    ordered: Ordered, corpus: "Corpus", picked: "Picked", works: Sequence[items.Work], progress: ReportProgress
) -> Iterator[Writer]:
    """The journal, the engine, the run and its outputs, open until the block ends."""
    from longctx import opening

    only = items.chosen(works, ordered.wanted.named) if ordered.wanted.named else None
    place = ordered.folder / JOURNAL
    with ExitStack() as stack:
        folder = stack.enter_context(opened(ordered.folder, typed=ordered.wanted.output is not None))
        if said := other_files(folder):
            progress.say(f"longctx: {said}")
        with progress.during("reading what was done before"):
            journal = stack.enter_context(Journal(place, BEGINS, folder.descriptor))
            sweep(folder)
            past = records.read(journal, str(place))
        if ordered.remark:
            progress.say(ordered.remark)
        progress.say(picked.why)
        with progress.during(f"opening the engine {picked.name}"):
            engine = stack.enter_context(OpenEngine(lambda: opening.opened(picked)))
        pictures = stack.enter_context(_pictures(ordered, corpus, folder))
        wish = Wish(
            only=only,
            force=ordered.wanted.force,
            fail_fast=ordered.wanted.fail_fast,
            jobs=_jobs(ordered, engine, progress),
        )
        asking = ordered.engines.asking(ordered.configured, quotes=QUOTES_SHOWN)
        run = Run(corpus, engine, asking, works, journal, past, wish, draw=pictures.draw, restore=pictures.restore)
        frame = Frame(ordered.loaded, corpus, engine.identity, run.settings, items.wording_digest())
        outputs = Outputs(folder, ordered.loaded.manifest.output.formats, pictures.read)
        yield Writer(run, journal, past, frame, outputs)
        outputs.tidy()


def _jobs(ordered: Ordered, engine: OpenEngine, progress: ReportProgress) -> int:
    """How many items are asked at once: no more than the engine takes."""
    wanted = ordered.wanted.jobs or ordered.loaded.manifest.engine.jobs or engine.concurrent
    if wanted > engine.concurrent and engine.engine is not None:
        progress.say(f"longctx: {engine.identity.kind} is asked {engine.concurrent:,} at a time, not {wanted:,}")
    return min(wanted, engine.concurrent)


@contextmanager
def _pictures(ordered: Ordered, corpus: "Corpus", folder: OwnFolder) -> Iterator[Drawing]:
    """How pages are drawn."""
    if not ordered.loaded.manifest.output.pictures:
        yield Drawing()
        return
    from longctx.reports.pictures import PagePictures

    with PagePictures(folder, corpus, corpus.request.password) as pictures:
        yield PageDrawing(pictures)


def _answered(writer: Writer, progress: ReportProgress) -> bool:
    """Answer the items and write the report, now and then and in the end; whether nobody stopped it before that."""
    try:
        for event in writer.run.events():
            match event:
                case Agenda() if event.asked:
                    writer.begin(event)
                case Settled(was_asked=True):
                    writer.settle()
            progress.told(event)
    except KeyboardInterrupt:
        writer.end()
        return False
    except FailedFast:
        pass
    writer.end()
    return True


def _told(writer: Writer, progress: ReportProgress, *, as_json: bool) -> None:
    """What became of the items and where the report is: for a person, and where that is wanted for a program."""
    progress.end()
    for line in (*left_alone(writer.run), *end_lines(writer.run.items, writer.outputs.paths)):
        progress.say(line)
    if as_json:
        typer.echo(json.dumps(_summary(writer), indent=2))


def _summary(writer: Writer) -> dict[str, Any]:
    rows = writer.run.items
    return {
        "schema": SCHEMA,
        "items": len(rows),
        "done": sum(item.state is State.DONE for item in rows),
        "asked": writer.asked,
        "failed": [{"id": item.id, "error": item.error} for item in rows if item.state is State.FAILED],
        "failed_anew": [{"id": item.id, "error": item.error} for item in writer.run.in_vain],
        "pending": [item.id for item in rows if item.state is State.PENDING],
        "outputs": [str(path) for path in writer.outputs.paths],
    }
