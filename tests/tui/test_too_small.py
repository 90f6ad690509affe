"""A terminal of any size: where it is too small one sentence says so, and what was there comes back."""

from typing import Any

import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from longctx.analysis import Asking
from longctx.backend.requests import Open
from longctx.request import Request
from longctx.settings import Settings
from tui.widgets.too_small import TooSmall, lines

TINY = [(1, 1), (1, 40), (2, 40), (3, 40), (5, 40), (10, 40), (19, 40), (120, 1), (120, 4)]
ANSWER = "Some **words** that stream[^1]\n\n|a|b|\n|-|-|\n|c|d|\n\n```python\nx=1\n```\n- a list\n"


async def as_sized(pilot: Pilot[Any], width: int, height: int) -> bool:
    """Give the terminal a size, have all of it drawn; whether a sentence covers it."""
    await pilot.resize_terminal(width, height)
    await pilot.pause(0.02)  # Textual gathers changes of the size for that long
    await pilot.pause()
    pilot.app.screen._compositor.render_strips()
    return bool(pilot.app.screen.query(TooSmall))


@pytest.mark.parametrize("state", ["answering", "start", "keys", "summarise"])
async def test_no_size_ends_it(run_app: Any, state: str) -> None:
    opening = Open(request=Request(()) if state == "start" else None, settings=Settings(), asking=Asking())
    async with run_app(opening=opening) as pilot:
        conversation = pilot.app.workspace.conversation
        if state != "start":
            conversation.begin("why?")
            conversation.add_text(ANSWER)
        if state == "keys":
            pilot.app.action_keys()
        if state == "summarise":
            pilot.app.workspace.action_summarise()
        await pilot.pause()
        focused = pilot.app.focused
        for size in TINY:
            assert await as_sized(pilot, *size), size
            if state == "answering":
                conversation.add_text(ANSWER)
        assert not await as_sized(pilot, 20, 5)
        assert not await as_sized(pilot, 120, 40)
        assert pilot.app.focused is focused


async def test_what_opens_meanwhile_is_covered_too(run_app: Any) -> None:
    async with run_app() as pilot:
        assert await as_sized(pilot, 7, 9)
        pilot.app.action_keys()
        await pilot.pause()
        await pilot.pause()
        assert len(pilot.app.screen.query(TooSmall)) == 1
        assert "small:" in pilot.app.screen._compositor.render_strips()[1].text


@pytest.mark.parametrize(("size", "said"), [((80, 1), 1), ((9, 40), 4), ((3, 2), 2), ((1, 1), 1)])
def test_as_much_is_said_as_there_is_room_for(size: tuple[int, int], said: int) -> None:
    shown = lines(Size(*size))
    assert len(shown) == said
    assert all(len(line) <= size[0] for line in shown)
