"""Text files: opened safely, told from binary ones, decoded without loss where that can be.

Bytes are read from a regular file that did not change meanwhile. Where `replaced` is 0, `encode` gives back
exactly the bytes that `decode` was given: BOM, CRLF and all. Nothing here parses a binary format.
"""

import codecs
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ingest.document import Document
from ingest.formats import is_nearly_utf8, kind_of, wide_encoding
from ingest.formats import sniff as sniff
from ingest.outcome import ReadFailure, Status
from ingest.source import Source, signature_of

HEAD_BYTES = 8192
PIECE_BYTES = 2**20
SAMPLE_BYTES = 32 * 1024
SAMPLE_MARGIN = 200
MAX_CONTROL_SHARE = 0.02
MAX_RUN_SHARE = 0.2

# With a byte order mark the name ends in "-sig", as Python names it for UTF-8. UTF-32's mark begins with UTF-16's.
_MARKS = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-32-le-sig": codecs.BOM_UTF32_LE,
    "utf-32-be-sig": codecs.BOM_UTF32_BE,
    "utf-16-le-sig": codecs.BOM_UTF16_LE,
    "utf-16-be-sig": codecs.BOM_UTF16_BE,
}
_LEGACY = [
    "big5", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1258", "cp874", "cp932", "cp949",
    "euc_jp", "gb18030", "koi8_r",
]  # fmt: skip
_CONTROLS = bytes(sorted(set(range(32)) - set(b"\b\t\n\f\r\x1b") | {0x7F}))
# A character's second byte may be ASCII, its third never is; no character holds a line end.
_BREAK = re.compile(rb"\n|[\x00-\x7f]{2}")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# Signs that stand beside words in Western text: quotes, dashes, ellipsis, euro, degree and the like.
_WESTERN_SIGNS = frozenset("€…†‡‰‹›‘’“”•–—™\u00a0¡¢£§©«»®°±²³µ¶·¹¼½¾¿×÷´ªº\u00ad")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text and how it was got; `replaced` counts the places where bytes had no character."""

    text: str
    encoding: str
    replaced: int = 0


def read_head(source: Source, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, to tell what it is. Raises ReadFailure."""
    if source.content is not None:
        return source.content[:size]
    descriptor = _open(source.location)
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise _failure(error) from error
    finally:
        os.close(descriptor)


def read_bytes(source: Source, limit: int) -> bytes:
    """A file's bytes, all from one state of it. Raises ReadFailure; for more than `limit`, before reading any."""
    if source.content is not None:
        _check_size(len(source.content), limit)
        return source.content
    return _unchanged(source.location, limit, b"".join)


def digest(source: Source, limit: int) -> str:
    """The sha256 of a file's bytes in hexadecimal, without holding them all. Raises ReadFailure as `read_bytes`."""
    if source.content is not None:
        return _sha256([read_bytes(source, limit)])
    return _unchanged(source.location, limit, _sha256)


def read_text(content: bytes, path: str) -> Document:
    """The document of a text file. Raises ReadFailure where it is binary."""
    decoded = decode(content)
    kind = kind_of(path, decoded.text)
    return Document(decoded.text, kind, encoding=decoded.encoding, replaced=decoded.replaced)


def decode(content: bytes) -> Decoded:
    """Text from bytes in whatever encoding they are. Raises ReadFailure where they are no text."""
    for encoding, mark in _MARKS.items():
        if content.startswith(mark):
            return _checked(_decode_as(content, encoding))
    if b"\0" in content:
        return _with_nuls(content)
    try:
        return _checked(Decoded(content.decode("utf-8"), "utf-8"))
    except UnicodeDecodeError:
        _check_controls(content)
        return _damaged_utf8(content) or _western(content) or _legacy(content)


def encode(decoded: Decoded) -> bytes:
    """The bytes that `decoded` came from, where nothing was replaced in it."""
    mark = _MARKS.get(decoded.encoding, b"")
    return mark + decoded.text.encode(decoded.encoding.removesuffix("-sig"))


