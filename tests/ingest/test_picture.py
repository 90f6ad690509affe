from pathlib import Path

import pymupdf
import pytest

import ingest.picture
from ingest.outcome import ReadFailure, Status
from ingest.picture import MAX_PIXELS, fit, page_picture
from ingest.worker import Limits


@pytest.fixture
def pdf(tmp_path: Path) -> str:
    """Two pages of 200 x 100 points: the second one red on its left half."""
    with pymupdf.open() as document:
        document.new_page(width=200, height=100)
        page = document.new_page(width=200, height=100)
        page.draw_rect(pymupdf.Rect(0, 0, 100, 100), color=(1, 0, 0), fill=(1, 0, 0))
        document.save(tmp_path / "a.pdf")
    return str(tmp_path / "a.pdf")


def test_a_page_fits_into_what_was_asked_for(pdf: str) -> None:
    picture = page_picture(pdf, 2, 60, 60)
    assert (picture.width, picture.height) == (60, 30)
    assert len(picture.rgb) == 60 * 30 * 3
    middle = picture.rgb[15 * 60 * 3 : 16 * 60 * 3]
    assert (middle[30:33], middle[-3:]) == (b"\xff\0\0", b"\xff\xff\xff")


def test_a_page_that_is_not_there_is_said_not_to_be(pdf: str) -> None:
    with pytest.raises(ReadFailure, match="there is no page 3: it has 2"):
        page_picture(pdf, 3, 60, 60)


def test_a_page_of_which_nothing_would_be_seen_is_refused(tmp_path: Path) -> None:
    with pymupdf.open() as document:
        document.new_page(width=10_000_000, height=1)
        document.save(tmp_path / "thin.pdf")
    with pytest.raises(ReadFailure, match="too thin"):
        page_picture(str(tmp_path / "thin.pdf"), 1, 200, 200)


def test_what_is_no_pdf_and_what_is_damaged_fail_in_one_line(tmp_path: Path) -> None:
    for name, content in {"a.txt": b"text", "b.pdf": b"%PDF-1.7\n%%EOF", "c.pdf": b"%PDF" + bytes(2000)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadFailure) as raised:
            page_picture(str(tmp_path / name), 1, 60, 60)
        assert raised.value.status == Status.BROKEN
        assert "\n" not in raised.value.detail


def test_a_password_is_needed_and_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "locked.pdf")
    with pymupdf.open() as document:
        document.new_page()
        document.save(path, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="tide", owner_pw="sea")
    with pytest.raises(ReadFailure, match="needs a password"):
        page_picture(path, 1, 20, 20)
    assert page_picture(path, 1, 20, 20, "tide").width > 0


def test_a_page_that_takes_too_long_is_given_up(pdf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.picture, "LIMITS", Limits(seconds=0))
    with pytest.raises(ReadFailure, match="parser stopped"):
        page_picture(pdf, 1, 60, 60)


@pytest.mark.parametrize("page", [(612, 792), (14400, 3), (3, 14400)])
def test_no_picture_is_larger_than_four_megapixels(page: tuple[int, int]) -> None:
    scale = fit(*page, 10**6, 10**6)
    assert page[0] * page[1] * scale**2 <= MAX_PIXELS * 1.001


def test_a_page_without_area_is_refused() -> None:
    with pytest.raises(ReadFailure):
        fit(0, 100, 10, 10)
