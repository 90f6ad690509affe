from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.document import Document, Heading, Kind, Page
from ingest.outcome import Status
from ingest.shelf import Shelf, Shelved

DOCUMENT = Document(
    "Page one\nPage two\n", Kind.PDF, pages=(Page(1, "i", 0, 9), Page(2, "ii", 9, 18)), headings=(Heading(0, 1, "One"),)
)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf.db")


def test_a_reading_comes_back_after_a_restart(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf.db")
    shelf.put("d", "pdf/1", Shelved(Status.PARTLY_READ, "no text on page 3", DOCUMENT))
    shelf.close()
    again = Shelf(tmp_path / "shelf.db")
    assert again.get("d", "pdf/1") == Shelved(Status.PARTLY_READ, "no text on page 3", DOCUMENT)
    assert again.get("d", "pdf/2") is None
    assert again.has("d", "pdf/1") and not again.has("d", "pdf/2")


def test_a_text_is_found_by_its_bytes_alone(shelf: Shelf) -> None:
    assert shelf.find("d") is None
    for reader in ("pdf/2", "pdf/1", "pdf/3"):
        shelf.put("d", reader, Shelved(Status.READ, reader, DOCUMENT))
    shelf.put("d", "pdf/4", Shelved(Status.BROKEN, "no page tree", None))
    assert shelf.find("d") == Shelved(Status.READ, "pdf/3", DOCUMENT)
    shelf.put("d", "pdf/1", Shelved(Status.READ, "again", DOCUMENT))
    assert shelf.find("d") == Shelved(Status.READ, "again", DOCUMENT)


def test_a_reason_without_a_text_is_no_text(shelf: Shelf) -> None:
    shelf.put("d", "pdf/1", Shelved(Status.BROKEN, "no page tree", None))
    assert not shelf.has("d", "pdf/1")
    assert shelf.get("d", "pdf/1") == Shelved(Status.BROKEN, "no page tree", None)


def test_a_text_is_not_lost_to_a_reason(shelf: Shelf) -> None:
    shelf.put("d", "text/1", Shelved(Status.READ, "", DOCUMENT, has_secrets=True))
    shelf.put("d", "text/1", Shelved(Status.SECRET, "line 1: key", None))
    assert shelf.has("d", "text/1")


def test_a_reason_gives_way_to_a_text(shelf: Shelf) -> None:
    shelf.put("d", "pdf/1", Shelved(Status.PASSWORD, "needs a password", None))
    shelf.put("d", "pdf/1", Shelved(Status.READ, "", DOCUMENT))
    assert shelf.has("d", "pdf/1")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(shelf: Shelf, text: str) -> None:
    shelf.put("any", "text/1", Shelved(Status.READ, "", Document(text, Kind.PROSE)))
    stored = shelf.get("any", "text/1")
    assert stored is not None and stored.document is not None and stored.document.text == text
