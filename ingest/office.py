"""Office, mail and book formats to documents, through unstructured and the libraries it brings.

Word and PowerPoint files are partitioned by unstructured; EPUB, ODT and RTF are converted by its pandoc;
sheets and mails have modules of their own. It runs inside a worker and refuses archives that expand too
far, XML entities, attachments, images, and the language model that unstructured would download.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET
from zipfile import ZipFile

from ingest.archive import open_checked
from ingest.document import Document, Heading, Kind, Page, PageKind
from ingest.markup import read_html
from ingest.outcome import ReadFailure, Status

FORMATS = ("docx", "pptx", "xlsx", "xls", "epub", "odt", "rtf", "eml", "msg")

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAIN_PART = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}
ARCHIVES = frozenset({*MAIN_PART, "epub", "odt"})
PANDOC = {"epub": Kind.BOOK, "odt": Kind.WORD, "rtf": Kind.WORD}
NEEDED = {"docx": "docx", "pptx": "pptx", "xlsx": "openpyxl", "xls": "xlrd", "msg": "oxmsg"}
EXTRA = ReadFailure(Status.NEEDS_EXTRA, "in longctx's folder: pip install -e '.[office]'")
UNREAD = {
    "picture": re.compile(r"(word|ppt|xl)/media/."),
    "chart": re.compile(r"(word|ppt|xl)/charts/chart[^/]*$"),
    "diagram": re.compile(r"(word|ppt)/diagrams/data[^/]*$"),
    "set of comments": re.compile(r"(word|ppt|xl)/comments[^/]*$"),
}
FONT_SCRAMBLING = frozenset({b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC"})
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
Block = tuple[str, int, int]  # text, heading level (0: none), slide (0: none)


def load(name: str) -> set[str]:
    """Import what the format `name` needs, and give the programs that its reader runs; raises ReadFailure."""
    try:
        if name in ("docx", "pptx"):
            _load_unstructured(name)
        elif name in NEEDED:
            import_module(NEEDED[name])
    except ImportError:
        raise EXTRA from None
    return {_pandoc()} if name in PANDOC else set()


def read(
    content: bytes, format_name: str, password: str | None = None, *, inflated_bytes: int = 200_000_000
) -> Document:
    """The document in `content`, which should be of that format; raises ReadFailure."""
    load(format_name)
    content = _decrypted(content, format_name, password)
    archive = _open(content, format_name, inflated_bytes) if format_name in ARCHIVES else None
    document = _read(content, format_name, archive)
    if not document.text.strip():
        raise ReadFailure(Status.NO_TEXT, "; ".join(("no text", *document.notes)))
    return document


def _read(content: bytes, format_name: str, archive: ZipFile | None) -> Document:
    from ingest import mail, openxml, sheets

    if archive is not None and format_name in MAIN_PART:
        content = openxml.readable(content, archive)
    if archive is not None and format_name == "docx":
        return _read_docx(content, archive)
    if archive is not None and format_name == "pptx":
        return _read_pptx(content, archive)
    if archive is not None and format_name == "xlsx":
        return sheets.read_xlsx(content, archive)
    if format_name == "rtf" and not content.lstrip().startswith(b"{\\rtf"):
        raise ReadFailure(Status.BROKEN, "not an RTF file")
    if format_name in PANDOC:
        return _read_converted(content, format_name)
    readers = {"xls": sheets.read_xls, "eml": mail.read_eml, "msg": mail.read_msg}
    return readers[format_name](content)


def _load_unstructured(name: str) -> None:
    """Import a partitioner, without telemetry, advertising, spaCy or its model."""
    os.environ |= {"DO_NOT_TRACK": "1", "SCARF_NO_ANALYTICS": "1", "UNSTRUCTURED_DISABLE_NOTICE": "1"}
    if "unstructured.nlp.tokenize" not in sys.modules:
        # They only decide which paragraphs are called narrative; spaCy would take 0.4 CPU s to load.
        stand_in = ModuleType("unstructured.nlp.tokenize")
        vars(stand_in).update(sent_tokenize=_sentences, word_tokenize=str.split, pos_tag=_tags)
        sys.modules[stand_in.__name__] = stand_in
    module = import_module(f"unstructured.partition.{name}")
    vars(module).update(is_possible_title=lambda *_, **__: False)  # a short line is no heading


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text)


def _tags(text: str) -> list[tuple[str, str]]:
    return [(word, "NN") for word in text.split()]


def _pandoc() -> str:
    """The pandoc that comes with the extra, or the system's."""
    spec = find_spec("pypandoc")
    bundled = Path(spec.origin).parent / "files" / "pandoc" if spec and spec.origin else None
    found = str(bundled) if bundled and bundled.is_file() else shutil.which("pandoc")
    if found is None:
        raise EXTRA
    return found


