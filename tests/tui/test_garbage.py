"""Cyclic garbage: all of it is collected while nobody waits, and not before; Python's own ways are back at the end."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from longctx.backend.replies import Delta
from longctx.backend.requests import Ask, Open
from tui.app import LongctxApp
from tui.garbage import CALM_LOOKS, LAST_RESORT, collected_when_idle
from tui.messages import QuestionAsked

LOOK_S = 0.01


class Person:
    """Whether somebody waits, as a test says."""

    def __init__(self) -> None:
        self.painted = asyncio.Event()
        self.painted.set()
        self.idle_s = 0.0


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def python_collects(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looks come fast here, and whatever a test does Python collects as before after it."""
    monkeypatch.setattr("tui.garbage.LOOK_S", LOOK_S)
    before = gc.isenabled(), gc.get_threshold()
    yield
    gc.unfreeze()
    assert (gc.isenabled(), gc.get_threshold()) == before


def old_knot() -> weakref.ref[Knot]:
    """Garbage that has outlived two collections of what is new."""
    knot = Knot()
    reference = weakref.ref(knot)
    gc.collect(1)
    return reference


def full_collections() -> int:
    """How often Python has looked through everything."""
    return int(gc.get_stats()[2]["collections"])


async def until(is_so: Any, most_s: float = 5.0) -> bool:
    deadline = time.monotonic() + most_s
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_S)
    return bool(is_so())


async def test_what_is_old_is_collected_once_nobody_waits() -> None:
    person = Person()
    async with collected_when_idle(person):
        assert await until(gc.isenabled)
        knot = old_knot()
        gc.collect(1)
        await asyncio.sleep(3 * CALM_LOOKS * LOOK_S)
        assert knot() is not None
        person.idle_s = 1.0
        assert await until(lambda: knot() is None)


async def test_it_is_collected_once_each_time() -> None:
    person, before = Person(), full_collections()
    async with collected_when_idle(person):
        assert await until(gc.isenabled)
        for time_ in (1, 2):
            person.idle_s = 1.0
            assert await until(partial(has_collected, before + time_))
            await asyncio.sleep(3 * CALM_LOOKS * LOOK_S)
            assert full_collections() == before + time_
            person.idle_s = 0.0
            await asyncio.sleep(3 * LOOK_S)


def has_collected(times: int) -> bool:
    return full_collections() >= times


async def test_nothing_is_collected_before_the_first_paint() -> None:
    person = Person()
    person.painted.clear()
    async with collected_when_idle(person):
        await asyncio.sleep(LOOK_S)
        assert not gc.isenabled()
        person.painted.set()
        assert await until(gc.isenabled)
        assert gc.get_freeze_count() > 0


async def test_new_garbage_is_collected_as_ever_and_all_of_it_in_the_end() -> None:
    before = gc.get_threshold()
    async with collected_when_idle(Person()):
        assert await until(gc.isenabled)
        assert gc.get_threshold() == (*before[:2], LAST_RESORT)
        knot = weakref.ref(Knot())
        kept = [Person() for _ in range(2 * before[0])]
        assert kept
        assert knot() is None


async def test_python_collects_as_before_however_it_ends() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(ValueError, match="broken"):
        async with collected_when_idle(Person()):
            raise ValueError("broken")
    assert gc.isenabled()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


async def test_where_nothing_is_ever_painted_it_begins_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.garbage.PAINTED_S", LOOK_S)
    person = Person()
    person.painted.clear()
    async with collected_when_idle(person):
        assert await until(gc.isenabled)


# --- the application --------------------------------------------------------------------------------------------------


async def ready(pilot: Pilot[Any], listener: Any) -> LongctxApp:
    """Nothing is done any more for anybody."""
    listener.tell(Open)
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, LongctxApp)
    assert await until(gc.isenabled)
    assert not app.workspace.is_preparing
    return app


async def removed(pilot: Pilot[Any]) -> weakref.ref[Static]:
    """A widget that has left the screen, old enough for a full collection only; Textual knows the last of them yet."""
    references = []
    for _ in range(6):
        widget = Static("x" * 100)
        references.append(weakref.ref(widget))
        await pilot.app.screen.mount(widget)
        await pilot.pause()
        await widget.remove()
        await pilot.pause()
    gc.collect(1)
    return references[0]


async def test_the_app_is_not_idle_while_an_answer_streams(run_app: Any, listener: Any) -> None:
    async with run_app() as pilot, collected_when_idle(pilot.app):
        app = await ready(pilot, listener)
        app.workspace.post_message(QuestionAsked("Where?"))
        assert await until(lambda: app.workspace.is_answering)
        app._touched_s -= 3600
        before = full_collections()
        for _ in range(3 * CALM_LOOKS):
            listener.tell(Ask, Delta("word "), done=False)
            await pilot.pause(LOOK_S)
        assert app.idle_s == 0
        assert full_collections() == before
        listener.tell(Ask)
        await until(lambda: not app.workspace.is_answering)
        assert await until(lambda: full_collections() > before)


async def test_widgets_that_have_gone_are_collected_when_nobody_touches_anything(run_app: Any, listener: Any) -> None:
    async with run_app() as pilot, collected_when_idle(pilot.app):
        app = await ready(pilot, listener)
        app._touched_s = time.monotonic() + 3600
        gone = await removed(pilot)
        await asyncio.sleep(10 * LOOK_S)
        assert gone() is not None
        app._touched_s = time.monotonic() - 3600
        assert await until(lambda: gone() is None)


async def test_a_key_or_the_mouse_ends_being_idle(run_app: Any, listener: Any) -> None:
    async with run_app() as pilot:
        app = await ready(pilot, listener)
        for touch in (partial(pilot.press, "tab"), partial(pilot.hover, "#prompt")):
            app._touched_s -= 3600
            assert app.idle_s > 3000
            await touch()
            assert app.idle_s < 60
