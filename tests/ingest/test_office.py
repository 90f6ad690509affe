import random
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ingest import office
from ingest.document import Document, Kind, PageKind
from ingest.outcome import ReadFailure, Status
from ingest.pool import WorkerPool
from ingest.worker import Limits

pytest.importorskip("unstructured")


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits(inflated_bytes=20_000_000)) as pool:
        yield pool


def tiled(document: Document) -> bool:
    return "".join(document.text[page.start : page.end] for page in document.pages) == document.text


def packed(path: Path, members: dict[str, str | bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return str(path)


def added(path: str, members: dict[str, str | bytes]) -> str:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def failure(pool: WorkerPool, path: str, reader: str, password: str | None = None) -> ReadFailure:
    with pytest.raises(ReadFailure) as raised:
        pool.read(path, reader, password)
    return raised.value


def word(path: Path) -> str:
    import docx

    document = docx.Document()
    document.core_properties.title = "The oven book"
    document.add_heading("Ovens", 1)
    document.add_paragraph("The first oven was built in 1798.")
    document.add_paragraph("Small line")
    document.add_heading("Prices", 2)
    table = document.add_table(rows=2, cols=2)
    for cell, words in zip(table._cells, ["Oven", "Price", "Small", "12"], strict=True):
        cell.text = words
    document.add_paragraph("Last words.")
    document.save(str(path))
    return str(path)


def test_docx(pool: WorkerPool, tmp_path: Path) -> None:
    document = pool.read(word(tmp_path / "a.docx"), "docx").document
    assert document.kind is Kind.WORD and document.title == "The oven book" and document.source_lines == ()
    assert document.text == (
        "Ovens\n\nThe first oven was built in 1798.\n\nSmall line\n\nPrices\n\nOven | Price\nSmall | 12\n\nLast words."
    )
    assert [(h.level, h.title) for h in document.headings] == [(1, "Ovens"), (2, "Prices")]
    assert all(document.text.startswith(h.title, h.start) for h in document.headings)


def test_footnotes_are_read_and_pictures_named(pool: WorkerPool, tmp_path: Path) -> None:
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>See below.</w:t></w:r></w:p></w:footnote>'
    notes = f"<w:footnotes {space}>{note}</w:footnotes>"
    path = added(word(tmp_path / "a.docx"), {"word/footnotes.xml": notes, "word/media/image1.png": b"x"})
    document = pool.read(path, "docx").document
    assert document.text.endswith("Last words.\n\n[2] See below.")
    assert document.notes == ("has 1 picture, not read",)


def test_text_that_python_docx_skips_is_read(pool: WorkerPool, tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    paragraph = "<w:p>{}</w:p>"
    box = f"<w:r><w:pict><w:txbxContent>{paragraph.format(run.format('boxed'))}</w:txbxContent></w:pict></w:r>"
    wrapped = (
        f'<w:sdt><w:sdtPr><w:tag w:val="x"/></w:sdtPr><w:sdtContent>{paragraph.format(run.format("control"))}'
        "</w:sdtContent></w:sdt>"
        + paragraph.format(f'<w:fldSimple w:instr="PAGE">{run.format("field")}</w:fldSimple>')
        + paragraph.format(f'<w:ins w:id="1"><w:dir w:val="rtl">{run.format("inserted")}</w:dir></w:ins>')
        + paragraph.format(run.format("holder") + box)
        + paragraph.format(f'<w:del w:id="2"><w:r><w:delText>deleted</w:delText></w:r></w:del>{run.format("end")}')
    )
    source = zipfile.ZipFile(word(tmp_path / "a.docx"))
    members: dict[str, str | bytes] = {name: source.read(name) for name in source.namelist()}
    members["word/document.xml"] = source.read("word/document.xml").replace(b"<w:body>", b"<w:body>" + wrapped.encode())
    text = pool.read(packed(tmp_path / "b.docx", members), "docx").document.text
    assert text.startswith("control\n\nfield\n\ninserted\n\nholder\n\nboxed\n\nend\n\nOvens\n\n")


def test_strict_workbooks_are_read(pool: WorkerPool, tmp_path: Path) -> None:
    source = zipfile.ZipFile(sheets(tmp_path / "a.xlsx"))
    members: dict[str, str | bytes] = {name: source.read(name) for name in source.namelist()}
    for name, part in members.items():
        assert isinstance(part, bytes)
        members[name] = part.replace(
            b"http://schemas.openxmlformats.org/spreadsheetml/2006/", b"http://purl.oclc.org/ooxml/spreadsheetml/"
        )
    document = pool.read(packed(tmp_path / "b.xlsx", members), "xlsx").document
    assert "Oven | Built | Price" in document.text


def test_pptx(pool: WorkerPool, tmp_path: Path) -> None:
    import pptx

    deck = pptx.Presentation()
    for number in (1, 2, 3):
        slide = deck.slides.add_slide(deck.slide_layouts[5 if number == 3 else 6 if number == 2 else 1])
        if number != 2:
            slide.shapes.title.text = f"Slide about {number}"
        if number == 1:
            slide.placeholders[1].text_frame.text = "Bread is baked"
            slide.notes_slide.notes_text_frame.text = "Say it slowly"
    deck.save(str(tmp_path / "a.pptx"))
    document = pool.read(str(tmp_path / "a.pptx"), "pptx").document
    assert document.kind is Kind.SLIDES and tiled(document)
    assert [(page.number, page.label, page.kind) for page in document.pages] == [
        (1, "1", PageKind.SLIDE),
        (3, "3", PageKind.SLIDE),
    ]
    assert [heading.title for heading in document.headings] == ["Slide about 1", "Slide about 3"]
    assert "Bread is baked" in document.text and "Say it slowly" in document.text


def sheets(path: Path) -> str:
    openpyxl: Any = import_module("openpyxl")
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Q3 costs"
    first.append(["Oven", "Built", "Price"])
    first.append(["Small", datetime(1998, 5, 1), 12.5])
    first.append([None, None, 3.0])
    second = book.create_sheet("Far")
    second["A1"] = "near"
    second["XFD1048576"] = "far"
    second["A3"] = "=SUM(A1:A2)"
    book.save(path)
    return str(path)


def test_xlsx(pool: WorkerPool, tmp_path: Path) -> None:
    document = pool.read(sheets(tmp_path / "a.xlsx"), "xlsx").document
    assert document.kind is Kind.SHEETS and tiled(document)
    assert [(page.label, page.kind) for page in document.pages] == [
        ("Q3 costs", PageKind.SHEET),
        ("Far", PageKind.SHEET),
    ]
    lines = document.text.splitlines()
    assert lines[:4] == ["Q3 costs", "Oven | Built | Price", "Small | 1998-05-01 | 12.5", " |  | 3"]
    assert lines[5:] == ["Far", "near", "=SUM(A1:A2)", "(16383 empty) | far"]


def test_odt_and_its_tables(pool: WorkerPool, tmp_path: Path) -> None:
    (pandoc,) = office.load("odt")
    source = "<h1>Ovens</h1><p>Built in 1798 &amp; later.</p><table><tr><td>Small</td><td>12</td></tr></table>"
    path = str(tmp_path / "a.odt")
    subprocess.run([pandoc, "--from=html", "--output", path], input=source.encode(), check=True)
    document = pool.read(path, "odt").document
    assert document.kind is Kind.WORD and document.headings[0].title == "Ovens"
    assert "Built in 1798 & later." in document.text and "Small | 12" in document.text


def book(path: Path, extra: dict[str, str | bytes] | None = None) -> str:
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="2.0" unique-identifier="i"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title><dc:identifier id="i">1</dc:identifier>'
        '</metadata><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    chapter = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>Chapter one</h1><p>It was cold.</p></body></html>'
    members: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": container}
    return packed(path, {**members, "a.opf": package, "c.xhtml": chapter, **(extra or {})})


def test_epub(pool: WorkerPool, tmp_path: Path) -> None:
    document = pool.read(book(tmp_path / "a.epub"), "epub").document
    assert document.kind is Kind.BOOK and document.title == "Chapter one"
    assert document.text == "Chapter one\n\nIt was cold."


def test_rtf(pool: WorkerPool, tmp_path: Path) -> None:
    path = tmp_path / "a.rtf"
    path.write_bytes(rb"{\rtf1\ansi {\b Ovens}\par The caf\'e9 opened in 1798.\par}")
    assert "The café opened in 1798." in pool.read(str(path), "rtf").document.text


def mail(path: Path, *, rich_only: bool = False) -> str:
    message = EmailMessage()
    message["Subject"] = "Öfen für alle"
    message["From"] = "Ada <ada@example.com>"
    message["To"] = "bob@example.com, Cy <cy@example.com>"
    message["Date"] = "Fri, 23 Dec 2022 12:08:48 -0600"
    html = '<p>Hello <b>Bob</b></p><img src="http://127.0.0.1:1/x.png">'
    if rich_only:
        message.set_content(html, subtype="html")
    else:
        message.set_content("Hello Bob,\n\nthe oven is hot.\n")
        message.add_alternative(html, subtype="html")
    message.add_attachment(b"secret", maintype="application", subtype="pdf", filename="../../plan.pdf")
    path.write_bytes(message.as_bytes())
    return str(path)


def test_eml(pool: WorkerPool, tmp_path: Path) -> None:
    document = pool.read(mail(tmp_path / "a.eml"), "eml").document
    assert document.kind is Kind.MAIL and document.title == "Öfen für alle"
    assert document.text == (
        "Subject: Öfen für alle\nFrom: Ada <ada@example.com>\nTo: bob@example.com, Cy <cy@example.com>\n"
        "Date: Fri, 23 Dec 2022 12:08:48 -0600\n\nHello Bob,\n\nthe oven is hot."
    )
    assert document.notes == ("has 1 attachment, not read: ../../plan.pdf",)


def test_eml_of_html_only_and_in_utf_16(pool: WorkerPool, tmp_path: Path) -> None:
    path = Path(mail(tmp_path / "a.eml", rich_only=True))
    assert pool.read(str(path), "eml").document.text.endswith("\n\nHello Bob")
    path.write_text(path.read_text(), "utf-16")
    assert pool.read(str(path), "eml").document.title == "Öfen für alle"


def test_encrypted_office_files(pool: WorkerPool, tmp_path: Path) -> None:
    from msoffcrypto.format.ooxml import OOXMLFile

    path = tmp_path / "locked.docx"
    with open(word(tmp_path / "a.docx"), "rb") as plain, path.open("wb") as locked:
        OOXMLFile(plain).encrypt("open sesame", locked)
    assert failure(pool, str(path), "docx").status is Status.PASSWORD
    assert failure(pool, str(path), "docx", "wrong").status is Status.PASSWORD
    assert "1798" in pool.read(str(path), "docx", "open sesame").document.text


def test_protected_books_and_open_documents(pool: WorkerPool, tmp_path: Path) -> None:
    scheme = '<e><EncryptionMethod Algorithm="{}"/></e>'
    locked = book(tmp_path / "a.epub", {"META-INF/encryption.xml": scheme.format("http://www.w3.org/2001/04/xmlenc#")})
    assert failure(pool, locked, "epub").status is Status.PASSWORD
    fonts = book(tmp_path / "b.epub", {"META-INF/encryption.xml": scheme.format("http://www.idpf.org/2008/embedding")})
    assert pool.read(fonts, "epub").document.text
    odt = packed(tmp_path / "a.odt", {"META-INF/manifest.xml": "<manifest:encryption-data/>", "content.xml": b"\x01"})
    assert failure(pool, odt, "odt").status is Status.PASSWORD


def lying(path: str, member: str, size: int) -> str:
    """Declare another size for a member, in its header and in the directory."""
    content = bytearray(Path(path).read_bytes())
    header = content.index(member.encode()) - 30
    directory = content.rindex(member.encode()) - 46
    struct.pack_into("<I", content, header + 22, size)
    struct.pack_into("<I", content, directory + 24, size)
    Path(path).write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["docx", "pptx", "xlsx", "odt", "epub"])
def test_a_bomb_is_named_whatever_size_it_declares(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / f"a.{name}", {"word/document.xml": bytes(30_000_000), "_rels/.rels": "x"})
    refused = failure(pool, path, name)
    assert (refused.status, refused.detail) == (Status.TOO_LARGE, "expands past 20 MB")
    assert failure(pool, lying(path, "word/document.xml", 100), name).status is Status.TOO_LARGE


def test_a_nested_bomb_is_named(pool: WorkerPool, tmp_path: Path) -> None:
    inner = BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30_000_000))
    path = added(word(tmp_path / "a.docx"), {"word/embeddings/a.zip": inner.getvalue()})
    assert failure(pool, path, "docx").status is Status.TOO_LARGE


