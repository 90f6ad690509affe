"""What the tests of the terminal UI have: an app whose backend writes down what it is asked, and pictures to compare.

`told(Kind, reply…)` answers the last request of a kind as the backend would. Pictures are SVG, kept by syrupy beside
the tests; `pytest --snapshot-update` takes them anew.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual import on
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from longctx.analysis import Asking
from longctx.backend.replies import Done, Reply
from longctx.backend.requests import AnyRequest, Open
from longctx.settings import Settings
from tui.app import LongctxApp
from tui.link import Link, Replied
from tui.themes import THEMES


class Listener:
    """A backend that writes down what it is asked; a test says what it tells."""

    def __init__(self) -> None:
        self.requests: list[AnyRequest] = []
        self.app: App[Any] | None = None
        self.is_closed = False

    def send(self, request: AnyRequest) -> int:
        self.requests.append(request)
        return len(self.requests)

    async def close(self) -> None:
        self.is_closed = True

    def last(self, kind: type) -> AnyRequest:
        """The last request of a kind."""
        return next(request for request in reversed(self.requests) if isinstance(request, kind))

    def tell(self, kind: type, *replies: Reply, done: bool = True) -> None:
        """Answer the last request of a kind."""
        number = 1 + max(i for i, request in enumerate(self.requests) if isinstance(request, kind))
        assert self.app is not None
        for reply in (*replies, Done()) if done else replies:
            self.app.post_message(Replied(number, reply))


@pytest.fixture
def listener() -> Listener:
    return Listener()


RunApp = Callable[..., AbstractAsyncContextManager[Pilot[Any]]]


@pytest.fixture
def run_app(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> RunApp:
    """Run the app over a listener: `async with run_app(size=(120, 40), theme="longctx-dark") as pilot`."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")

    @asynccontextmanager
    async def run(
        size: tuple[int, int] = (120, 40),
        theme: str | None = None,
        opening: Open | None = None,
        *,
        notifications: bool = False,
    ) -> AsyncIterator[Pilot[Any]]:
        async def start(_tell: object, _died: object) -> Listener:
            return listener

        app = LongctxApp(opening or Open(request=None, settings=Settings(), asking=Asking()), start)
        listener.app = app
        async with app.run_test(size=size, notifications=notifications) as pilot:
            if theme is not None:
                app.theme = theme
            await pilot.pause()
            while not listener.requests:  # the backend is begun beside the screen
                await pilot.pause(0.01)
            yield pilot

    return run


RunWidget = Callable[..., AbstractAsyncContextManager[Pilot[Any]]]


class Alone(App[None]):
    """One widget; what it says to a screen is in `said`."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.said: list[Message] = []
        self._widget = widget

    def compose(self) -> ComposeResult:
        yield self._widget

    async def _on_message(self, message: Message) -> None:
        if type(message).__module__ == "tui.messages":
            self.said.append(message)
        await super()._on_message(message)


@pytest.fixture
def run_widget() -> RunWidget:
    """Run one widget alone: `async with run_widget(SourcePane()) as pilot: … pilot.app.said`."""

    @asynccontextmanager
    async def run(widget: Widget, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[Any]]:
        async with Alone(widget).run_test(size=size) as pilot:
            await pilot.pause()
            yield pilot

    return run


class Behind(App[None]):
    """Nothing but what is put over it; what that ended with is in `results`."""

    def __init__(self, link: Link, theme: str | None) -> None:
        super().__init__()
        self.results: list[Any] = []
        self._link = link
        for each in THEMES:
            self.register_theme(each)
        if theme is not None:
            self.theme = theme

    @on(Replied)
    def _replied(self, event: Replied) -> None:
        self._link.deliver(event)


@pytest.fixture
def run_sheet(listener: Listener) -> RunApp:
    """Run one screen over nothing, with `listener` as its backend: `async with run_sheet(DoctorScreen) as pilot`."""

    @asynccontextmanager
    async def run(
        make: Callable[[Link], Screen[Any]],
        size: tuple[int, int] = (120, 40),
        theme: str | None = "longctx-dark",
        backend: Listener | None = listener,
    ) -> AsyncIterator[Pilot[Any]]:
        link = Link()
        link.backend = backend
        app = Behind(link, theme)
        listener.app = app
        async with app.run_test(size=size) as pilot:
            await app.push_screen(make(link), app.results.append)
            await pilot.pause()
            yield pilot

    return run


@pytest.fixture(autouse=True)
def cursors_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda self: None)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)


class Svg(SingleFileSnapshotExtension):
    """A picture of the screen."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> Callable[[Pilot[Any]], None]:
    """Compare what the screen shows with what it showed when the picture was taken."""

    def compare(pilot: Pilot[Any]) -> None:
        svg = re.sub(r"terminal-\d+", "terminal", pilot.app.export_screenshot(simplify=True))  # a hash of all of it
        assert svg == snapshot.use_extension(Svg)

    return compare
