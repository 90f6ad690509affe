"""The evidence of an item as a page shows it: each citation with its state in words, its context and its picture."""

from collections.abc import Container
from dataclasses import dataclass

from longctx.reports import phrases
from longctx.reports.album import Album, Print, Site
from longctx.reports.anchors import evidence_anchor, item_anchor, mark_anchor
from longctx.reports.report import Evidence, Item

QUOTE_MOST = 2000  # characters; report.json has all of it
CONTEXT_MOST = 1000
CLAIM_MOST = 300
PASSAGE_MOST = 120
SHORT_MOST = 800  # characters that need not go over two sheets
FIXED = frozenset({"code", "table", "sheets", "notebook"})  # kinds whose lines are as they are
TONES = {"verified": "sound", "relocated": "doubt", "near": "doubt"}  # all other states are bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A citation. `before` and `after` are the text around the quote, `passage` is its beginning in a line; `back`
    leads to where it is cited; `shown` to another citation with the same picture, of which `shown_at` are the words."""

    n: int
    anchor: str
    back: str
    tone: str
    sign: str
    state: str
    place: str
    name: str
    claim: str
    before: str
    quote: str
    after: str
    is_found: bool
    is_fixed: bool
    is_sound: bool
    sha256: str
    picture: Print | None
    caption: str
    passage: str
    shown: str
    shown_at: str
    note: str

    @property
    def digest(self) -> str:
        """The beginning of the file's hash."""
        return self.sha256[: phrases.HASH_SHOWN]

    @property
    def is_short(self) -> bool:
        """It has room on one sheet of paper."""
        return self.picture is None and len(self.before) + len(self.quote) + len(self.after) <= SHORT_MOST


def exhibits(item: Item, place: int, names: tuple[str, ...], album: Album, marks: Container[int]) -> list[Exhibit]:
    """The citations of the item at that place; `names` are the anchors of all items, `marks` the numbers that its
    answer has marks of."""
    states = {note.n: note.state for note in phrases.notes(item)}
    return [_exhibit(each, place, names, album, states[each.n], marks) for each in phrases.cited(item)]


def _exhibit(
    each: Evidence, place: int, names: tuple[str, ...], album: Album, state: str, marks: Container[int]
) -> Exhibit:
    name, sound = names[place], each.is_sound
    other = album.seen.get((place, each.n))
    return Exhibit(
        n=each.n,
        anchor=evidence_anchor(name, each.n),
        back=mark_anchor(name, each.n) if each.n in marks else item_anchor(name),
        tone=tone(each),
        sign=phrases.sign(each),
        state=state,
        place=phrases.name(each.place or each.path or "?"),
        name=phrases.name(each.name),
        claim=phrases.line(each.claim, CLAIM_MOST),
        before=each.before if len(each.before) <= CONTEXT_MOST else f"…{each.before[-CONTEXT_MOST:]}",
        quote=_cut(each.quote, QUOTE_MOST),
        after=_cut(each.after, CONTEXT_MOST),
        is_found=each.chars is not None or sound,
        is_fixed=each.kind in FIXED,
        is_sound=sound,
        sha256=phrases.name(each.sha256),
        picture=album.prints.get((place, each.n)),
        caption=f"{phrases.name(each.path)}, page {each.page}" if each.page else phrases.name(each.path),
        passage=phrases.line(each.quote, PASSAGE_MOST),
        shown=evidence_anchor(names[other[0]], other[1]) if other else "",
        shown_at=_shown_at(place, names, other) if other else "",
        note=_note(each, album),
    )


def tone(evidence: Evidence) -> str:
    """How a state is coloured: sound, doubt or bad."""
    found = TONES.get(evidence.status, "bad")
    return "doubt" if found == "sound" and not evidence.is_current else found


def _shown_at(place: int, names: tuple[str, ...], other: Site) -> str:
    return f"citation {other[1]}" + ("" if other[0] == place else f" of {names[other[0]]}")


def _note(each: Evidence, album: Album) -> str:
    if each.picture in album.left_out:
        return f"The picture of this page is in pages/{phrases.name(each.picture)}; this file has no room for more."
    return phrases.line(each.picture_note)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
