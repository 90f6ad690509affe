"""Where marks land, seen in the pixels of pages that are drawn with and without them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymupdf
import pytest

import ingest.picture
from ingest import pdf
from ingest.marks import Passage, letters
from ingest.outcome import ReadFailure, Status
from ingest.picture import MarkedPage, MarkedPages, Pixels, marked, part_with
from ingest.worker import Limits

LIBRARY: Any = pymupdf
WIDTH = 900
WORDS = ("tide", "harbour", "lighthouse", "keeper", "anchor", "sail", "mast", "current", "channel")


@pytest.fixture(scope="module")
def pages() -> Iterator[MarkedPages]:
    with MarkedPages() as open_pages:
        yield open_pages


def draw(pages: MarkedPages, path: Path, quote: str, page: int = 1) -> MarkedPage:
    """A quote of the page's own text, as it is cited."""
    text = pdf.read(path.read_bytes(), "a.pdf")
    there = text.pages[page - 1]
    start = text.text.index(quote, there.start, there.end)
    return pages.draw(str(path), page, [Passage(quote, len(letters(text.text[there.start : start])))], WIDTH)


def changed(pages: MarkedPages, path: Path, drawn: MarkedPage, page: int = 1) -> Any:
    """The box of all pixels, in points of the page as it is seen, that a mark has made another colour."""
    plain = pages.draw(str(path), page, [], WIDTH)
    one, two = (LIBRARY.Pixmap(each.jpeg) for each in (drawn, plain))
    assert (one.width, one.height) == (two.width, two.height)
    blue = zip(one.samples[2::3], two.samples[2::3], strict=True)
    those = [divmod(i, one.width) for i, (new, old) in enumerate(blue) if old - new > 90]
    assert those
    (top, *_, bottom), (left, *_, right) = sorted(y for y, _ in those), sorted(x for _, x in those)
    with LIBRARY.open(path) as document:
        scale = document[page - 1].rect.width / one.width
    return LIBRARY.Rect(left, top, right + 1, bottom + 1) * LIBRARY.Matrix(scale, scale)


def searched(path: Path, words: str, page: int = 1) -> Any:
    """Where the library itself finds words, as seen on the page."""
    with LIBRARY.open(path) as document:
        box = LIBRARY.Rect()
        for each in document[page - 1].search_for(words):
            box |= each
        return box * document[page - 1].rotation_matrix


def near(one: Any, other: Any, points: float = 4) -> bool:
    return all(abs(a - b) <= points for a, b in zip(one, other, strict=True))


def save(document: Any, path: Path) -> Path:
    document.save(path)
    document.close()
    return path


def prose(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * i * i + i) % len(WORDS)] + str(seed * 1000 + i) for i in range(words))


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    """Two columns of a page, written in lines across both, as some programs do."""
    document = LIBRARY.open()
    page = document.new_page()
    for seed, left in ((1, 50), (2, 310)):
        page.insert_textbox((left, 100, left + 240, 600), prose(seed, 60), fontsize=11)
    return save(document, tmp_path / "columns.pdf")


def test_a_passage_is_marked_where_it_stands(pages: MarkedPages, columns: Path) -> None:
    for seed in (1, 2):
        quote = prose(seed, 60).split()[20]
        drawn = draw(pages, columns, quote)
        assert drawn.marked == (True,)
        assert near(changed(pages, columns, drawn), searched(columns, quote))


def test_only_the_second_column_is_marked_for_its_lines(pages: MarkedPages, columns: Path) -> None:
    text = pdf.read(columns.read_bytes(), "a.pdf").text
    quote = text[text.index("2020") - 4 : text.index("2040")]
    box = changed(pages, columns, draw(pages, columns, quote))
    assert box.x0 > 300 and "\n" in quote


def test_a_word_parted_at_a_line_end_is_marked_on_both(pages: MarkedPages, tmp_path: Path) -> None:
    document = LIBRARY.open()
    page = document.new_page()
    page.insert_text((60, 200), ["Nobody has ever seen the light-", "house of Ostend by day, and none", "at night."])
    path = save(document, tmp_path / "hyphen.pdf")
    drawn = draw(pages, path, "lighthouse")
    with LIBRARY.open(path) as again:
        both = again[0].search_for("seen the")[0] | again[0].search_for("by day")[0]
    box = changed(pages, path, drawn)
    assert near((box.y0, box.y1), (both.y0, both.y1)) and near((box.x0,), (60,))


