"""What is shown while an engine works, and that it ends."""

import time

import pytest

from longctx.answer import Mode, Reading
from longctx.commands.faces import Progress, reading_line
from longctx.commands.pulse import Pulse
from longctx.events import Notice, Planned, PrefillProgress, Stepped, TextDelta
from longctx.narration import ProgressLine

READING = Reading(mode=Mode.FULL, read_tokens=900, corpus_tokens=900)


class Line(ProgressLine):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def tell(self, done: int, text: str, total: int | None = None) -> None:
        self.told.append(text)

    def say(self, line: str) -> None:
        self.told.append(line)


def planned(rate: float | None = None, *, rolled: bool = False) -> Planned:
    return Planned(reading=READING, prompt_tokens=1000, limit_tokens=None, rolled=rolled, prefill_tokens_per_s=rate)


def test_a_silent_engine_is_waited_for_with_what_is_known() -> None:
    line = Line()
    progress = Progress(line)
    progress.tell(planned())
    assert line.told[-1].startswith("waiting for the first word: 1,000 tokens sent")
    progress.tell(planned(rate=10.0))
    assert "of about 1 min 40 s (estimated)" in line.told[-1]
    progress.tell(planned(rate=1e9))
    time.sleep(0.001)
    progress._beat()
    assert "longer than estimated" in line.told[-1]


def test_the_engine_s_own_word_is_shown_in_place_of_a_guess() -> None:
    line = Line()
    progress = Progress(line)
    progress.tell(planned(rate=10.0))
    progress.tell(PrefillProgress(done=400, total=1000, cached=300))
    assert line.told[-1] == "reading: 400 of 1,000 tokens, 300 cached"
    progress._beat()
    assert line.told[-1] == "reading: 400 of 1,000 tokens, 300 cached"


@pytest.mark.parametrize("ended", ["by a word", "by a failure"])
def test_nothing_waits_any_more_once_it_has_ended(ended: str) -> None:
    line = Line()
    progress = Progress(line)
    progress.tell(planned())
    if ended == "by a word":
        progress.tell(TextDelta("Seven"))
    else:
        progress.end()
    before = len(line.told)
    progress._beat()
    assert len(line.told) == before


def test_opening_an_engine_is_shown_until_it_is_open() -> None:
    line = Line()
    progress = Progress(line)
    with progress.during("opening the engine scout"):
        progress._beat()
        assert line.told[-1].startswith("opening the engine scout: 0.")
    before = len(line.told)
    progress._beat()
    assert len(line.told) == before


def test_a_notice_can_not_paint() -> None:
    line = Line()
    Progress(line).tell(Notice("the disk \x1b[2J is full"))
    assert line.told == ["longctx: the disk \\x1b[2J is full"] or "\x1b" not in line.told[0]


def test_a_conversation_that_rolls_on_says_so() -> None:
    line = Line()
    Progress(line).tell(planned(rolled=True))
    assert any("outgrown its window" in text for text in line.told)


def test_what_is_not_read_is_named() -> None:
    reading = Reading(
        mode=Mode.FOCUS, read_tokens=250, corpus_tokens=1000, unread=("a", "b", "c", "d\x1b"), partly=("e",)
    )
    shown = reading_line(reading, 400)
    assert shown.startswith("reading 250 of 1,000 tokens (25%); 4 documents left out: a, b, c and 1 more")
    assert "1 document read in part: e" in shown


def test_a_pulse_beats_only_while_nothing_is_shown() -> None:
    beats: list[float] = []
    with Pulse(lambda: beats.append(time.monotonic()), every_s=0.05) as pulse:
        deadline = time.monotonic() + 30
        while len(beats) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(beats) >= 3
    assert not pulse._thread.is_alive()


def test_of_a_summary_in_several_calls_each_is_said_and_shown() -> None:
    line = Line()
    progress = Progress(line)
    progress.tell(Stepped(2, 14, "a.md … f.md"))
    assert line.told == ["call 3 of 14: a.md … f.md"]
    progress.tell(PrefillProgress(done=400, total=1000, cached=0))
    progress._beat()
    assert line.told[-1] == "reading: 400 of 1,000 tokens"
    progress.tell(PrefillProgress(done=1000, total=1000, cached=0))
    progress._beat()
    assert line.told[-1].startswith("call 3 of 14: a.md … f.md: ")
    progress.tell(TextDelta("It"))
    count = len(line.told)
    progress._beat()
    assert len(line.told) == count
