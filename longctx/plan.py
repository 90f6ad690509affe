"""What one prompt over a corpus would be: windows, tokens by folder, what is stale; and the prompt itself.

A plan is a pure function of the manifest and the texts; nothing is sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from longctx import vocabulary, wording
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.files import cost, sent
from longctx.manifest import Entry, State, stale_tokens
from longctx.packing import WINDOW_TOKENS, Packer, Piece, Window
from longctx.tokens import Tokenizer

DEEPEST = 50


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """The windows of a corpus and what they hold, in tokens. `fill` counts all windows but the last."""

    windows: tuple[Window, ...]
    stale: int
    note_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of the whole corpus part of the prompt: preamble, headers, texts and the notes after them."""
        return sum(window.size for window in self.windows) + self.note_tokens

    @property
    def text_tokens(self) -> int:
        """Tokens of the texts alone."""
        return sum(p.size - p.wrapper_tokens for window in self.windows for p in window.pieces)

    @property
    def fill(self) -> float:
        """The mean share of a closed window that is used."""
        closed = self.windows[:-1] or self.windows
        return sum(window.size for window in closed) / (WINDOW_TOKENS * max(1, len(closed)))

    @property
    def stale_share(self) -> float:
        """The share of the texts' tokens that no file says any more."""
        return self.stale / max(1, self.text_tokens)


@dataclass(frozen=True, slots=True)
class Branch:
    """A folder or file of the token tree."""

    name: str
    tokens: int
    files: int
    children: tuple["Branch", ...] = ()


def build(corpus: Corpus) -> PromptPlan:
    """The plan of a corpus that is up to date."""
    return PromptPlan(tuple(pack(corpus)), stale_tokens(corpus.entries), len(ledger_ids(corpus)))


def pack(corpus: Corpus) -> Iterator[Window]:
    """The windows of a corpus, in order."""
    tag = corpus.record.tag
    lead = len(lead_ids(corpus.tokenizer, tag))
    return Packer(tag, corpus.tokenizer, corpus.tokenised).pack(corpus.entries, lead)


def lead_ids(tokenizer: Tokenizer, tag: str) -> list[int]:
    """The ids before the first document: begin of text, the user's header, the preamble."""
    return begun(tokenizer, wording.preamble(tag))


def begun(tokenizer: Tokenizer, preamble: str) -> list[int]:
    """The ids that a prompt begins with which opens with these words."""
    head = vocabulary.message_head("user", tokenizer.encode)
    return [vocabulary.BEGIN_OF_TEXT, *head, *tokenizer.encode(preamble)]


def window_ids(corpus: Corpus, window: Window) -> list[int]:
    """The token ids of a window, as they are sent."""
    encode, tag = corpus.tokenizer.encode, corpus.record.tag
    ids = lead_ids(corpus.tokenizer, tag) if window.lead else []
    for piece in window.pieces:
        stored = corpus.tokens.get(*piece.entry.key)
        assert stored is not None, "a packed text has ids"
        first, last = piece.part.tokens if piece.part else (0, len(stored))
        ids += encode(piece.opening)
        ids += stored[first:last]
        ids += encode(wording.closing(tag))
    return ids


def window_text(corpus: Corpus, window: Window) -> str:
    """The text of a window for people and for other programs; control tokens are left out."""
    preamble = wording.preamble(corpus.record.tag) if window.lead else ""
    return preamble + "".join(_piece_text(corpus, piece) for piece in window.pieces)


def _piece_text(corpus: Corpus, piece: Piece) -> str:
    text = corpus.document(piece.entry).text
    first, last = piece.part.chars if piece.part else (0, len(text))
    return f"{piece.opening}{text[first:last]}{wording.closing(corpus.record.tag)}"


def ledger(corpus: Corpus) -> str:
    """What a reader of the prompt must know of it by now: same texts, renamed, out of date, deleted."""
    return wording.ledger([note for entry in corpus.entries for note in _notes(corpus, entry)])


def ledger_ids(corpus: Corpus) -> list[int]:
    """The ids of the notes after the last window; none where there is nothing to note."""
    notes = ledger(corpus)
    return list(corpus.tokenizer.encode(notes)) if notes else []


def _notes(corpus: Corpus, entry: Entry) -> list[str]:
    name = entry.document_id
    if entry.state is State.DELETED:
        return [wording.is_deleted(name)]
    if entry.state is State.SUPERSEDED:
        newer = next((e for e in reversed(corpus.entries) if _is_text_of(corpus, e, entry.path)), None)
        return [wording.is_superseded(name, newer.document_id if newer else None)]
    others = [path for path in corpus.paths_of(entry) if path != entry.path]
    if len(others) == len(corpus.paths_of(entry)):
        return [wording.is_renamed(name, others)]
    return [wording.is_also(name, others)] if others else []


def _is_text_of(corpus: Corpus, entry: Entry, path: str) -> bool:
    return entry.state is State.CURRENT and path in corpus.paths_of(entry)


def tree(files: Mapping[str, FileRecord], name: str) -> Branch:
    """The token tree of what is sent, heaviest first; a duplicate costs nothing. Below 50 folders it goes no deeper."""
    rows = [(PurePosixPath(path).parts, cost(record)) for path, record in files.items() if sent(record)]
    return _branch(name, rows, DEEPEST)


def over_budget(entries: Sequence[Entry], excess: int) -> list[Entry]:
    """The texts that would have to go to save `excess` tokens: stale ones first, then the last in order."""
    return list(_until(excess, sorted(entries, key=lambda e: (e.state is State.CURRENT, -e.position))))


def _until(excess: int, entries: Iterable[Entry]) -> Iterator[Entry]:
    for entry in entries:
        if excess <= 0:
            return
        excess -= entry.tokens
        yield entry


def _branch(name: str, rows: list[tuple[tuple[str, ...], int]], depth: int) -> Branch:
    """A folder from its files' remaining path parts; a file is a folder without parts."""
    below: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for parts, tokens in rows:
        if parts and depth:
            below.setdefault(parts[0], []).append((parts[1:], tokens))
    branches = (_branch(n, r, depth - 1) for n, r in below.items())
    children = sorted(branches, key=lambda b: (-b.tokens, b.name))
    return Branch(name, sum(tokens for _, tokens in rows), len(rows), tuple(children))
