from collections.abc import Callable, Iterator
from pathlib import Path

import pymupdf
import pytest

from ingest import formats
from ingest.outcome import Outcome, Status
from ingest.pool import WorkerPool
from ingest.reader import Reader, Reading, is_current, version_of
from ingest.rules import Selection
from ingest.shelf import Shelf
from ingest.source import discover

Read = Callable[..., dict[str, Reading | Outcome]]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Read a folder with the shelf and workers of the test; outcomes by path."""
    shelf = Shelf(tmp_path / "home" / "shelf.db")
    with WorkerPool(size=1) as pool:

        def run(root: Path, selection: Selection | None = None, **options: object) -> dict[str, Reading | Outcome]:
            selection = selection or Selection()
            reader = Reader(shelf, selection, pool, **options)  # type: ignore[arg-type]  # options of Reader
            found = reader.read(discover([str(root)], selection, clone_root=str(tmp_path)))
            return {each.path if isinstance(each, Outcome) else each.source.path: each for each in found}

        yield run


def status(found: Reading | Outcome) -> str:
    return str(found.status if isinstance(found, Outcome) else found.outcome.status)


def pdf(text: str) -> bytes:
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), text)
    return bytes(document.tobytes())


def test_each_file_goes_to_its_reader_and_ends_in_one_outcome(read: Read, tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    (root / "b.html").write_text("<p>Words <b>in</b> bold</p>")
    (root / "page.html").write_text("{% if x %}<p>{{ y }}</p>{% endif %}")
    (root / "c.pdf").write_bytes(pdf("tides of March"))
    (root / "d.bin").write_bytes(bytes(range(256)) * 20)
    (root / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (root / "uv.lock").write_text("x\n")
    (root / "min.js").write_text("x=1;" * 1000)
    (root / "not.pdf").write_text("%PDF-1.4 and no more")
    found = read(root)
    assert {path: status(each) for path, each in found.items()} == {
        "a.py": "read",
        "b.html": "read",
        "page.html": "read",
        "c.pdf": "read",
        "d.bin": "binary",
        "e.png": "not read yet",
        "uv.lock": "ignored by default rule",
        "min.js": "ignored by default rule",
        "not.pdf": "broken",
    }
    kinds = {path: each.document.kind for path, each in found.items() if isinstance(each, Reading) and each.document}
    assert kinds == {"a.py": "code", "b.html": "html", "page.html": "code", "c.pdf": "pdf"}


def test_known_bytes_are_not_parsed_again(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "c.pdf").write_bytes(pdf("tides of March"))
    before = read(root)["c.pdf"]
    monkeypatch.setattr(WorkerPool, "submit", lambda *_: pytest.fail("parsed again"))
    (root / "c.pdf").rename(root / "other.pdf")
    after = read(root)["other.pdf"]
    assert isinstance(before, Reading) and isinstance(after, Reading)
    assert after.document == before.document


def test_a_defect_in_a_reader_costs_its_file_only(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "a.txt").write_text("fine\n")
    (root / "b.txt").write_text("fatal\n")
    sniff = formats.sniff

    def failing(head: bytes, path: str) -> str:
        if b"fatal" in head:
            raise ZeroDivisionError("a defect")
        return sniff(head, path)

    monkeypatch.setattr(formats, "sniff", failing)
    found = read(root)
    assert (status(found["a.txt"]), status(found["b.txt"])) == ("read", "broken")


def test_a_file_that_changes_while_it_is_parsed_is_named(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "r"
    root.mkdir()
    path = root / "c.pdf"
    path.write_bytes(pdf("before"))
    submit = WorkerPool.submit

    def late(pool: WorkerPool, location: str, reader: str, password: str | None = None) -> object:
        path.write_bytes(pdf("after"))
        return submit(pool, location, reader, password)

    monkeypatch.setattr(WorkerPool, "submit", late)
    assert status(read(root)["c.pdf"]) == "changed while reading"


def test_a_file_over_the_limit_is_not_read(read: Read, tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "big.txt").write_text("x\n" * 2_000_000)
    found = read(root, text_limit_bytes=3_000_000)["big.txt"]
    assert status(found) == Status.TOO_LARGE


def test_a_password_opens_what_was_closed(read: Read, tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "sealed words")
    document.save(root / "c.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="open", owner_pw="owner")
    assert status(read(root)["c.pdf"]) == "password"
    assert status(read(root)["c.pdf"]) == "password"
    assert status(read(root, password="open")["c.pdf"]) == "read"


def test_a_raised_version_makes_older_readings_stale() -> None:
    assert is_current(version_of("text", "a.py")) and is_current(version_of("docx")) and is_current("")
    assert not is_current("text/0:code") and not is_current("pdf/0")
    assert version_of("text", "a.py") != version_of("text", "a.txt")
