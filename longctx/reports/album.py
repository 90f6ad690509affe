"""Which pictures of cited pages a page holds: each once, at its first citation, as long as there is room."""

from base64 import b64encode
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

from longctx.reports.phrases import cited
from longctx.reports.report import Report

ROOM_BYTES = 12_000_000  # of all pictures together, as they are written
LARGEST_SIDE = 10_000  # pixels
Picture = Callable[[str], bytes | None]
Site = tuple[int, int]  # the item's place in the report, the number of the citation


@dataclass(frozen=True, slots=True)
class Print:
    """A picture as it is written into a page, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Album:
    """`prints` are the pictures at the citations where they stand, `seen` where another citation's picture stands
    that shows the same; `left_out` are the names there was no room for."""

    prints: Mapping[Site, Print]
    seen: Mapping[Site, Site]
    left_out: frozenset[str]


def album(report: Report, picture: Picture, kept: MutableMapping[str, str]) -> Album:
    """What goes where; `kept` keeps pictures as they are written, so that none is read twice."""
    prints: dict[Site, Print] = {}
    seen: dict[Site, Site] = {}
    first: dict[str, Site] = {}
    left_out: set[str] = set()
    room = ROOM_BYTES
    for place, item in enumerate(report.items):
        for each in cited(item):
            if not each.picture or each.picture in left_out:
                continue
            if each.picture in first:
                seen[place, each.n] = first[each.picture]
            elif (found := _print(each.picture, picture, kept)) and len(found.uri) <= room:
                first[each.picture] = place, each.n
                prints[place, each.n] = found
                room -= len(found.uri)
            elif found:
                left_out.add(each.picture)
    return Album(prints, seen, frozenset(left_out))


def _print(name: str, picture: Picture, kept: MutableMapping[str, str]) -> Print | None:
    """A picture by its name; None where there is none, or it is no JPEG or PNG."""
    key = f"picture {name}"
    if key not in kept:
        content = picture(name)
        size = _size(content) if content else None
        if content is None or size is None or not 0 < min(size) <= max(size) <= LARGEST_SIDE:
            return None
        kind = "png" if content.startswith(_PNG) else "jpeg"
        kept[key] = f"{size[0]} {size[1]} data:image/{kind};base64,{b64encode(content).decode('ascii')}"
    width, height, uri = kept[key].split(" ", 2)
    return Print(uri, int(width), int(height))


_PNG = b"\x89PNG\r\n\x1a\n"
_NO_SIZE = {0xC4, 0xC8, 0xCC}  # among the segments of a JPEG that begin a frame, those that do not


def _size(content: bytes) -> tuple[int, int] | None:
    """Width and height, from the head of a PNG or JPEG."""
    if content.startswith(_PNG):
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if not content.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in _NO_SIZE:
            return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return None
