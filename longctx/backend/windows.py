"""The windows of a corpus as a face draws them, and how many of them the Scout engine has kept.

Packing takes half a CPU second for ten million tokens, so what comes of it is kept until the corpus changes.
"""

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile, zip_longest

from cache.keys import BlockKey, child_key
from cache.stored import StoredBlock
from longctx import plan
from longctx.backend.parts import in_parts
from longctx.backend.replies import PieceIs, TextIs, WindowIs, WindowsAre
from longctx.corpus import Corpus
from longctx.engines.base import Identity
from longctx.engines.opening import EngineSetup
from longctx.errors import StoreError
from longctx.manifest import Entry, State
from longctx.packing import Packer, Piece, Window
from longctx.prefix_store import open_store

SCOUT = "scout"
PIECE_SIZE = 256  # beside which a part of about 4,000 pieces is full


class Packed:
    """Entries of a corpus in windows, and the keys of these; each is worked out when it is first asked for, and once.

    The entries need not be those that the corpus has now. It stays the caller's, and open. Keys of windows that are
    the same as those of `like` are taken from there.
    """

    def __init__(self, corpus: Corpus, entries: Sequence[Entry], like: "Packed | None" = None) -> None:
        self.entries = tuple(entries)
        self._corpus = corpus
        self._like = like
        self._keys: dict[BlockKey, list[BlockKey]] = {}

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The windows in order, as `plan.pack` has them."""
        tag, tokenizer = self._corpus.record.tag, self._corpus.tokenizer
        lead = len(plan.lead_ids(tokenizer, tag))
        return tuple(Packer(tag, tokenizer, self._corpus.tokenised).pack(self.entries, lead))

    @cached_property
    def shared(self) -> int:
        """How many first windows have the same ids as those of `like`: the same texts stand under the same headers."""
        pairs = zip(self.windows, self._like.windows if self._like else (), strict=False)
        return sum(1 for _ in takewhile(lambda pair: _content(pair[0]) == _content(pair[1]), pairs))

    def stored(self, identity: Identity | None, setup: EngineSetup) -> int | None:
        """How many first windows are in the prefix store for this model; None for an engine that does not use it.

        Nothing is leased, no use is noted, and no weights are opened: the model is known by what its engine says it is.
        """
        if identity is None or identity.kind != SCOUT or setup.store is None:
            return None
        if not setup.store.is_dir():
            return 0
        try:
            with open_store(setup.store, setup.store_limit_bytes) as store:
                rows = store.rows()
        except StoreError:
            return None
        keys = {row.key for row in rows}
        roots = {row.root for row in rows if is_of(identity, row)}
        return max((self._first_of(root, keys) for root in roots), default=0)

    def _first_of(self, root: BlockKey, stored: Collection[BlockKey]) -> int:
        """How many first windows have their keys among those stored."""
        if root not in self._keys:
            self._keys[root] = self._like._keys.get(root, [])[: self.shared] if self._like else []
        known = self._keys[root]
        for index, window in enumerate(self.windows):
            if index == len(known):
                ids = array("I", plan.window_ids(self._corpus, window))
                known.append(child_key(known[-1] if known else root, ids))
            if known[index] not in stored:
                return index
        return len(self.windows)


def _content(window: Window) -> list[tuple[object, ...]]:
    """All that makes a window's ids; a header has the corpus's tag in it."""
    return [(window.lead, piece.opening, piece.entry.key, piece.part and piece.part.tokens) for piece in window.pieces]


def is_of(identity: Identity, row: StoredBlock) -> bool:
    """Whether a block was made by that model; `identity` is the Scout engine's, which names all that tells."""
    dtype, attention, model = (*identity.version.split(), "", "", "")[:3]
    return bool(model) and row.model.startswith(model) and row.dtype == dtype and row.layout.endswith(f" {attention}")


def windows_are(corpus: Corpus, packed: Packed, cached: int | None) -> Iterator[WindowsAre]:
    """The windows of the corpus and its texts, in order, in parts."""
    places = {entry.key: index for index, entry in enumerate(packed.entries)}
    windows = in_parts((_window(window, places) for window in packed.windows), _size)
    texts = in_parts((_text(corpus, entry) for entry in packed.entries), lambda text: len(text.path))
    for some, more in zip_longest(windows, texts, fillvalue=((), True)):
        yield WindowsAre(windows=some[0], texts=more[0], cached=cached, is_last=some[1] and more[1])


def _window(window: Window, places: Mapping[tuple[str, str], int]) -> WindowIs:
    return WindowIs(window.size, tuple(_piece(piece, places) for piece in window.pieces))


def _size(window: WindowIs) -> int:
    return len(window.pieces) * PIECE_SIZE


def _piece(piece: Piece, places: Mapping[tuple[str, str], int]) -> PieceIs:
    index = places[piece.entry.key]
    return PieceIs(index) if piece.part is None else PieceIs(index, *piece.part.chars)


def _text(corpus: Corpus, entry: Entry) -> TextIs:
    """A text under a path that it has now, where there is one."""
    paths = corpus.paths_of(entry)
    path = entry.path if entry.path in paths or not paths else paths[0]
    return TextIs(path=path, sha256=entry.digest, tokens=entry.tokens, is_stale=entry.state is not State.CURRENT)
