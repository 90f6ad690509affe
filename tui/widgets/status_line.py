"""The first line of the main screen."""

from dataclasses import replace
from typing import Any

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.status import Status, first_line


class StatusLine(Widget):
    """Shows a Status."""

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; }"
    ALLOW_SELECT = False
    status: reactive[Status] = reactive(Status())

    def say(self, **changes: Any) -> None:
        """Change some of what it says."""
        self.status = replace(self.status, **changes)

    def render(self) -> Content:
        return first_line(self.status, self.size.width)
