"""What stands for some documents where no model summarises them: quotations from them, in groups. Values only."""

from collections.abc import Iterator
from dataclasses import dataclass

from longctx.manifest import Entry
from longctx.recap import Excerpt

ABOUT, BEGINS = "What it is", "Where it begins"  # titles of groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`text[start:end]` of an entry's text; `said` is it as running text, `worth` what it is against others.

    `path` is its file's, `heading` the section it stands in, `name` that of a function or class, `is_code` where it is
    no sentence, `is_markdown` where marks in it mean something.
    """

    entry: Entry
    path: str
    start: int
    end: int
    said: str
    worth: float = 1.0
    heading: str = ""
    name: str = ""
    is_code: bool = False
    is_markdown: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Items under one title: of a document or a folder, by its path, or of what it says there; `about` tells more.

    One that `is_section` was asked for, and stays where nothing was found for it.
    """

    title: str
    items: tuple[Item, ...]
    is_path: bool = False
    about: str = ""
    is_section: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Groups in the order in which they are read; of `documents` in all so many were `looked_at`.

    `note` is what else a reader must know of it.
    """

    groups: tuple[Group, ...]
    documents: int
    looked_at: int
    note: str = ""

    @property
    def items(self) -> Iterator[Item]:
        """All items in order."""
        return (item for group in self.groups for item in group.items)

    @property
    def quoted(self) -> int:
        """How many documents there are quotations from."""
        return len({item.entry for item in self.items})

    @property
    def excerpts(self) -> tuple[Excerpt, ...]:
        """The items as passages, what is worth most first."""
        ranked = sorted(self.items, key=lambda item: -item.worth)
        return tuple(dict.fromkeys(Excerpt(i.entry, i.start, i.end, min(1.0, i.worth)) for i in ranked))
