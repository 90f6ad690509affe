"""One thing that the terminal UI does, done once in a process of its own: `python -m benchmarks.tui_subject NAME`.

The last line it prints is JSON: CPU seconds of this process from where the work begins until nothing more is done,
or for `loop` the longest that a single callback of the event loop took. Rivals and floors do the same with what
Textual brings. `benchmarks.tui` runs these in turn.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Markdown, TextArea, Tree

from ingest.document import Kind
from longctx.analysis import Asking
from longctx.backend import wire
from longctx.backend.client import start_backend
from longctx.backend.logs import new_log
from longctx.backend.replies import Answered, CorpusOpened, FileIs, FilesAre, Sending, TextPart, TurnIs
from longctx.backend.requests import Open
from longctx.citations import Citation, CitationStatus
from longctx.request import Request
from longctx.settings import Settings
from tui.garbage import CALM_LOOKS, LOOK_S, collected_when_idle

SIZE, WIDE = (120, 40), (160, 50)
PARTS = 40
RICH = "".join(
    f"## Part {n}\n\n| gauge | level | surge | trend |\n|---|---|---|---|\n| mole {n} | 712 | 35 | up |\n\n"
    f"```python\nlevel = read(gauge={n})\nprint(level)\n```\n\n- the tide **rises** at mole {n}\n- gauges lag it\n\n"
    for n in range(PARTS)
)
WORDS_A_DELTA, DELTAS_A_SECOND = 6, 20
LINES, CITED_LINE = 100_000, 90_000
FILES, FILES_A_PART = 20_000, 2_000
PART_CHARS = 1 << 18
IDLE_S = 0.25
MOST_S = 0.05


def main() -> None:
    """Do what is named and print what it took."""
    for name in [name for name in os.environ if name.startswith("LONGCTX_")]:
        del os.environ[name]
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    name, *given = sys.argv[1:]
    print(json.dumps(asyncio.run(SUBJECTS[name](*given))))


class Alone(App[None]):
    """An app of one widget, or of none."""

    idle_s = 0.0

    def __init__(self, widget: Widget | None = None) -> None:
        super().__init__()
        self._widget = widget
        self.painted = asyncio.Event()

    def on_ready(self) -> None:
        self.painted.set()

    def compose(self) -> ComposeResult:
        if self._widget is not None:
            yield self._widget


@asynccontextmanager
async def shown(widget: Widget) -> AsyncIterator[Pilot[Any]]:
    """The widget on a screen, with nothing left to do."""
    app = Alone(widget)
    async with collected_when_idle(app), app.run_test(size=SIZE) as pilot:
        await idle()
        yield pilot


async def idle() -> None:
    """Wait until this process does next to nothing."""
    while True:
        before = time.process_time()
        await asyncio.sleep(IDLE_S)
        if time.process_time() - before < 0.02 * IDLE_S:
            return


async def cost(work: Awaitable[object]) -> dict[str, float]:
    """CPU seconds until the work is done and nothing comes of it any more."""
    begun = time.process_time()
    await work
    await idle()
    return {"cpu_s": time.process_time() - begun}


# --- streaming --------------------------------------------------------------------------------------------------------


async def stream() -> dict[str, float]:
    """Rich Markdown as it comes from a fast model, into the conversation."""
    from tui.widgets.conversation import ConversationPane

    pane = ConversationPane()
    async with shown(pane):
        return await cost(_stream(pane))


async def _stream(pane: Any) -> None:
    pane.begin("What do the gauges say?")
    for delta in _deltas(RICH):
        pane.add_text(delta)
        await asyncio.sleep(1 / DELTAS_A_SECOND)
    answer = {"answer_markdown": RICH, "citations": [], "ending": "stop", "engine": {"kind": "scripted"}}
    turn = TurnIs(id="0" * 16, question="What do the gauges say?", answer=answer, created_s=0.0)
    pane.finish(Answered(turn, None))


def _deltas(text: str) -> Iterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), WORDS_A_DELTA):
        yield " ".join(words[start : start + WORDS_A_DELTA]) + " "


async def stream_floor() -> dict[str, float]:
    """All of it in one update of Textual's Markdown."""
    widget = Markdown()
    async with shown(widget):
        return await cost(widget.update(RICH))


# --- a long source ----------------------------------------------------------------------------------------------------


def _long_text() -> str:
    lines = [f"    value_{n} = compute({n}, 'some text of a line')  # line {n}" for n in range(1, LINES + 1)]
    lines[CITED_LINE - 1] = "    cited = True  # THIS LINE IS CITED"
    return "\n".join(lines)


