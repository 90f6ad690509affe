"""The tree of a corpus: sums are right, every path is reachable, order and filter do what they say."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.backend.replies import FileIs, Sending
from tui.corpus_tree import (
    Cached,
    Folder,
    Node,
    Order,
    add,
    build,
    cached_counts,
    excluded,
    files,
    first_opened,
    folders,
    heaviest,
    is_excluded,
    matching,
    ordered,
    parent,
    sign_of,
    visible,
    weight,
)
from tui.marks import FileSign

NAMES = st.text(alphabet="ab./\ud800\u202e é[", max_size=12)


def file(path: str, tokens: int = 1, sending: Sending = Sending.SENT, position: int | None = None) -> FileIs:
    return FileIs(path=path, tokens=tokens, sending=sending, status="read", position=position)


FILES = st.lists(
    st.builds(
        file,
        NAMES,
        st.integers(0, 10**7),
        st.sampled_from(Sending),
        st.none() | st.integers(0, 99),
    ),
    max_size=30,
)


def by(order: Order, cached: Cached | None = None) -> Callable[[Folder], list[Node]]:
    return lambda folder: ordered(folder, order, cached)


def paths(root: Folder, order: Order, opened: set[str] | None = None) -> list[str]:
    return [row.node.path for row in visible(root, opened, by(order))]


@given(FILES)
def test_a_folder_sums_up_what_it_holds(known: list[FileIs]) -> None:
    for folder in folders(build(known)):
        below = folder.folders.values()
        assert folder.tokens == sum(map(weight, below)) + sum(map(weight, folder.files))
        assert folder.count == sum(each.count for each in below) + sum(not is_excluded(each) for each in folder.files)
        sent = [each for each in files(folder) if each.sending is Sending.SENT]
        places = [each.position for each in sent if each.position is not None]
        assert folder.position == min(places, default=None)


@given(FILES, st.sampled_from(Order))
def test_every_file_is_reachable_in_every_order(known: list[FileIs], order: Order) -> None:
    root = build(known)
    rows = visible(root, None, by(order))
    assert sorted(row.node.path for row in rows if isinstance(row.node, FileIs)) == sorted(f.path for f in known)
    for index, row in enumerate(rows):
        above = parent(rows, index)
        assert (above is None) == (row.depth == 0)
        if above is not None:
            assert row.node.path == rows[above].node.path + row.name


@given(FILES)
def test_what_is_cached_is_counted_once_in_each_folder(known: list[FileIs]) -> None:
    root = build(known)
    stored = frozenset(each.path for each in known[::2])
    counts = cached_counts(root, stored)
    for folder in folders(root):
        assert counts[folder.path] == sum(f.path in stored and f.sending is Sending.SENT for f in files(folder))


def test_a_tree_five_thousand_folders_deep_is_walked() -> None:
    root = build([file("/" * 5000 + "x")])
    assert paths(root, Order.NAME) == ["/" * 5000, "/" * 5000 + "x"]
    assert cached_counts(root, {"/" * 5000 + "x"})[""] == 1


def test_folders_that_hold_only_a_folder_are_one_row() -> None:
    root = build([file("a/b/c/x"), file("a/b/c/y"), file("d/z")])
    assert [(row.name, row.depth) for row in visible(root, {"a/b/c/"}, by(Order.NAME))] == [
        ("a/b/c/", 0),
        ("x", 1),
        ("y", 1),
        ("d/", 0),
    ]


def test_only_one_folder_is_opened_at_first() -> None:
    assert first_opened(build([file("a/b/x"), file("a/c/x")])) == {"a/"}
    assert first_opened(build([file("a/x"), file("b/x")])) == frozenset()
    assert first_opened(build([])) == frozenset()


def test_orders() -> None:
    root = build(
        [
            file("b", 5, position=2),
            file("A", 9, position=0),
            file("c/x", 7, position=1),
            file("z", 99, Sending.LEFT_OUT),
            file("t", 99, Sending.TWIN),
        ]
    )
    assert paths(root, Order.TOKENS, set()) == ["A", "c/", "b", "z", "t"]
    assert paths(root, Order.NAME, set()) == ["c/", "A", "b", "t", "z"]
    assert paths(root, Order.STATE, set()) == ["z", "t", "c/", "b", "A"]
    assert paths(root, Order.PROMPT, set()) == ["A", "c/", "b", "z", "t"]
    assert [order.following for order in Order] == [Order.NAME, Order.STATE, Order.PROMPT, Order.TOKENS]


def test_signs() -> None:
    root = build([file("a/x"), file("a/y"), file("b/x"), file("c/t", 1, Sending.TWIN), excluded("d/")])
    add(root, file("e/l", 0, Sending.LEFT_OUT))
    stored = frozenset({"a/x", "b/x"})
    cached = Cached(stored, cached_counts(root, stored))
    signs = {folder.path: sign_of(folder, cached) for folder in root.folders.values()}
    assert signs == {
        "a/": FileSign.PARTLY_CACHED,
        "b/": FileSign.CACHED,
        "c/": FileSign.TWIN,
        "e/": FileSign.LEFT_OUT,
    }
    assert sign_of(root.folders["a/"].files[1], cached) == FileSign.NEW
    assert sign_of(root.folders["a/"], None) == FileSign.SENT
    assert [sign_of(each, cached) for each in root.files] == [FileSign.EXCLUDED]


def test_what_was_excluded_counts_for_nothing_but_is_there() -> None:
    root = build([file("a/x", 3), excluded("a/old/", 40), excluded("a/y", 2)])
    folder = root.folders["a/"]
    assert (folder.tokens, folder.count, folder.excluded) == (3, 1, 2)
    assert paths(root, Order.NAME) == ["a/", "a/old/", "a/x", "a/y"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("prefill", ["src/prefill.py"]),
        ("SRC py", ["src/cache.py", "src/prefill.py"]),
        ("spf", ["src/prefill.py"]),
        ("", ["docs/Ä[1].md", "src/cache.py", "src/prefill.py"]),
        ("ä[", ["docs/Ä[1].md"]),
        ("nothing", []),
    ],
)
def test_filter(words: str, found: list[str]) -> None:
    known = [file("docs/Ä[1].md"), file("src/cache.py"), file("src/prefill.py")]
    assert [each.path for each in matching(((f.path.casefold(), f) for f in known), words)] == found


def test_the_heaviest_are_shown_where_too_many_match() -> None:
    known = [file("a", 5), file("b", 9), file("c", 7), file("d", 99, Sending.LEFT_OUT)]
    assert [each.path for each in heaviest(known, 2)] == ["b", "c"]
    assert heaviest(known, 4) is known
