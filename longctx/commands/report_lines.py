"""What is said on stderr of a report on its way: what will be done, a line for each item, where the outputs are.

Whatever comes from a model, a document or a manifest is made safe first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.naming import show
from longctx.commands.faces import Progress
from longctx.commands.prefixes import counted
from longctx.durations import duration
from longctx.events import Notice, Planned
from longctx.narration import ProgressLine
from longctx.reports import items, run
from longctx.reports.report import Item, State

if TYPE_CHECKING:
    from longctx.events import AnswerEvent

ID_SHOWN, WORDS_SHOWN, ERROR_SHOWN, NAMED = 60, 48, 240, 12
LEAST_SHOWN_S = 0.1
MARKUP = re.compile(r"(?m)^[ \t]*(?:[>#*|-]+[ \t]*)+|[*`]+")


class ReportProgress(Progress):
    """How far the items are, on stderr; a notice that comes with each of them is shown once."""

    def __init__(self, items: int, *, quiet: bool) -> None:
        line = ProgressLine(quiet=quiet, quiet_for_s=0)
        super().__init__(line)
        self._bar = line
        self._items = items
        self._said = set[str]()

    def told(self, event: "run.RunEvent") -> None:
        """Show an event of a run."""
        match event:
            case run.Planned():
                for line in plan_lines(event):
                    self.say(line)
            case run.Told(event=told):
                self._tell_once(told)
            case run.Reading():
                self._show_reading(event)
            case run.Settled(number, item, was_asked) if was_asked or _is_news(item):
                self.end()
                self.say(item_line(number, self._items, item))
            case run.GaveUp(count, reason):
                self.say(
                    f"longctx: {counted(count, 'item')} not asked: the engine fails: {_short(reason, ERROR_SHOWN)}"
                )

    def _tell_once(self, event: "AnswerEvent") -> None:
        if isinstance(event, Notice):
            if event.message in self._said:
                return
            self._said.add(event.message)
        self.tell(event)

    def _say_plan(self, planned: Planned) -> None:
        """What is sent of the corpus is told once, not with each item."""
        from longctx.commands.faces import plan_lines as lines

        for line in lines(planned):
            told = line.rpartition(" (")[0] or line
            if told not in self._said:
                self._said.add(told)
                self._bar.say(line)

    def _show_reading(self, event: "run.Reading") -> None:
        with self._pulse.lock:
            text = f"{counted(event.items, 'item')} asked; reading: {event.done:,} of {event.total:,} tokens"
            self._bar.tell(event.done, text, event.total)
            self._pulse.shown()


def _is_news(item: Item) -> bool:
    """Whether an item failed without being asked, for a reason of its own."""
    return item.state is State.FAILED and not item.error.startswith(run.NOT_ASKED)


def plan_lines(planned: "run.Planned") -> Iterator[str]:
    """`4 of 12 were done before; 8 are asked: 5 new, 3 because the corpus has changed`."""
    asked = sum(planned.asked.values())
    before = f"{planned.done:,} of {planned.items:,} items done before; " if planned.done else ""
    if not asked:
        yield f"{before or counted(planned.items, 'item') + '; '}nothing is to be asked"
        return
    reasons = ", ".join(f"{count:,} {_because(why)}" for why, count in planned.asked.items())
    of = "" if planned.done else f" of {planned.items:,}"
    yield f"{before}{asked:,}{of} to be asked: {reasons}" + _left(planned.waiting)


def _because(why: str) -> str:
    return why if why in (run.NEW, run.AGAIN) else f"because {why}"


def _left(waiting: int) -> str:
    return f"; {waiting:,} left for later" if waiting else ""


def item_line(number: int, of: int, item: Item) -> str:
    """`[7/12] covenants  ✓ 14 cites (13 verified)  prompt 1.42M (99% cached)  18 s  "The credit…"`."""
    head = f"[{number}/{of}] {_name(item.id)}"
    if item.state is State.FAILED:
        return f"{head}  ✗ {_short(item.error, ERROR_SHOWN)}"
    answer = item.answer or {}
    parts = [f"{head}  ✓ {_cites(item)}", *_prompt(answer)]
    if item.wall_s >= LEAST_SHOWN_S:
        parts.append(duration(item.wall_s))
    if item.calls > 1:
        parts.append(f"{item.calls:,} calls")
    words = MARKUP.sub("", items.said(str(answer.get("answer_markdown", ""))))
    return "  ".join([*parts, f'"{_short(words, WORDS_SHOWN)}"'])


def _name(identity: str) -> str:
    """An id, of a long one its end: that is where paths differ."""
    shown = show(identity)
    return shown if len(shown) <= ID_SHOWN else f"…{shown[1 - ID_SHOWN :]}"


def _cites(item: Item) -> str:
    if not item.evidence:
        return "no cites"
    verified = sum(each.status == "verified" for each in item.evidence)
    return f"{counted(len(item.evidence), 'cite')} ({verified:,} verified)"


def _prompt(answer: Mapping[str, Any]) -> list[str]:
    """What a model was sent; nothing where there was none."""
    tokens = answer.get("tokens", {})
    if not (sent := tokens.get("prompt")):
        return []
    cached = f" ({tokens['cached'] / sent:.0%} cached)" if "cached" in tokens else ""
    return [f"prompt {compact(sent)}{cached}"]


def compact(count: int) -> str:
    """`812`, `14.2k`, `1.42M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1e3:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"


def _short(text: str, most: int) -> str:
    words = show(" ".join(text[: 4 * most].split()))
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def end_lines(rows: Sequence[Item], paths: Sequence[Path]) -> Iterator[str]:
    """What became of the items, and where the report is."""
    done = sum(item.state is State.DONE for item in rows)
    failed = sum(item.state is State.FAILED for item in rows)
    pending = len(rows) - done - failed
    states = [
        f"{done:,} done",
        *([f"{failed:,} failed"] if failed else ()),
        *([f"{pending:,} not asked"] * bool(pending)),
    ]
    yield f"{counted(len(rows), 'item')}: {', '.join(states)}"
    if paths:
        folder = paths[0].parent
        yield f"written in {show(str(folder))}: {', '.join(path.name for path in paths)}"


def failures(rows: Sequence[Item]) -> str:
    """`2 of 12 items failed: covenants, risks`; nothing where none has."""
    failed = [item.id for item in rows if item.state is State.FAILED]
    if not failed:
        return ""
    more = f" and {len(failed) - NAMED:,} more" if len(failed) > NAMED else ""
    names = ", ".join(map(_name, failed[:NAMED]))
    return f"{len(failed):,} of {counted(len(rows), 'item')} failed: {names}{more}"
