"""Windows that come in parts are given whole, once."""

from longctx.backend.replies import Done, PieceIs, Reply, TextIs, WindowIs, WindowsAre
from tui.window_parts import WindowParts

A, B = (TextIs(path=path, sha256=path, tokens=9) for path in "ab")
FIRST, SECOND = (WindowIs(10, (PieceIs(n),)) for n in range(2))


def test_parts_are_joined_once_the_last_has_come() -> None:
    given = list[WindowsAre]()
    parts = WindowParts(given.append)
    parts.take(WindowsAre(windows=(FIRST,), texts=(A,), cached=1, is_last=False))
    assert given == []
    told: tuple[Reply, ...] = (WindowsAre(windows=(SECOND,), texts=(B,), cached=1), Done())
    for reply in told:
        parts.take(reply)
    assert given == [WindowsAre(windows=(FIRST, SECOND), texts=(A, B), cached=1)]


def test_a_whole_is_given_as_it_is() -> None:
    given = list[WindowsAre]()
    whole = WindowsAre(windows=(FIRST,), texts=(A,))
    WindowParts(given.append).take(whole)
    assert given == [whole]