def test_ligatures_are_marked(pages: MarkedPages, tmp_path: Path) -> None:
    document = LIBRARY.open()
    page = document.new_page()
    page.insert_htmlbox((60, 100, 500, 200), "<p>The o\ufb03ce is di\ufb00erent at noon.</p>")
    path = save(document, tmp_path / "ligature.pdf")
    drawn = draw(pages, path, "o\ufb03ce is di\ufb00erent")
    assert drawn.marked == (True,)
    assert near(changed(pages, path, drawn), searched(path, "o\ufb03ce is di\ufb00erent"))


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_page_that_is_turned_is_marked_as_it_is_seen(pages: MarkedPages, columns: Path, turned: int) -> None:
    with LIBRARY.open(columns) as document:
        document[0].set_rotation(turned)
        path = columns.with_name("turned.pdf")
        document.save(path)
    quote = prose(2, 60).split()[20]
    drawn = draw(pages, path, quote)
    assert near(changed(pages, path, drawn), searched(path, quote))


def test_a_cropped_page_is_marked_where_it_is_seen(pages: MarkedPages, columns: Path) -> None:
    with LIBRARY.open(columns) as document:
        document[0].set_cropbox(LIBRARY.Rect(40, 80, 560, 500))
        path = columns.with_name("cropped.pdf")
        document.save(path)
    quote = prose(1, 60).split()[20]
    assert near(changed(pages, path, draw(pages, path, quote)), searched(path, quote))


def test_a_cell_of_a_table_is_marked_in_its_own_row(pages: MarkedPages, tmp_path: Path) -> None:
    document = LIBRARY.open()
    page = document.new_page()
    for row in range(12):
        for column, text in enumerate((f"Item {row}", "12.5", f"{row * 7} kg")):
            page.insert_text((60 + 150 * column, 200 + 16 * row), text)
    path = save(document, tmp_path / "table.pdf")
    text = pdf.read(path.read_bytes(), "a.pdf").text
    start = text.index("12.5", text.index("Item 7"))
    drawn = pages.draw(str(path), 1, [Passage("12.5", len(letters(text[:start])))], WIDTH)
    box = changed(pages, path, drawn)
    assert 205 < box.x0 < box.x1 < 300 and 297 < box.y0 < box.y1 < 320


def test_several_passages_share_a_page_and_what_is_not_there_is_told(pages: MarkedPages, columns: Path) -> None:
    passages = [Passage(prose(1, 3)), Passage("no such words"), Passage(prose(2, 3))]
    drawn = pages.draw(str(columns), 1, passages, WIDTH)
    assert drawn.marked == (True, False, True)
    box = changed(pages, columns, drawn)
    assert box.x0 < 60 and box.x1 > 310
    assert pages.draw(str(columns), 1, passages, WIDTH) == drawn


def test_the_digest_is_that_of_the_bytes_that_were_drawn(pages: MarkedPages, columns: Path) -> None:
    from hashlib import sha256

    assert pages.draw(str(columns), 1, [], WIDTH).digest == sha256(columns.read_bytes()).hexdigest()


def test_a_locked_file_is_marked_with_its_password(pages: MarkedPages, columns: Path) -> None:
    path = columns.with_name("locked.pdf")
    with LIBRARY.open(columns) as document:
        document.save(path, encryption=LIBRARY.PDF_ENCRYPT_AES_256, user_pw="tide", owner_pw="sea")
    with pytest.raises(ReadFailure, match="needs a password"):
        pages.draw(str(path), 1, [Passage("tide")], WIDTH)
    assert pages.draw(str(path), 1, [Passage(prose(1, 2))], WIDTH, "tide").marked == (True,)


@pytest.mark.parametrize("content", [b"text", b"%PDF-1.7\n%%EOF", b"%PDF" + bytes(4000), b""])
def test_what_is_no_pdf_fails_in_one_line_and_the_next_page_is_drawn(
    pages: MarkedPages, columns: Path, content: bytes
) -> None:
    path = columns.with_name("bad.pdf")
    path.write_bytes(content)
    with pytest.raises(ReadFailure) as raised:
        pages.draw(str(path), 1, [Passage("tide")], WIDTH)
    assert raised.value.status == Status.BROKEN and "\n" not in raised.value.detail
    assert pages.draw(str(columns), 1, [], WIDTH).jpeg