def _open(location: str) -> int:
    """A descriptor of a regular file; a device or a pipe that took its place is not waited for."""
    try:
        descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _failure(error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ReadFailure(Status.SPECIAL, "no longer a regular file")
    return descriptor


def _failure(error: OSError) -> ReadFailure:
    if isinstance(error, PermissionError):
        return ReadFailure(Status.UNREADABLE, "no permission")
    if isinstance(error, FileNotFoundError):
        return ReadFailure(Status.CHANGED, "the file is gone")
    if error.errno == errno.ELOOP:
        return ReadFailure(Status.SPECIAL, "no longer a regular file")
    return ReadFailure(Status.UNREADABLE, error.strerror or "can't be read")


def _unchanged(location: str, limit: int, use: Callable[[Iterator[bytes]], _Value]) -> _Value:
    for _attempt in range(2):
        descriptor = _open(location)
        try:
            before = os.fstat(descriptor)
            _check_size(before.st_size, limit)
            value = use(_pieces(descriptor, limit))
            if signature_of(os.fstat(descriptor)) == signature_of(before):
                return value
        except OSError as error:
            raise _failure(error) from error
        finally:
            os.close(descriptor)
    raise ReadFailure(Status.CHANGED)


def _pieces(descriptor: int, limit: int) -> Iterator[bytes]:
    total = 0
    while piece := os.read(descriptor, PIECE_BYTES):
        total += len(piece)
        _check_size(total, limit)
        yield piece


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ReadFailure(Status.TOO_LARGE, f"{_readable(size)}, limit {_readable(limit)}")


def _readable(size: int) -> str:
    for unit, scale in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def _sha256(pieces: Iterable[bytes]) -> str:
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
    return state.hexdigest()


def _decode_as(content: bytes, encoding: str) -> Decoded:
    body = content[len(_MARKS.get(encoding, b"")) :]
    codec = encoding.removesuffix("-sig")
    text = body.decode(codec, "replace")
    decoded = Decoded(text, encoding)
    if "\ufffd" not in text:
        # A codec may read two spellings of one character: then the text is right and the bytes are not in it.
        return decoded if encode(decoded) == content else Decoded(text, encoding, 1)
    try:
        body.decode(codec)
    except UnicodeDecodeError:
        return Decoded(text, encoding, text.count("\ufffd"))
    return decoded


def _with_nuls(content: bytes) -> Decoded:
    """UTF-16 or UTF-32 without a mark, or UTF-8 in which a few NULs strayed. Raises ReadFailure."""
    encoding = _unmarked(content)
    if encoding is None and is_nearly_utf8(content, whole=True):
        return _checked(Decoded(content.decode("utf-8"), "utf-8"))
    encoding = encoding or wide_encoding(content[:HEAD_BYTES])
    if encoding is None or len(content) % 2:
        raise ReadFailure(Status.BINARY)
    return _checked(_decode_as(content, encoding))


def _unmarked(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, told by where the NULs of ASCII characters stand."""
    sample = content[: HEAD_BYTES - HEAD_BYTES % 4]
    zeros = [sample[offset::4].count(0) * 4 / max(4, len(sample)) for offset in range(4)]
    shapes = {
        "utf-32-le": (0, 1, 1, 1),
        "utf-32-be": (1, 1, 1, 0),
        "utf-16-le": (0, 1, 0, 1),
        "utf-16-be": (1, 0, 1, 0),
    }
    for encoding, shape in shapes.items():
        fits = all(share > 0.2 if zero else share < 0.02 for share, zero in zip(zeros, shape, strict=True))
        if fits and len(content) % (4 if "32" in encoding else 2) == 0:
            return encoding
    return None


def _checked(decoded: Decoded) -> Decoded:
    """`decoded` without NULs, unless its beginning is not what is written as text. Raises ReadFailure."""
    head = decoded.text[:HEAD_BYTES]
    _check_controls(head.encode("utf-8", "replace"))
    if decoded.replaced > len(decoded.text) / 10:
        raise ReadFailure(Status.BINARY)
    nuls = decoded.text.count("\0")
    if not nuls:
        return decoded
    return Decoded(decoded.text.replace("\0", "\ufffd"), decoded.encoding, decoded.replaced + nuls)


def _check_controls(content: bytes) -> None:
    head = content[:HEAD_BYTES]
    if len(head) - len(head.translate(None, _CONTROLS)) > len(head) * MAX_CONTROL_SHARE:
        raise ReadFailure(Status.BINARY)


def _damaged_utf8(content: bytes) -> Decoded | None:
    """UTF-8 with some bad bytes: other encodings hardly ever make as many valid sequences as invalid ones."""
    text = content.decode("utf-8", "replace")
    replaced = text.count("\ufffd") - content.count("\ufffd".encode())
    valid = len(text) - text.count("\ufffd") - _ascii_count(content)
    return Decoded(text, "utf-8", replaced) if valid >= replaced else None


def _ascii_count(content: bytes) -> int:
    return len(content) - sum(map(len, _HIGH_RUN.findall(content)))


def _western(content: bytes) -> Decoded | None:
    """cp1252, where its accented letters stand alone in words, and its signs beside them."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    runs = _HIGH_RUN.findall(content)
    if sum(len(run) > 1 for run in runs) > MAX_RUN_SHARE * len(runs):
        return None
    fits = all(_fits_western(text, match.start()) for match in _HIGH_RUN.finditer(content))
    return Decoded(text, "cp1252") if fits else None


def _fits_western(text: str, position: int) -> bool:
    character = text[position]
    if character in _WESTERN_SIGNS:
        around = text[max(0, position - 1) : position], text[position + 1 : position + 2]
        return character in "’·\u00ad" or not all(side.isalpha() for side in around)
    return character.isalpha() and character not in "ðþÞÐ"


def _legacy(content: bytes) -> Decoded:
    """What charset_normalizer takes it for, judged by what is not ASCII; else UTF-8 with replacements."""
    from charset_normalizer import from_bytes

    sample = b"".join(_not_ascii(content))
    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    if best is None:
        return _checked(_decode_as(content, "utf-8"))
    return _checked(_decode_as(content, best.encoding))


def _not_ascii(content: bytes) -> Iterator[bytes]:
    """Pieces with high bytes and what is around them, of some length in all, no character cut."""
    end = total = 0
    for match in _HIGH_RUN.finditer(content):
        if match.start() < end:
            continue
        start = max(end, match.start() - SAMPLE_MARGIN)
        after = _BREAK.search(content, match.start() + SAMPLE_MARGIN)
        end = min(after.end() if after else len(content), start + SAMPLE_BYTES)
        yield content[start:end]
        total += end - start
        if total > SAMPLE_BYTES:
            return
