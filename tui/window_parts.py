"""The windows of a corpus, which the backend tells in parts, joined."""

from collections.abc import Callable

from longctx.backend.replies import Reply, WindowsAre


class WindowParts:
    """Takes the replies to one request for windows, and gives them whole once the last part has come."""

    def __init__(self, whole: Callable[[WindowsAre], object]) -> None:
        self._whole = whole
        self._parts: list[WindowsAre] = []

    def take(self, reply: Reply) -> None:
        """One more reply; others than parts are passed over."""
        if not isinstance(reply, WindowsAre):
            return
        self._parts.append(reply)
        if reply.is_last:
            self._whole(joined(self._parts))


def joined(parts: list[WindowsAre]) -> WindowsAre:
    """The parts as one."""
    windows = (window for part in parts for window in part.windows)
    texts = (text for part in parts for text in part.texts)
    return WindowsAre(windows=tuple(windows), texts=tuple(texts), cached=parts[-1].cached)