async def source() -> dict[str, float]:
    """A long file from the backend's lines until the cited line is painted."""
    from tui.widgets.source import SourcePane
    from tui.widgets.source_text import SourceText

    text = _long_text()
    lines = [wire.write(1, part) for part in _text_parts(text)]
    pane = SourcePane()
    async with shown(pane) as pilot:
        begun = time.process_time()
        pane.expect("long.py", _citation(text))
        for line in lines:
            _, part = wire.read_reply(line)
            assert isinstance(part, TextPart)
            pane.add_text(part)
            await asyncio.sleep(0)
        while "THIS LINE IS CITED" not in _painted(pilot.app.query_one(SourceText)):
            await pilot.pause()
        painted = time.process_time() - begun
        await idle()
        return {"cpu_s": painted, "until_idle_s": time.process_time() - begun}


def _text_parts(text: str) -> Iterator[TextPart]:
    for start in range(0, len(text), PART_CHARS):
        is_last = start + PART_CHARS >= len(text)
        kind = "" if start else "code"
        yield TextPart(path="long.py", text=text[start : start + PART_CHARS], is_last=is_last, kind=kind)


def _citation(text: str) -> Citation:
    start = text.index("cited = True")
    return Citation(
        n=1,
        status=CitationStatus.VERIFIED,
        path="long.py",
        page=None,
        lines=(CITED_LINE, CITED_LINE),
        chars=(start, start + 12),
        quote="cited = True",
        sha256="0" * 64,
        place=f"long.py:{CITED_LINE}",
        kind=Kind.CODE,
    )


def _painted(widget: Widget) -> str:
    return "\n".join(strip.text for strip in widget.render_lines(Region(0, 0, *widget.size)))


async def source_rival() -> dict[str, float]:
    """The same text in Textual's TextArea, scrolled to that line."""
    widget, text = TextArea(read_only=True, show_line_numbers=True, soft_wrap=False), _long_text()
    async with shown(widget):
        return await cost(_load(widget, text))


async def _load(widget: TextArea, text: str) -> None:
    widget.load_text(text)
    widget.move_cursor((CITED_LINE - 1, 0))


# --- a large corpus ---------------------------------------------------------------------------------------------------


def _files() -> list[FileIs]:
    paths = sorted(f"package{n % 40}/module{n % 400}/file{n}.py" for n in range(FILES))
    return [
        FileIs(path=path, tokens=100 + n % 977, sending=Sending.SENT, status="read", position=n)
        for n, path in enumerate(paths)
    ]


async def corpus() -> dict[str, float]:
    """A corpus of many files from the backend's lines until its tree is shown."""
    from tui.widgets.corpus import CorpusPane

    rows = _files()
    parts = [rows[start : start + FILES_A_PART] for start in range(0, FILES, FILES_A_PART)]
    lines = [wire.write(1, FilesAre(tuple(part), is_last=part is parts[-1])) for part in parts]
    total = sum(row.tokens for row in rows)
    opened = CorpusOpened(
        id="c", name="corpus", folder="/c", sources=("/c",), files=FILES, skipped=0, tokens=total, stale=0, changed=0
    )
    pane = CorpusPane()
    async with shown(pane):
        return await cost(_show_files(pane, opened, lines))


async def _show_files(pane: Any, opened: CorpusOpened, lines: list[bytes]) -> None:
    pane.show_corpus(opened)
    for line in lines:
        pane.add_files(wire.read_reply(line)[1])
        await asyncio.sleep(0)


async def corpus_rival() -> dict[str, float]:
    """The same files as nodes of Textual's Tree."""
    widget, rows = Tree[str]("corpus"), _files()
    async with shown(widget):
        return await cost(_add_nodes(widget, rows))


async def _add_nodes(widget: Tree[str], rows: list[FileIs]) -> None:
    widget.root.expand()
    folders = {"": widget.root}
    for row in rows:
        head = ""
        for part in row.path.split("/")[:-1]:
            path = f"{head}{part}/"
            folders[path] = folders.get(path) or folders[head].add(part)
            head = path
        folders[head].add_leaf(f"{row.path.rpartition('/')[2]} {row.tokens}")


# --- blocks of the event loop -----------------------------------------------------------------------------------------

SCRIPT = """
prefill_s = 3.0

[[answer]]
text = '''{text}'''
tokens_per_s = 400
"""