def test_a_page_that_hangs_costs_its_time_and_no_more(columns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.picture, "LIMITS", Limits(seconds=0.5))
    slow = columns.with_name("slow.pdf")
    with LIBRARY.open(columns) as document:
        xref = document[0].get_contents()[0]
        circles = b"0 0 m 600 0 600 800 0 800 c f\n" * 300_000
        document.update_stream(xref, b"/G gs\n" + circles)
        document.save(slow, deflate=True)
    with MarkedPages() as pages:
        begun = time.monotonic()
        with pytest.raises(ReadFailure, match="parser stopped"):
            pages.draw(str(slow), 1, [], WIDTH)
        assert time.monotonic() - begun < 20
        assert pages.draw(str(columns), 1, [], WIDTH).jpeg


def test_a_long_page_is_narrower(pages: MarkedPages, tmp_path: Path) -> None:
    document = LIBRARY.open()
    document.new_page(width=100, height=5000)
    drawn = LIBRARY.Pixmap(pages.draw(str(save(document, tmp_path / "long.pdf")), 1, [], WIDTH).jpeg)
    assert drawn.height <= 3 * WIDTH and drawn.width < WIDTH


def test_marks_that_meet_are_one() -> None:
    white = Pixels(20, 20, b"\xff" * 1200)
    once = marked(white, [(2, 2, 10, 10)])
    assert marked(white, [(2, 2, 10, 10), (2, 2, 10, 10)]) == once
    both = marked(white, [(2, 2, 10, 10), (2, 8, 10, 16)])
    assert both[(9 * 20 + 5) * 3 :][:3] == once[(5 * 20 + 5) * 3 :][:3]


@pytest.mark.parametrize("box", [(-5, -5, 50, 50), (1e308, 0, 1e309, 5), (float("nan"), 0, 5, 5), (9, 9, 2, 2)])
def test_no_mark_leaves_the_picture(box: tuple[float, float, float, float]) -> None:
    assert len(marked(Pixels(20, 20, b"\xff" * 1200), [box])) == 1200


def test_one_process_draws_all_pages(columns: Path) -> None:
    before = children()
    with MarkedPages() as pages:
        for _ in range(3):
            pages.draw(str(columns), 1, [], 60)
            assert len(children() - before) == 1
    assert children() <= before


def children() -> set[str]:
    return {each for task in Path("/proc/self/task").iterdir() for each in (task / "children").read_text().split()}


@pytest.mark.parametrize("turned", [0, 90])
def test_a_part_of_a_page_has_its_marks_where_the_whole_has_them(
    pages: MarkedPages, columns: Path, tmp_path: Path, turned: int
) -> None:
    path = tmp_path / "turned.pdf"
    with LIBRARY.open(columns) as document:
        document[0].set_rotation(turned)
        document.save(path)
    text = pdf.read(path.read_bytes(), "a.pdf").text
    quote = next(line for line in text.splitlines() if len(line) > 20)
    passages = [Passage(quote, len(letters(text[: text.index(quote)])))]
    whole, part = (
        LIBRARY.Pixmap(pages.draw(str(path), 1, passages, WIDTH, share=share).jpeg) for share in (1.0, 1 / 3)
    )
    assert part.width == whole.width and whole.height / 3 - 2 < part.height < whole.height / 1.5
    row = 3 * whole.width
    one, two = (
        [pixels[y * row : (y + 1) * row] for y in range(len(pixels) // row)] for pixels in (whole.samples, part.samples)
    )

    def difference(offset: int) -> int:
        return sum(
            abs(a - b) for y in range(0, len(two), 9) for a, b in zip(one[y + offset][::31], two[y][::31], strict=True)
        )

    offsets = range(len(one) - len(two) + 1)
    best = min(offsets, key=difference)
    assert difference(best) < len(two) / 9 * len(two[0][::31]) * 4, "JPEG alone makes them differ"


@pytest.mark.parametrize(
    ("marks", "part"),
    [
        ([], (0, 900)),
        ([(400, 500)], (300, 600)),
        ([(0, 10)], (0, 300)),
        ([(880, 900)], (600, 900)),
        ([(200, 210), (700, 710)], (125, 785)),
        ([(10, 890)], (0, 900)),
    ],
)
def test_a_part_is_a_third_of_the_page_and_has_all_marks(
    marks: list[tuple[float, float]], part: tuple[float, float]
) -> None:
    assert part_with(marks, 900, 1 / 3) == pytest.approx(part)
