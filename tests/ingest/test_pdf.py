from collections.abc import Callable
from typing import Any

import pymupdf
import pytest

from ingest import pdf
from ingest.document import Document, Kind
from ingest.outcome import ReadFailure, Status

library: Any = pymupdf
LINES = "The quick brown fox jumps over the lazy dog and then does it once more"


def make(*pages: str | Callable[[Any], object], finish: Callable[[Any], object] = lambda _: None, **save: Any) -> bytes:
    """A PDF with a page for each text, or drawn by each function."""
    document = library.open()
    for content in pages:
        page = document.new_page()
        if callable(content):
            content(page)
        else:
            page.insert_text((72, 144), content)
    finish(document)
    return bytes(document.tobytes(**save))


def image(page: Any) -> None:
    pixmap = library.Pixmap(library.csRGB, library.IRect(0, 0, 8, 8), 0)
    page.insert_image((72, 72, 300, 300), pixmap=pixmap)


def failure(content: bytes, password: str | None = None) -> ReadFailure:
    with pytest.raises(ReadFailure) as caught:
        pdf.read(content, "some/file.pdf", password)
    return caught.value


def texts(document: Document) -> list[str]:
    return [document.text[page.start : page.end].strip() for page in document.pages]


def test_pages_tile_the_text() -> None:
    document = pdf.read(make("First page.", "Second page.", "Third page."), "some/file.pdf")
    assert document.kind is Kind.PDF
    assert document.source_lines == ()
    assert document.title == "file"
    assert texts(document) == ["First page.", "Second page.", "Third page."]
    assert [page.label for page in document.pages] == ["1", "2", "3"]
    assert document.pages[0].start == 0
    assert document.pages[-1].end == len(document.text)
    assert all(a.end == b.start for a, b in zip(document.pages, document.pages[1:], strict=False))
    assert "partly" not in document.metadata


def test_printed_labels() -> None:
    rules = [{"startpage": 0, "style": "r"}, {"startpage": 2, "style": "D", "firstpagenum": 1}]
    document = pdf.read(make("a", "b", "c", finish=lambda doc: doc.set_page_labels(rules)), "x.pdf")
    page = document.page_at(document.text.index("c"))
    assert [page.label for page in document.pages] == ["i", "ii", "1"]
    assert page is not None
    assert page.number == 3


def test_titles_of_the_outline_stand_where_they_are_printed() -> None:
    outline = [[1, "Growing Tea", 1], [2, "1.1 In the Shade", 2], [1, "NOWHERE printed", 2], [1, "growing  tea", 1]]

    def draw(page: Any) -> None:
        page.insert_text((72, 144), "We speak of In the Shade here.")
        page.insert_text((72, 244), "1.1")
        page.insert_text((110, 244), "In the Shade")

    document = pdf.read(make("Before.\nGrowing Tea", draw, finish=lambda doc: doc.set_toc(outline)), "x.pdf")
    places = {(heading.title, heading.level): document.text[heading.start :] for heading in document.headings}
    assert places["Growing Tea", 1].startswith("Growing Tea")
    assert places["1.1 In the Shade", 2].startswith("1.1\tIn the Shade")
    assert places["NOWHERE printed", 1].startswith("We speak")
    assert places["growing  tea", 1].startswith("Growing Tea")
    assert document.heading_at(len(document.text) - 1) == "1.1 In the Shade"


def test_metadata() -> None:
    content = make("a", finish=lambda doc: doc.set_metadata({"title": "Of Tea", "author": "A. Leaf"}))
    document = pdf.read(content, "x.pdf")
    assert document.title == "Of Tea"
    assert document.metadata["author"] == "A. Leaf"


def test_two_columns_are_read_one_after_the_other() -> None:
    def draw(page: Any) -> None:
        page.insert_textbox((50, 100, 280, 400), "Left column. " + LINES)
        page.insert_textbox((310, 100, 540, 400), "Right column. " + LINES)

    [text] = texts(pdf.read(make(draw), "x.pdf"))
    assert text.index("Right column.") > text.rindex("Left column.")
    assert "once more\n\nRight" in text


def test_words_broken_at_line_ends_are_whole() -> None:
    document = pdf.read(make("It is inter-\nnational law."), "x.pdf")
    assert "international law." in document.text


def test_heads_and_feet_are_left_out() -> None:
    def draw(number: int) -> Callable[[Any], None]:
        def on(page: Any) -> None:
            page.insert_text((72, 40), "The Tea Handbook", fontsize=8)
            page.insert_text((72, 400), f"Chapter {'x' * number}")
            page.insert_text((300, 820), f"{number + 10}", fontsize=8)

        return on

    document = pdf.read(make(*map(draw, range(1, 5))), "x.pdf")
    assert texts(document) == ["The Tea Handbook\n\nChapter x", "Chapter xx", "Chapter xxx", "Chapter xxxx"]


def test_cells_of_a_row_are_on_one_line() -> None:
    def draw(page: Any) -> None:
        for row, cells in enumerate([("Name", "Price", "Year"), ("Green tea", "2.50", "2013")]):
            for column, cell in enumerate(cells):
                page.insert_text((72 + 150 * column, 144 + 12 * row), cell, fontsize=9)

    [text] = texts(pdf.read(make(draw), "x.pdf"))
    assert text.split("\n") == ["Name\tPrice\tYear", "Green tea\t2.50\t2013"]


def test_a_turned_page_reads_like_an_upright_one() -> None:
    def draw(page: Any) -> None:
        page.set_rotation(90)
        for row in range(3):
            page.insert_text(library.Point(72, 144 + 14 * row) * page.derotation_matrix, f"line {row}", rotate=90)

    [text] = texts(pdf.read(make(draw), "x.pdf"))
    assert "\t" not in text
    assert text.split() == ["line", "0", "line", "1", "line", "2"]


def test_scanned_pages_are_named() -> None:
    document = pdf.read(make("text", image, image, "text", image), "x.pdf")
    assert document.metadata["partly"] == "no text on pages 2-3, 5: needs OCR"
    assert document.metadata["partly"] in document.notes
    assert len(document.pages) == 5


def test_blank_pages_are_nothing_lost() -> None:
    assert "partly" not in pdf.read(make("text", "", "text"), "x.pdf").metadata


def test_a_scan_with_a_stamp_on_each_page_has_no_text_there() -> None:
    def draw(page: Any) -> None:
        image(page)
        page.insert_text((72, 830), "Downloaded today", fontsize=6)

    document = pdf.read(make(draw, draw, draw, draw), "x.pdf")
    assert document.metadata["partly"] == "no text on pages 2-4: needs OCR"


@pytest.mark.parametrize(
    ("pages", "detail"),
    [((image,) * 12, "12 pages, no text: needs OCR"), (("",), "1 page, no text: blank")],
)
def test_no_text_at_all(pages: tuple[Any, ...], detail: str) -> None:
    caught = failure(make(*pages))
    assert (caught.status, caught.detail) == (Status.NO_TEXT, detail)


def test_password() -> None:
    locked = make("secret tea", encryption=library.PDF_ENCRYPT_AES_256, user_pw="leaf", owner_pw="root", garbage=0)
    assert failure(locked).status is Status.PASSWORD
    assert failure(locked).detail == "needs a password"
    assert failure(locked, "wrong").status is Status.PASSWORD
    assert "hunter2" not in str(failure(locked, "hunter2"))
    assert texts(pdf.read(locked, "x.pdf", "leaf")) == ["secret tea"]
