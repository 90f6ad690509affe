from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_pages_with_nothing_but_a_head_lack_no_text() -> None:
    pages = [lambda page, n=n: page.insert_text((72, 40), f"Page {n} of 4", fontsize=8) for n in range(1, 5)]
    assert "partly" not in pdf.read(make(*pages), "x.pdf").metadata


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


def test_attachments_are_named_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def pinned(page: Any) -> None:
        page.insert_text((72, 144), "text")
        page.add_file_annot((72, 72), b"secret", "pinned.txt")

    content = make("text", pinned, finish=lambda doc: doc.embfile_add("x", b"MZ", filename="../x.exe\n"))
    [note] = pdf.read(content, "x.pdf").notes
    assert note == "has 2 attachments, not read: x, pinned.txt"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "guess"),
    [
        (b"", "empty file"),
        (b"  <!DOCTYPE html><p>Not found", "looks like HTML"),
        (b"PK\x03\x04\0\0", "looks like a zip archive"),
        (b"just words", "looks like text"),
        (b"\0\1\2", "looks like binary data"),
        (b" " * 1024 + make("text"), "looks like text"),
    ],
)
def test_what_is_no_pdf_is_said(content: bytes, guess: str) -> None:
    caught = failure(content)
    assert (caught.status, caught.detail) == (Status.BROKEN, f"not a PDF ({guess})")


def test_the_header_may_follow_junk() -> None:
    assert texts(pdf.read(b"junk\n" + make("text"), "x.pdf")) == ["text"]


def test_a_header_alone_is_broken() -> None:
    caught = failure(b"%PDF-1.7\n")
    assert caught.status is Status.BROKEN
    assert caught.detail


def test_a_truncated_file_repaired_to_blank_pages_is_named() -> None:
    whole = make(*["text " * 200] * 3, deflate=False)
    first_stream = whole.index(b"stream")
    caught = failure(whole[: whole.index(b"stream", first_stream)])
    assert caught.status in (Status.NO_TEXT, Status.BROKEN)
    assert "damaged" in caught.detail or caught.status is Status.BROKEN


def test_pages_lost_to_damage_are_named() -> None:
    whole = make("first", "second", "third", deflate=False)
    hurt = whole.replace(b"startxref", b"startxxxx")
    hexadecimal = b"second".hex().encode()
    start = hurt.rindex(b"stream", 0, hurt.index(hexadecimal))
    stream_end = hurt.index(b"endstream", start)
    hurt = hurt[:start] + b"stream\n" + b" " * (stream_end - start - 7) + hurt[stream_end:]
    document = pdf.read(hurt, "x.pdf")
    assert document.metadata["partly"] == "no text on page 2: damaged file"
    assert any(note.startswith("MuPDF gave") for note in document.notes)


def test_an_error_on_one_page_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pdf._read_page

    def fail(document: Any, number: int, *rest: Any) -> Any:
        if number in (2, 3):
            raise ValueError("bad\npage tree")
        return whole(document, number, *rest)

    monkeypatch.setattr(pdf, "_read_page", fail)
    document = pdf.read(make("a", "b", "c", "d"), "x.pdf")
    assert document.metadata["partly"] == "can't read pages 2-3: bad page tree"
    assert texts(document) == ["a", "", "", "d"]
    monkeypatch.setattr(pdf, "_read_page", lambda *_: 1 / 0)
    caught = failure(make("a"))
    assert (caught.status, caught.detail) == (Status.BROKEN, "no page can be read: division by zero")


@pytest.mark.parametrize(("limit", "value"), [("MAX_PAGES", 2), ("MAX_CHARS", 15)])
def test_caps_are_named(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(pdf, limit, value)
    document = pdf.read(make(*["ten letters"] * 5), "x.pdf")
    assert document.metadata["partly"] == "first 2 of 5 pages"
    assert len(document.pages) == 2


def test_a_false_page_count_costs_no_page() -> None:
    content = make("first", "second", deflate=False)
    false = content.replace(b"/Count 2", b"/Count 9")
    assert false != content
    assert texts(pdf.read(false, "x.pdf"))[:2] == ["first", "second"]
    absurd = failure(content.replace(b"/Count 2", b"/Count 900000000"))
    assert absurd.status is Status.BROKEN


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    whole = make("text", deflate=False)
    pdf.read(whole.replace(b"startxref", b"startxxxx"), "x.pdf")
    failure(b"%PDF-1.7\nnonsense")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("numbers", "shown"), [([3], "page 3"), ([3, 4, 5, 9], "pages 3-5, 9"), ([1, 3], "pages 1, 3")]
)
def test_page_lists_are_short(numbers: list[int], shown: str) -> None:
    assert pdf.page_list(numbers) == shown


@given(st.integers(0, 3000), st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_damage_ends_in_a_document_or_one_failure(place: int, junk: bytes) -> None:
    whole = DAMAGED
    content = whole[:place] + junk + whole[place + len(junk) :]
    try:
        document = pdf.read(content, "x.pdf")
    except ReadFailure as caught:
        assert caught.status in (Status.BROKEN, Status.NO_TEXT, Status.PASSWORD)
        assert caught.detail
        assert "\n" not in caught.detail
    else:
        assert document.pages[-1].end == len(document.text)
        document.text.encode()


DAMAGED = make("first", "second", image, deflate=False)
