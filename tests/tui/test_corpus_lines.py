"""The words of the corpus pane fit, say what is, and hold nothing that a terminal obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from longctx.backend.replies import CorpusOpened, FileIs, ReadingFiles, Sending
from tui.corpus_lines import Plan, bar, detail, legend, percent, progress, row_pieces, summary
from tui.corpus_tree import Cached, Folder, Row, build, cached_counts, excluded, sign_of
from tui.fitting import fitted, fitted_end
from tui.marks import FileSign

HOSTILE = [
    "[/red]",
    "[bold",
    "[@click=app.quit]x[/]",
    "a\x1b[31mb",
    "\u202eabc",
    "\ud800",
    "x" * 10_000,
    "",
    "e" + "\u0301" * 9999,
]


def file(path: str, sending: Sending = Sending.SENT, status: str = "read", why: str = "") -> FileIs:
    return FileIs(path=path, tokens=1200, sending=sending, status=status, why=why, position=3)


def text_of(pieces: list[tuple[str, str]]) -> str:
    return "".join(text for text, _ in pieces)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 9, "    "),
        (1, 10**6, "▏   "),
        (1, 4, "█   "),
        (3, 8, "█▌  "),
        (9, 9, "████"),
        (3, 0, "    "),
        (99, 9, "████"),
    ],
)
def test_bar(part: int, whole: int, shown: str) -> None:
    assert bar(part, whole, 4) == shown


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 30))
def test_a_bar_has_its_width(part: int, whole: int, width: int) -> None:
    assert len(bar(part, whole, width)) == width
    assert len(percent(min(part, whole), whole)) <= 6


@pytest.mark.parametrize(
    ("part", "shown"), [(0, "0 %"), (1, "<.1 %"), (290, "2.9 %"), (5700, "57 %"), (10_000, "100 %")]
)
def test_percent(part: int, shown: str) -> None:
    assert percent(part, 10_000) == shown


@given(st.text(max_size=40), st.integers(1, 30))
def test_a_text_fits(text: str, width: int) -> None:
    assert cell_len(fitted(text, width)) == width
    assert cell_len(fitted_end(text, width)) <= width


def test_what_is_cut_says_so() -> None:
    assert fitted("prefill.py", 6) == "prefi…"
    assert fitted("漢字漢字", 4) == "漢 …"
    assert fitted_end("src/prefill.py", 6) == "…ll.py"
    assert (fitted("abc", 0), fitted("abc", -3)) == ("", "")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [12, 30, 120])
def test_a_row_fits_and_obeys_nothing(name: str, width: int) -> None:
    for sending in Sending:
        node = file("a/" + name, sending, "no text", name)
        pieces = row_pieces(
            Row(node, 40, name, 5000), width, sign=FileSign.NEW, opened=False, marked=True, unread=False
        )
        assert cell_len(text_of(pieces)) == width
        assert text_of(pieces).isprintable()
        assert len(text_of(pieces)) < 5 * width


def test_a_row() -> None:
    row = Row(file("src/prefill.py"), 1, "prefill.py", 2400)
    text = text_of(row_pieces(row, 32, sign=FileSign.CACHED, opened=False, marked=False, unread=False))
    assert text == "●    prefill.py        1.2K ██  "
    out = Row(file("scan.pdf", Sending.LEFT_OUT, "no text", "3 pages"), 0, "scan.pdf", 0)
    text = text_of(row_pieces(out, 24, sign=FileSign.LEFT_OUT, opened=False, marked=True, unread=False))
    assert text == "✗*  scan.pdf     no text"
    folder = Row(Folder("src/", tokens=2400, sent=2), 0, "src/", 4800)
    text = text_of(row_pieces(folder, 60, sign=FileSign.NEW, opened=True, marked=False, unread=False))
    assert text == "○ ▾ src/                              2.4K   50 % █████     "


def test_the_lines_about_a_file() -> None:
    plan = Plan(frozenset({"u"}), frozenset({"p"}))
    cached = Cached(frozenset({"f"}), {})
    assert detail(file("f"), cached, 12_000, plan) == (
        "f",
        "1.2K tokens · 10 % · no. 4",
        "● cached · read in full for the last question",
    )
    assert detail(file("f"), cached, 12_000, plan, 26)[1] == "1.2K · 10 % · no. 4"
    assert detail(file("u"), cached, 12_000, plan)[2] == "○ new · not read for the last question"
    assert detail(file("p"), None, 12_000, plan)[2] == "· sent · read in part for the last question"
    assert detail(file("p", status="partly read", why="2 pages"), None, 1, None)[2] == "· sent · partly read: 2 pages"
    assert detail(file("t", Sending.TWIN, "duplicate of", "f"), cached, 9, plan)[2] == "= twin · = f"
    assert detail(file("x", Sending.LEFT_OUT, "binary"), cached, 9, plan)[1:] == (
        "1.2K tokens, not added",
        "✗ left out · binary",
    )
    assert detail(excluded("old/"), cached, 9, plan)[1:] == ("adds no tokens", "– excluded · space takes it back")


def test_the_lines_about_a_folder() -> None:
    root = build([file("a/x"), file("a/y"), file("a/l", Sending.LEFT_OUT, "binary"), excluded("a/old/")])
    stored = frozenset({"a/x"})
    where, how_much, state = detail(root.folders["a/"], Cached(stored, cached_counts(root, stored)), 2400, None)
    assert (where, how_much) == ("a/", "2.4K tokens · 100 % · 3 files")
    assert state == "◐ 1 of 2 cached · ✗ 1 left out · – some excluded"
    assert sign_of(root, None) == FileSign.SENT


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_line_obeys(hostile: str) -> None:
    for sending in Sending:
        assert all(line.isprintable() for line in detail(file(hostile, sending, hostile, hostile), None, 1, None))
    reading = ReadingFiles(doing="reading", done=9, total=3, path=hostile, tokens=1)
    assert all(line.isprintable() for line in progress(reading, 20))


def test_the_border_says_as_much_as_fits() -> None:
    corpus = CorpusOpened(
        id="c", name="k", folder="/k", sources=("k",), files=214, skipped=3, tokens=1_420_000, stale=12_000, changed=0,
        excluded=("old/",),
    )  # fmt: skip
    assert summary(corpus, 80) == "1.42M tokens · 214 files · ✗ 3 left out · – 1 excluded · 12.0K stale"
    assert summary(corpus, 30) == "1.42M · 214 files · ✗ 3 · – 1"
    assert summary(corpus, 8) == "1.42M"


def test_the_legend_has_the_signs_that_occur() -> None:
    assert legend([FileSign.LEFT_OUT, FileSign.CACHED], 40) == "● cached  ✗ left out"
    assert legend([FileSign.LEFT_OUT, FileSign.CACHED], 14) == "●cached ✗out"
    assert legend([], 14) == ""


def test_progress_without_a_total() -> None:
    reading = ReadingFiles(doing="reading", done=1204, total=None, path="a", tokens=5)
    assert progress(reading, 30) == ("reading 1,204 files", "5 tokens", "a")