def _decrypted(content: bytes, format_name: str, password: str | None) -> bytes:
    if not content.startswith(OLE) or format_name not in (*MAIN_PART, "xls"):
        return content
    try:
        import msoffcrypto
    except ImportError:
        raise EXTRA from None
    try:
        encrypted = msoffcrypto.OfficeFile(BytesIO(content))
        if not encrypted.is_encrypted():
            return content
    except (msoffcrypto.exceptions.FileFormatError, OSError):
        return content
    if password is None:
        raise ReadFailure(Status.PASSWORD, "needs a password")
    plain = BytesIO()
    try:
        encrypted.load_key(password=password, verify_password=True)
        encrypted.decrypt(plain)
    except (msoffcrypto.exceptions.InvalidKeyError, msoffcrypto.exceptions.DecryptionError):
        raise ReadFailure(Status.PASSWORD, "the password does not open it") from None
    return plain.getvalue()


def _open(content: bytes, format_name: str, limit: int) -> ZipFile:
    if content.startswith(OLE):
        raise ReadFailure(Status.BROKEN, f"an Office file from before 2007, not {format_name}")
    archive = open_checked(content, limit, entities=format_name == "epub")
    names = set(archive.namelist())
    if format_name in MAIN_PART and MAIN_PART[format_name] not in names and "_rels/.rels" not in names:
        raise ReadFailure(Status.BROKEN, f"an archive, but not {format_name}")
    if _is_protected(archive, names):
        raise ReadFailure(Status.PASSWORD, "needs a password, or is protected against copying")
    return archive


def _is_protected(archive: ZipFile, names: set[str]) -> bool:
    if "META-INF/encryption.xml" in names:
        used = re.findall(rb'Algorithm\s*=\s*"([^"]+)"', archive.read("META-INF/encryption.xml"))
        return not FONT_SCRAMBLING.issuperset(used)
    return "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml")


def _read_docx(content: bytes, archive: ZipFile) -> Document:
    from unstructured.partition.docx import partition_docx

    elements = partition_docx(file=BytesIO(content), languages=[""], include_page_breaks=False)
    blocks = [*_blocks(elements), *_notes_below(archive)]
    return _document(blocks, Kind.WORD, archive)


def _read_pptx(content: bytes, archive: ZipFile) -> Document:
    from unstructured.partition.pptx import partition_pptx

    elements = partition_pptx(file=BytesIO(content), languages=[""], include_page_breaks=True, include_slide_notes=True)
    return _document(list(_blocks(elements, slides=True)), Kind.SLIDES, archive)


def _blocks(elements: Iterable[Any], *, slides: bool = False) -> Iterator[Block]:
    """Elements as text; what stands on every page as its head or foot is given once."""
    slide = int(slides)
    repeated: set[str] = set()
    for element in elements:
        if element.category == "PageBreak":
            slide += 1
            continue
        markup = element.metadata.text_as_html if element.category == "Table" else None
        text = read_html(markup).text if markup else element.text.strip()
        if element.category in ("Header", "Footer"):
            if text in repeated:
                continue
            repeated.add(text)
        level = (element.metadata.category_depth or 0) + 1 if element.category == "Title" else 0
        if text:
            yield text, level, slide


