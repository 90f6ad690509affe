"""Open XML packages put into the form that python-docx and openpyxl read, so that they drop no text in silence.

They skip what stands inside content controls, fields, tracked insertions, runs with a direction and text boxes, and
all of a package in the "strict" namespaces. It refuses to touch anything else.
"""

from importlib import import_module
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

DOCUMENT = "word/document.xml"
STRICT = b"http://purl.oclc.org/ooxml/"
TRANSITIONAL = {
    b"http://purl.oclc.org/ooxml/officeDocument/": b"http://schemas.openxmlformats.org/officeDocument/2006/",
    b"http://purl.oclc.org/ooxml/spreadsheetml/": b"http://schemas.openxmlformats.org/spreadsheetml/2006/",
    b"http://purl.oclc.org/ooxml/wordprocessingml/": b"http://schemas.openxmlformats.org/wordprocessingml/2006/",
    b"http://purl.oclc.org/ooxml/presentationml/": b"http://schemas.openxmlformats.org/presentationml/2006/",
    b"http://purl.oclc.org/ooxml/drawingml/": b"http://schemas.openxmlformats.org/drawingml/2006/",
}
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
CONTENT, BOX, PARAGRAPH = f"{WORD}sdtContent", f"{WORD}txbxContent", f"{WORD}p"
WRAPPERS = tuple(
    f"{WORD}{name}" for name in ("sdt", "fldSimple", "ins", "moveTo", "smartTag", "customXml", "dir", "bdo")
)
MARKS = (
    b":sdt>",
    b":fldSimple ",
    b":ins ",
    b":moveTo ",
    b":smartTag ",
    b":customXml ",
    b":dir ",
    b":bdo ",
    b":txbxContent",
)


def readable(content: bytes, archive: ZipFile) -> bytes:
    """The package `content`, rewritten only where its readers would lose text; `archive` is the same package."""
    changed: dict[str, bytes] = {}
    for name in archive.namelist():
        if name.endswith((".xml", ".rels")):
            part = archive.read(name)
            plain = _transitional(part) if STRICT in part else part
            if name == DOCUMENT and any(mark in plain for mark in MARKS):
                plain = _flattened(plain)
            if plain is not part:
                changed[name] = plain
    return _repacked(archive, changed) if changed else content


def _transitional(part: bytes) -> bytes:
    for strict, usual in TRANSITIONAL.items():
        part = part.replace(strict, usual)
    return part


def _repacked(archive: ZipFile, changed: dict[str, bytes]) -> bytes:
    package = BytesIO()
    with ZipFile(package, "w", ZIP_STORED) as copy:
        for name in dict.fromkeys(archive.namelist()):
            copy.writestr(name, changed[name] if name in changed else archive.read(name))
    return package.getvalue()


def _flattened(part: bytes) -> bytes:
    """The main part with wrappers gone, their contents in their place, and text boxes after their paragraph."""
    etree: Any = import_module("lxml.etree")
    root = etree.fromstring(part, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    for copy in list(root.iter(FALLBACK)):
        copy.getparent().remove(copy)
    for box in list(root.iter(BOX)):
        _move_out(box)
    for wrapper in list(root.iter(*WRAPPERS)):
        _unwrap(wrapper)
    flattened: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return flattened


def _move_out(box: Any) -> None:
    paragraphs = list(box.iterancestors(PARAGRAPH))
    if paragraphs:
        for child in reversed(list(box)):
            paragraphs[-1].addnext(child)


def _unwrap(wrapper: Any) -> None:
    for child in list(wrapper):
        for element in list(child) if child.tag == CONTENT else [child]:
            if not element.tag.endswith("Pr"):  # the properties of the wrapper
                wrapper.addprevious(element)
    wrapper.getparent().remove(wrapper)
