"""Which files need not be read again."""

import time

from longctx.backend.replies import PieceIs, TextIs, WindowIs, WindowsAre
from tui.cached_files import cached_files


def windows(texts: int, a_window: int, cached: int | None) -> WindowsAre:
    starts = range(0, texts, a_window)
    return WindowsAre(
        windows=tuple(WindowIs(9, tuple(PieceIs(n) for n in range(at, min(at + a_window, texts)))) for at in starts),
        texts=tuple(TextIs(path=str(n), sha256=str(n), tokens=1, is_stale=n == 0) for n in range(texts)),
        cached=cached,
    )


def test_files_whose_every_piece_is_stored_are_cached() -> None:
    assert cached_files(windows(6, 2, None)) is None
    assert cached_files(windows(6, 2, 2)) == frozenset("123"), "not what is stale"
    cut = WindowsAre(windows=(WindowIs(9, (PieceIs(0),)), WindowIs(9, (PieceIs(0),))), texts=windows(1, 1, 1).texts)
    assert cached_files(WindowsAre(windows=cut.windows, texts=cut.texts, cached=1)) == frozenset()


def test_very_many_files_take_no_time() -> None:
    told = windows(20_000, 16, 600)
    began_s = time.process_time()
    assert len(cached_files(told) or ()) == 9_599
    assert time.process_time() - began_s < 0.3