def _notes_below(archive: ZipFile) -> Iterator[Block]:
    """Footnotes and endnotes, which the partitioner leaves out."""
    for name in ("word/footnotes.xml", "word/endnotes.xml"):
        if name in archive.namelist():
            for note in ET.fromstring(archive.read(name)):
                text = "".join(part.text or "" for part in note.iter(f"{WORD}t")).strip()
                if text:
                    yield f"[{note.get(f'{WORD}id')}] {text}", 0, 0


def _document(blocks: list[Block], kind: Kind, archive: ZipFile) -> Document:
    starts: list[int] = []
    length = 0
    for text, _, _ in blocks:
        starts.append(length)
        length += len(text) + 2
    length = max(0, length - 2)
    headings = tuple(
        Heading(start, min(level, 6), " ".join(text.split()))
        for start, (text, level, _) in zip(starts, blocks, strict=True)
        if level
    )
    properties = _properties(archive)
    return Document(
        text="\n\n".join(text for text, _, _ in blocks),
        kind=kind,
        title=properties.get("title") or (headings[0].title if headings else ""),
        pages=_slides(blocks, starts, length),
        headings=headings,
        source_lines=(),
        notes=_unread(archive),
        metadata=properties,
    )


def _slides(blocks: list[Block], starts: list[int], length: int) -> tuple[Page, ...]:
    """The slides that have text; together they cover all of it."""
    first: dict[int, int] = {}
    for start, (_, _, slide) in zip(starts, blocks, strict=True):
        if slide:
            first.setdefault(slide, start)
    ends = [*first.values(), length][1:]
    return tuple(
        Page(number, str(number), start, end, PageKind.SLIDE)
        for (number, start), end in zip(first.items(), ends, strict=bool(first))
    )


def _properties(archive: ZipFile) -> dict[str, str]:
    if "docProps/core.xml" not in archive.namelist():
        return {}
    try:
        root = ET.fromstring(archive.read("docProps/core.xml"))
    except ET.ParseError:
        return {}
    found = {"title": root.findtext(f"{DUBLIN_CORE}title"), "author": root.findtext(f"{DUBLIN_CORE}creator")}
    return {name: value.strip() for name, value in found.items() if value and value.strip()}


def _unread(archive: ZipFile) -> tuple[str, ...]:
    """What a document holds besides text, so that nobody thinks that it was read."""
    names = archive.namelist()
    counts = {what: sum(bool(pattern.match(name)) for name in names) for what, pattern in UNREAD.items()}
    return tuple(f"has {count} {what}{'s' * (count > 1)}, not read" for what, count in counts.items() if count)


def _read_converted(content: bytes, format_name: str) -> Document:
    markup = _convert(content, format_name)
    page = read_html(markup)
    title = page.headings[0].title if page.headings else ""
    return Document(page.text, PANDOC[format_name], title, headings=page.headings, source_lines=())


def _convert(content: bytes, format_name: str) -> str:
    """HTML from pandoc, which reads stdin and, in its sandbox, nothing else."""
    from ingest.worker import die_with_parent

    command = [_pandoc(), "--sandbox", f"--from={format_name}", "--to=html", "--wrap=none"]
    ran = subprocess.run(command, input=content, capture_output=True, preexec_fn=die_with_parent)
    complaint = " ".join(ran.stderr.decode("utf-8", "replace").split())[:200]
    if ran.returncode and "heap" in complaint.lower():
        raise MemoryError
    if ran.returncode:
        raise ReadFailure(Status.BROKEN, complaint or f"pandoc stopped: {ran.returncode}")
    return ran.stdout.decode("utf-8", "replace")
