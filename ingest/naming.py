"""How names and document text are shown to people: nothing invisible, nothing that a terminal obeys.

`show` and `unshow` are inverses, so that a path copied from the screen still names its file. Every backslash
is doubled and everything unprintable escaped, as is what is printable but not seen, and marks that pile up; bytes that
are no UTF-8 appear as `\\xNN`. This is for screens only: stores and JSON keep the path itself.
"""

import os
import re
from collections.abc import Iterator
from unicodedata import category

MARKS_MOST = 4  # on one letter: no script needs more

# Fillers, the blank braille pattern, joiners and selectors: printable, and nothing is to be seen.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_ESCAPE = re.compile(r"\\(\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_LONG = {escape[1]: character for character, escape in _SHORT.items()}

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(rf"\r\n?|[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\u2028\u2029\ud800-\udfff]")


def show(path: str) -> str:
    """`path` in one printable line, unambiguously; `unshow` gives it back."""
    if path.isascii() and path.isprintable() and "\\" not in path:
        return path
    return "".join(_escaped(path))


def unshow(shown: str) -> str:
    """The path that `show` gave `shown` for."""
    return _ESCAPE.sub(lambda match: _unescape(match[1]), shown)


def safe_text(text: str) -> str:
    """Document text for a terminal: controls in visible forms (`␛`), line ends and tabs kept, CRLF as LF."""
    return _UNSAFE.sub(lambda match: _visible(match[0]), text)


def encode(path: str) -> bytes:
    """The bytes by which the file system knows `path`."""
    return os.fsencode(path)


def decode(path: bytes) -> str:
    """A path as text, undecodable bytes as surrogate escapes."""
    return os.fsdecode(path)


def _escaped(path: str) -> Iterator[str]:
    marks = 0  # so far on one letter
    for character in path:
        marks = marks + 1 if category(character) in ("Mn", "Me") else 0
        if marks > MARKS_MOST or character in _UNSEEN or not character.isprintable() or character == "\\":
            yield _escape(character)
        else:
            yield character


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _unescape(escape: str) -> str:
    if escape in _LONG:
        return _LONG[escape]
    code = int(escape[1:], 16)
    if escape[0] == "x" and code >= 0x80:
        code += 0xDC00
    return chr(code) if code <= 0x10FFFF else f"\\{escape}"


def _visible(found: str) -> str:
    if found == "\r\n":
        return "\n"
    code = ord(found)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"<U+{code:04X}>"
