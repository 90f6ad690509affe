"""What is said on stderr of a report on its way: what will be done, a line for each item, where the outputs are.

Whatever comes from a model, a document or a manifest is made safe first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.naming import show
from ingest.own_report import PICTURES
from longctx.commands.faces import Progress
from longctx.counted import counted
from longctx.digest_answer import EMPTY
from longctx.durations import duration
from longctx.events import Notice, Planned
from longctx.narration import ProgressLine
from longctx.reports import items, run_events
from longctx.reports.report import Item, State

if TYPE_CHECKING:
    from longctx.events import AnswerEvent
    from longctx.reports.run import Run

WORDS_SHOWN, ERROR_SHOWN, NAMED = 48, 240, 12
LEAST_SHOWN_S = 0.1
HEADING = re.compile(r"\s*(?:#{1,6}\s|```|~~~|\*\*.*\*\*:?\s*$|(?:`[^`]*` in )?`[^`]*`\s*$|>?\s*#)")
NAMED_FIRST = re.compile(r"^(\s*[-*>]?\s*)`[^`]*`(?:, `[^`]*`)*: ")
MARKUP = re.compile(r"(?m)^[ \t]*(?:[>#*|-]+[ \t]*)+|[*`]+")


class ReportProgress(Progress):
    """How far the items are, on stderr; a notice that comes with each of them is shown once."""

    def __init__(self, items: int, *, quiet: bool) -> None:
        line = ProgressLine(quiet=quiet, quiet_for_s=0)
        super().__init__(line)
        self._bar = line
        self._items = items
        self._said = set[str]()

    def told(self, event: "run_events.RunEvent") -> None:
        """Show an event of a run."""
        match event:
            case run_events.Agenda():
                for line in agenda_lines(event):
                    self.say(line)
            case run_events.Told(event=told):
                self._tell_once(told)
            case run_events.Reading():
                self._show_reading(event)
            case run_events.Settled(number, item, was_asked) if was_asked or _is_news(item):
                self.end()
                self.say(item_line(number, self._items, item))
            case run_events.GaveUp(count, reason):
                self.say(
                    f"longctx: {counted(count, 'item')} not asked: the engine is down: {_short(reason, ERROR_SHOWN)}"
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

    def _show_reading(self, event: "run_events.Reading") -> None:
        with self._pulse.lock:
            text = f"{counted(event.items, 'item')} asked; reading: {event.done:,} of {event.total:,} tokens"
            self._bar.tell(event.done, text, event.total)
            self._pulse.shown()


def _is_news(item: Item) -> bool:
    """Whether an item failed without being asked, for a reason of its own."""
    return item.state is State.FAILED and not item.error.startswith(run_events.NOT_ASKED)


def agenda_lines(agenda: "run_events.Agenda") -> Iterator[str]:
    """`4 of 12 items done before; 8 to be asked: 5 new, 3 because the corpus has changed`."""
    if agenda.without_model:
        have = "has" if agenda.without_model == 1 else "have"
        yield f"{counted(agenda.without_model, 'item')} {have} a schema, which needs a model: quoted only, and failed"
    asked = sum(agenda.asked.values())
    before = f"{agenda.done:,} of {agenda.total:,} items done before; " if agenda.done else ""
    if not asked:
        yield f"{before or counted(agenda.total, 'item') + '; '}nothing is to be asked"
        return
    reasons = ", ".join(f"{count:,} {_because(why)}" for why, count in agenda.asked.items())
    of = "" if agenda.done else f" of {agenda.total:,}"
    yield f"{before}{asked:,}{of} to be asked: {reasons}" + _left(agenda.waiting)


def _because(why: str) -> str:
    return why if why in (run_events.NEW, run_events.AGAIN, run_events.FORCED) else f"because {why}"


def _left(waiting: int) -> str:
    return f"; {waiting:,} left for later" if waiting else ""


def item_line(number: int, of: int, item: Item) -> str:
    """`[7/12] covenants  ✓ 14 cites (13 verified)  prompt 1.42M (99% cached)  18 s  "The credit…"`."""
    head = f"[{number}/{of}] {_name(item)}"
    if item.state is State.FAILED:
        return f"{head}  ✗ {_short(item.error, ERROR_SHOWN)}"
    answer = item.answer or {}
    parts = [f"{head}  ✓ {_cites(item)}", *_prompt(answer)]
    if item.wall_s >= LEAST_SHOWN_S:
        parts.append(duration(item.wall_s))
    if item.calls > 1:
        parts.append(f"{item.calls:,} calls")
    return "  ".join([*parts, f'"{_short(_first_statement(answer), WORDS_SHOWN)}"'])


def _first_statement(answer: Mapping[str, Any]) -> str:
    """The first line of an answer that says something, without its marks: no heading, no name of a file alone, and
    that nothing was found only where there is no more."""
    lines = items.said(str(answer.get("answer_markdown", ""))).splitlines()
    told = (MARKUP.sub("", NAMED_FIRST.sub(r"\1", line)).strip() for line in lines if not HEADING.match(line))
    words = sorted(filter(None, told), key=EMPTY.__eq__)
    return next(iter(words), " ".join(map(str.strip, lines[:1])))


def _name(item: Item) -> str:
    return items.printed(item.id, item.kind, item.title)


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
        yield f"written in {show(str(folder))}: {', '.join(map(_file, paths))}"


def _file(path: Path) -> str:
    """A name, that of a folder with a slash."""
    return f"{path.name}/" if path.name == PICTURES else path.name


def failures(rows: Sequence[Item]) -> str:
    """`2 of 12 items failed: covenants, risks; 3 are not asked yet`; nothing where none has failed."""
    failed = [item for item in rows if item.state is State.FAILED]
    if not failed:
        return ""
    pending = sum(item.state is State.PENDING for item in rows)
    rest = f"; {pending:,} {'is' if pending == 1 else 'are'} not asked yet" if pending else ""
    return f"{len(failed):,} of {counted(len(rows), 'item')} failed: {_names(failed)}{rest}"


def left_alone(run: "Run") -> Iterator[str]:
    """Names the items that failed and have their answers from before, and those that were not to be asked now."""
    if run.in_vain:
        stay = "its answer from before stays" if len(run.in_vain) == 1 else "their answers from before stay"
        yield f"{counted(len(run.in_vain), 'item')} failed when asked again; {stay}: {_names(run.in_vain)}"
    wanted = {item.id for item in run.wanted}
    if others := [item for item in run.items if item.state is State.FAILED and item.id not in wanted]:
        yield f"{counted(len(others), 'item')} failed before, and not asked now: {_names(others)}"


def _names(rows: Sequence[Item]) -> str:
    more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
    return ", ".join(map(_name, rows[:NAMED])) + more
