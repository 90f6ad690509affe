"""Where a question is typed."""

from collections.abc import Callable, Sequence

from textual.widgets import TextArea


class Prompt(TextArea):
    """Says QuestionAsked, CommandTyped and StopWanted; `@` completes the paths that `paths` gives."""

    def __init__(self, paths: Callable[[], Sequence[str]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._paths = paths

    def take_back(self, question: str, instead_of: str) -> None:
        """Put an earlier question here, to be changed and asked again."""
