"""Which files need not be read again: those all of whose windows are stored."""

from longctx.backend.replies import WindowsAre


def cached_files(windows: WindowsAre) -> frozenset[str] | None:
    """The paths whose every piece lies in a stored window; None where that is not known."""
    if windows.cached is None:
        return None
    stored = {piece.text for window in windows.windows[: windows.cached] for piece in window.pieces}
    missing = {piece.text for window in windows.windows[windows.cached :] for piece in window.pieces}
    current = {place: text.path for place, text in enumerate(windows.texts) if not text.is_stale}
    whole = stored - missing
    return frozenset(path for place, path in current.items() if place in whole)