class Blocks:
    """How long callbacks of the event loop take: CPU seconds of its thread, so that other processes don't count.

    What waits (a lock, a disk) is not seen by that; what computes or draws is. Python collects garbage in between,
    which is told apart.
    """

    def __init__(self) -> None:
        self.phase = "starting"
        self._taken: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        self._garbage_s = self._begun_s = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure every callback in the block."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            begun, garbage = time.thread_time(), self._garbage_s
            run(handle)
            taken = time.thread_time() - begun
            self._taken[self.phase].append((taken, self._garbage_s - garbage, _who(handle)))

        asyncio.Handle._run = timed  # type: ignore[assignment,method-assign]
        gc.callbacks.append(self._collect)
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]
            gc.callbacks.remove(self._collect)

    def _collect(self, phase: str, _about: object) -> None:
        if phase == "start":
            self._begun_s = time.thread_time()
        else:
            self._garbage_s += time.thread_time() - self._begun_s

    def told(self) -> dict[str, Any]:
        """For each phase the longest, that without garbage collection, who took it, how many were over 50 ms."""
        return {phase: _longest(taken) for phase, taken in self._taken.items()}


def _longest(taken: list[tuple[float, float, str]]) -> dict[str, Any]:
    own, who = max((seconds - garbage, who) for seconds, garbage, who in taken)
    return {
        "longest_s": max(seconds for seconds, _, _ in taken),
        "without_garbage_s": own,
        "who": who,
        "over": sum(seconds > MOST_S for seconds, _, _ in taken),
        "callbacks": len(taken),
    }


def _who(handle: asyncio.Handle) -> str:
    called = getattr(handle, "_callback", None)
    owner = getattr(called, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(called, "__qualname__", type(called).__name__)


async def loop(folder: str, home: str) -> dict[str, Any]:
    """Open a folder through the real backend, read it, ask with a scripted engine, open a source."""
    from tui.app import LongctxApp

    os.environ["LONGCTX_HOME"] = home
    script = Path(home) / "script.toml"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SCRIPT.format(text=RICH))
    settings = Settings(engine="scripted", model=str(script))
    opening = Open(request=Request((folder,)), settings=settings, asking=Asking())
    app = LongctxApp(opening, partial(start_backend, log=new_log(Path(home))))
    blocks = Blocks()
    with blocks.watched():
        async with collected_when_idle(app), app.run_test(size=WIDE):
            await _scripted(app, blocks)
    return blocks.told()


async def _scripted(app: Any, blocks: Blocks) -> None:
    from tui.messages import FileChosen, QuestionAsked

    workspace = app.workspace
    blocks.phase = "reading"
    await _until(lambda: workspace.engine_is is not None and workspace.corpus.paths)
    blocks.phase = "opened"
    await idle()
    blocks.phase = "asking"
    workspace.post_message(QuestionAsked("What do the gauges say?"))
    await _until(lambda: workspace.is_answering)
    await _until(lambda: workspace.conversation.last_answer(with_references=False))
    blocks.phase = "answering"
    await _until(lambda: not workspace.is_answering)
    await idle()
    blocks.phase = "a source"
    workspace.post_message(FileChosen(workspace.corpus.paths[0]))
    await idle()
    blocks.phase = "left alone"
    await asyncio.sleep((CALM_LOOKS + 2) * LOOK_S)
    blocks.phase = "ending"


async def _until(is_so: Callable[[], object], most_s: float = 300) -> None:
    deadline = time.monotonic() + most_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the terminal UI did not come so far")
        await asyncio.sleep(0.02)


class Panes(App[None]):
    """Three of Textual's widgets side by side, filled."""

    CSS = "Tree, Markdown, TextArea { width: 1fr; border: round grey; }"

    def compose(self) -> ComposeResult:
        tree = Tree[str]("corpus")
        tree.root.expand()
        for n in range(200):
            tree.root.add_leaf(f"file{n}.py")
        with Horizontal():
            yield tree
            yield Markdown("\n\n".join(f"The tide at mole {n} is high." for n in range(60)))
            yield TextArea("\n".join(f"line {n} of a text" for n in range(200)), read_only=True)


async def loop_floor(_folder: str, _home: str) -> dict[str, Any]:
    """A screen of Textual's own widgets, whole and laid out anew: what it takes to paint it."""
    blocks, app = Blocks(), Panes()
    with blocks.watched():
        async with app.run_test(size=WIDE) as pilot:
            await idle()
            blocks.phase = "laid out anew"
            for shown_ in (False, True, False, True):
                app.query_one(Tree).display = shown_
                await pilot.pause()
                await idle()
            blocks.phase = "ending"
    return blocks.told()


SUBJECTS: dict[str, Callable[..., Any]] = {
    "stream": stream,
    "stream_floor": stream_floor,
    "source": source,
    "source_rival": source_rival,
    "corpus": corpus,
    "corpus_rival": corpus_rival,
    "loop": loop,
    "loop_floor": loop_floor,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as nowhere:
        os.environ["HOME"] = nowhere
        main()