def test_archives_in_archives_have_an_end(pool: WorkerPool, tmp_path: Path) -> None:
    content = b"end"
    for _ in range(8):
        inner = BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("next", content)
        content = inner.getvalue()
    path = added(word(tmp_path / "a.docx"), {"word/embeddings/a.zip": content})
    assert failure(pool, path, "docx").detail == "archives nested deeper than 4"


@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
def test_entities_are_not_expanded(pool: WorkerPool, tmp_path: Path, code: str) -> None:
    (tmp_path / "outside").write_text("leaked")
    declared = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/outside">]>'
    content = f'<?xml version="1.0" encoding="{code}"?>{declared}<x>&e;</x>'.encode(code)
    for name in ("docx", "odt", "xlsx"):
        path = packed(tmp_path / f"a.{name}", {"_rels/.rels": content, "content.xml": content})
        assert failure(pool, path, name).detail == "declares XML entities, which are not expanded"


def test_entities_of_a_book_are_not_resolved(pool: WorkerPool, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("leaked")
    chapter = (
        f'<!DOCTYPE html [<!ENTITY e SYSTEM "file://{tmp_path}/outside">]><html '
        'xmlns="http://www.w3.org/1999/xhtml"><body><p>It was &e; cold.</p></body></html>'
    )
    assert "leaked" not in pool.read(book(tmp_path / "a.epub", {"c.xhtml": chapter}), "epub").document.text


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_is_fetched(pool: WorkerPool, tmp_path: Path) -> None:
    """Remote templates and images are what a document can ask for by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"
        relation = f'<Relationship Id="r1" Type="{kind}" Target="{url}" TargetMode="External"/>'
        space = "http://schemas.openxmlformats.org/package/2006/relationships"
        rels = f'<Relationships xmlns="{space}">{relation}</Relationships>'
        pool.read(added(word(tmp_path / "a.docx"), {"word/_rels/settings.xml.rels": rels}), "docx")
        pool.read(book(tmp_path / "a.epub", {"c.xhtml": f'<html><body>x<img src="{url}"/></body></html>'}), "epub")
        message = EmailMessage()
        message.set_content(f'<p>x</p><img src="{url}"><link rel="stylesheet" href="{url}">', subtype="html")
        (tmp_path / "a.eml").write_bytes(message.as_bytes())
        pool.read(str(tmp_path / "a.eml"), "eml")
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["docx", "pptx", "xlsx", "xls", "epub", "odt", "rtf", "msg"])
def test_what_is_broken_is_named(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    for content in (
        b"",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        random.Random(1).randbytes(5000),
    ):
        path.write_bytes(content)
        assert failure(pool, str(path), name).status in (Status.BROKEN, Status.NO_TEXT)
    assert failure(pool, packed(path, {"a": "b"}), name).status in (Status.BROKEN, Status.NO_TEXT)


def test_bytes_changed_at_random_are_read_or_named(pool: WorkerPool, tmp_path: Path) -> None:
    dice = random.Random(7)
    for path, name in ((word(tmp_path / "a.docx"), "docx"), (sheets(tmp_path / "a.xlsx"), "xlsx")):
        whole = Path(path).read_bytes()
        for _ in range(15):
            content = bytearray(whole)
            for _ in range(5):
                content[dice.randrange(len(content))] = dice.randrange(256)
            Path(path).write_bytes(content)
            try:
                pool.read(path, name)
            except ReadFailure as refused:
                assert "parser stopped" not in refused.detail


def test_an_empty_document_has_no_text(pool: WorkerPool, tmp_path: Path) -> None:
    import docx

    docx.Document().save(str(tmp_path / "a.docx"))
    assert failure(pool, str(tmp_path / "a.docx"), "docx").status is Status.NO_TEXT
    path = added(str(tmp_path / "a.docx"), {"word/media/image1.png": b"x"})
    assert failure(pool, path, "docx").detail == "no text; has 1 picture, not read"


def test_neither_spacy_nor_telemetry_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; from ingest import office; office.load('docx'); office.load('pptx'); "
        f"print(office.read(open({word(tmp_path / 'a.docx')!r}, 'rb').read(), 'docx').title, 'spacy' in sys.modules)"
    )
    path = ":".join(part for part in sys.path if part)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": path})
    assert (ran.stdout, ran.stderr) == ("The oven book False\n", "")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docx", "openpyxl", "oxmsg", "xlrd", "pptx"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(office, "_load_unstructured", lambda name: __import__(name))
    for name in ("docx", "pptx", "xlsx", "xls", "msg"):
        with pytest.raises(ReadFailure, match=r"pip install -e '\.\[office\]'") as raised:
            office.load(name)
        assert raised.value.status is Status.NEEDS_EXTRA
