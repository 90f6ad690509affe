import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.document import Document, Kind, Page
from longctx.manifest import Entry
from longctx.packing import WINDOW_TOKENS, Packer, Window
from longctx.tokenised import TokenisedDocument
from longctx.tokens import Tokenizer, packed

TOKENIZER = Tokenizer()
TOKENIZER.expect_much()
LEAD = 57
LINE = "    total = total + value * 17  # naïve 日本\n"
FUNCTION = "def f{n}(value: int) -> int:\n    total = {n}\n" + LINE * 9 + "    return total\n\n\n"


def code(functions: int) -> Document:
    return Document("".join(FUNCTION.format(n=n) for n in range(functions)), Kind.CODE)


def pack(documents: Sequence[Document]) -> tuple[list[Window], Callable[[Entry], TokenisedDocument]]:
    tokenised = [TokenisedDocument(each, packed(TOKENIZER.encode(each.text)), TOKENIZER) for each in documents]
    entries = [Entry(n, f"file{n}.py", str(n), "text/1", len(each.ids)) for n, each in enumerate(tokenised)]

    def load(entry: Entry) -> TokenisedDocument:
        return tokenised[entry.position]

    return list(Packer("tag", TOKENIZER, load).pack(entries, LEAD)), load


def check_windows(documents: Sequence[Document]) -> list[Window]:
    """Every window holds what it may, and the pieces of each text are that text, in order."""
    windows, load = pack(documents)
    assert [window.index for window in windows] == list(range(len(windows)))
    assert all(0 < window.size <= WINDOW_TOKENS for window in windows)
    pieces = [piece for window in windows for piece in window.pieces]
    for position, document in enumerate(documents):
        own = [piece for piece in pieces if piece.entry.position == position]
        ids = load(own[0].entry).ids
        spans = [(piece.part.chars, piece.part.tokens) if piece.part else None for piece in own]
        if spans == [None]:
            continue
        cut = [span for span in spans if span is not None]
        assert len(cut) == len(own)
        assert "".join(document.text[slice(*chars)] for chars, _ in cut) == document.text
        assert [token for _, tokens in cut for token in ids[slice(*tokens)]] == list(ids)
        for chars, tokens in cut:
            assert TOKENIZER.decode(ids[slice(*tokens)]) == document.text[slice(*chars)]
    return windows


TEXT = st.builds(
    lambda seed, words, kind: Document(
        "".join(random.Random(seed).choices(["word ", "héé ", "日本", "\n", "\n\n", "# Title\n", "x" * 50], k=words)),
        kind,
    ),
    st.integers(0, 1000),
    st.sampled_from([1, 100, 3000, 9000, 20000]),
    st.sampled_from([Kind.PROSE, Kind.CODE, Kind.MARKDOWN]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_windows_hold_every_text_whole_and_in_order(documents: list[Document]) -> None:
    check_windows(documents)


def test_a_long_file_is_cut_between_functions() -> None:
    document = code(400)
    windows = check_windows([document])
    assert len(windows) > 4
    for piece in [window.pieces[-1] for window in windows[:-1]]:
        assert piece.part is not None
        assert document.text[piece.part.chars[1] :].startswith("def f")


def test_every_part_says_what_it_is_and_where() -> None:
    windows = check_windows([code(400)])
    openings = [window.pieces[0].opening for window in windows]
    assert openings[0].startswith('<doc-tag id=d1 path="file0.py" lines="1-')
    assert f'part="2/{len(windows)}"' in openings[1]
    assert windows[1].pieces[0].opening.startswith('<doc-tag id=d1 path="file0.py" lines="')


def test_windows_are_full() -> None:
    rng = random.Random(7)
    windows = check_windows([code(rng.choice([1, 5, 20, 60, 150, 500])) for _ in range(60)])
    closed = windows[:-1]
    assert len(closed) > 20
    assert sum(window.size for window in closed) / len(closed) >= 0.97 * WINDOW_TOKENS


def test_a_text_without_any_break_is_cut_at_a_character() -> None:
    check_windows([Document("日本語" * 30_000, Kind.PROSE), Document("x" * 200_000, Kind.PROSE)])


def test_what_is_appended_changes_nothing_before() -> None:
    documents = [code(n) for n in (3, 90, 200, 30)]
    before, _ = pack(documents)
    after, _ = pack([*documents, code(120)])
    assert after[: len(before) - 1] == before[:-1]
    last = before[-1].pieces
    assert after[len(before) - 1].pieces[: len(last)] == last


def test_packing_is_deterministic() -> None:
    documents = [code(n) for n in (10, 300, 45)]
    assert pack(documents)[0] == pack(documents)[0]


def test_pages_are_named_with_their_printed_labels() -> None:
    text = "A sentence of some words on this page of the report.\n" * 3000
    step = len(text) // 30
    pages = tuple(Page(n + 1, f"p{n}", n * step, len(text) if n == 29 else (n + 1) * step) for n in range(30))
    windows = check_windows([Document(text, Kind.PDF, pages=pages, source_lines=())])
    assert 'pages="1-' in windows[0].pieces[0].opening
    assert 'printed="p0-p' in windows[0].pieces[0].opening


@pytest.mark.parametrize("tokens_before", [8100, 8000, 7900, 7000])
def test_a_text_near_a_windows_end_is_neither_lost_nor_cut_small(tokens_before: int) -> None:
    filler = Document("word " * (tokens_before - LEAD - 40), Kind.PROSE)
    windows = check_windows([filler, code(40)])
    parts = [piece for window in windows for piece in window.pieces if piece.entry.position == 1]
    assert min(piece.size for piece in parts) > 60
