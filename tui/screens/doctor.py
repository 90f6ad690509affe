"""The doctor: each check as it is done, what mends it, and what to do next."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from ingest.naming import safe_text
from longctx.backend.replies import Checked, Done, Failed, NextSteps, Reply
from longctx.backend.requests import Doctor
from longctx.diagnosis import Check, Status
from tui.fitting import one_line
from tui.link import Link
from tui.screens.sheet import Sheet, failure, hanging

SIGNS = {
    Status.OK: ("✓", "$text-success"),
    Status.NOTE: ("·", "$text-muted"),
    Status.MISSING: ("○", "$text-warning"),
    Status.BAD: ("✗", "$text-error"),
}
UNBROKEN = 10_000  # columns


class DoctorScreen(Sheet[None]):
    """Shows what the backend finds on this machine."""

    DEFAULT_CSS = """
    DoctorScreen {
        #doctor-checks { height: auto; scrollbar-size-vertical: 1; background: $surface; }
        Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "look again", id="doctor.again"),
        Binding("y", "copy_report", "copy", id="doctor.copy"),
    ]
    KEYS = (("r", "r", "looks again"), ("y", "y", "copies the report"))
    NAME = "Doctor"
    GROWS = "#doctor-checks"
    HELP = """
## The doctor

`✓ ok` is there · `· note` is worth knowing · `○ missing` nobody may need · `✗ bad` was set and can't work.
Behind `→` stands what mends it. **r** looks again, **y** copies all of it.
"""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._checks: list[Check] = []
        self._steps: Sequence[str] = ()
        self._failed: Failed | None = None
        self._is_looking = False

    def parts(self) -> ComposeResult:
        with VerticalScroll(id="doctor-checks"):
            yield Static(id="doctor-report", markup=False)

    def on_mount(self) -> None:
        self.query_one("#doctor-checks").focus()
        self.action_again()

    @on(Resize)
    def _fit(self) -> None:
        self.call_after_refresh(self._draw)

    def action_again(self) -> None:
        if not self._is_looking:
            self._checks, self._steps, self._failed, self._is_looking = [], (), None, True
            self._draw()
            self.ask(Doctor(), self._told)

    def action_copy_report(self) -> None:
        self.copy(report(self._checks, self._steps), "the report")

    def _told(self, reply: Reply) -> None:
        match reply:
            case Checked(check):
                self._checks.append(check)
            case NextSteps(steps):
                self._steps = steps
            case Failed():
                self._failed, self._is_looking = reply, False
            case Done():
                self._is_looking = False
        self._draw()

    def _draw(self) -> None:
        width = self.query_one("#doctor-checks").scrollable_content_region.width
        parts = [entry(check, width) for check in self._checks]
        if self._is_looking:
            parts.append(Content.styled("… looking", "$text-muted"))
        if self._failed is not None:
            parts.append(failure(self._failed))
        if self._steps:
            parts += [Content(), *(Content(safe_text(step)) for step in self._steps)]
        self.query_one("#doctor-report", Static).update(Content("\n").join(parts))
        self.remark(in_short(self._checks))


def entry(check: Check, width: int) -> Content:
    """A check: its sign and word, its name, what was found, and below it what mends it."""
    sign, color = SIGNS[check.status]
    head = Content.assemble((f"{sign} {check.status:<8}", color), f"{one_line(check.name):<12}")
    fix = "".join(f"\n→ {line}" for line in safe_text(check.fix).splitlines())
    return hanging(head, Content(safe_text(check.text).strip() + fix), width)


def report(checks: Sequence[Check], steps: Sequence[str]) -> str:
    """All of it as plain text."""
    found = [entry(check, UNBROKEN).plain for check in checks]
    return "\n".join([*found, *([""] if steps else []), *map(safe_text, steps)])


def in_short(checks: Sequence[Check]) -> str:
    """`9 ok · 2 missing`."""
    counted = Counter(check.status for check in checks)
    return " · ".join(f"{counted[status]} {status}" for status in Status if counted[status])
