"""The frozen order of a corpus. Edits append: what stands in the prompt stays where it is until a repack.

An entry is one text in the prompt. It is `current` while some file has that text, else `superseded` (its file has
other text now, further on) or `deleted`. So one edited file costs its own tokens at the end, and never the prefix.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Whether an entry's text is still what its file says."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One text in the prompt, at a fixed position; `path` is the name it was first sent under."""

    position: int
    path: str
    digest: str
    reader: str
    tokens: int
    state: State = State.CURRENT

    @property
    def key(self) -> tuple[str, str]:
        """Names the text: the digest of its file's bytes, and the reader that made text of them."""
        return self.digest, self.reader

    @property
    def document_id(self) -> str:
        """The short name that a model cites: stable, because positions are."""
        return f"d{self.position + 1}"


@dataclass(frozen=True, slots=True)
class Present:
    """A text that the sources have now, under its first path; `heat` orders texts that are new together."""

    path: str
    digest: str
    reader: str
    tokens: int
    heat: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Names the text, as an entry's key does."""
        return self.digest, self.reader


def update(
    entries: Sequence[Entry],
    present: Iterable[Present],
    paths: Collection[str] | None = None,
    whole: Sequence[Entry] = (),
) -> tuple[Entry, ...]:
    """The manifest after the sources became `present`: old entries keep their place, new texts go to the end.

    `paths` are all files there are, also those without a text of their own (emptied, equal to another). New texts
    are ordered coldest first (then by path), so that what will change soonest stands last. A text that comes back
    (a change undone, a file renamed) is current again where it stands, at no cost.

    In a part of a corpus whose manifest is `whole` a new text has the place it has there, if that is behind all others,
    and one that is new there too stands behind all of both. It keeps the path it was first sent under even where just
    that one is left out and its text stays under another: the windows before it are the same then, their KV is good.
    """
    now = {text.key: text for text in present}
    there = {text.path for text in now.values()} if paths is None else paths
    kept = tuple(replace(entry, state=_state(entry, now, there)) for entry in entries)
    known = {entry.key for entry in entries}
    new = sorted((t for t in now.values() if t.key not in known), key=lambda t: (t.heat, t.path))
    return kept + tuple(_appended(new, kept[-1].position + 1 if kept else 0, whole))


def repack(present: Iterable[Present]) -> tuple[Entry, ...]:
    """A manifest from nothing: coldest first, nothing stale. Every window after the first change is paid anew."""
    return update((), present)


def stale_tokens(entries: Iterable[Entry]) -> int:
    """Tokens of superseded and deleted texts that a repack would drop."""
    return sum(entry.tokens for entry in entries if entry.state is not State.CURRENT)


def total_tokens(entries: Iterable[Entry]) -> int:
    """Tokens of all texts in the prompt, stale ones included."""
    return sum(entry.tokens for entry in entries)


def _state(entry: Entry, now: Mapping[tuple[str, str], Present], paths: Collection[str]) -> State:
    if entry.key in now:
        return State.CURRENT
    return State.SUPERSEDED if entry.path in paths else State.DELETED


def _appended(new: Sequence[Present], free: int, whole: Sequence[Entry]) -> Iterator[Entry]:
    """Entries of new texts, at positions from `free` on."""
    texts = {text.key: text for text in new}
    for entry in whole:
        if entry.position >= free and entry.key in texts:
            yield _entry(entry.position, texts.pop(entry.key), entry.path)
    behind = max(free, whole[-1].position + 1 if whole else 0)
    yield from (_entry(position, text) for position, text in enumerate(texts.values(), start=behind))


def _entry(position: int, text: Present, path: str = "") -> Entry:
    return Entry(position, path or text.path, text.digest, text.reader, text.tokens)
