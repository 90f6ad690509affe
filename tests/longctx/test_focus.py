from collections.abc import Callable
from pathlib import Path

import pytest

from longctx import plan
from longctx.corpus import Corpus
from longctx.focus import LARGEST, choose
from longctx.manifest import total_tokens
from longctx.packing import WINDOW_TOKENS
from longctx.recap import passages_for

MakeTree = Callable[[dict[str, str | bytes]], Path]
OpenCorpus = Callable[..., Corpus]
LEAD = 58


def code(functions: int, name: str) -> str:
    return "".join(f"def {name}_{n}(total):\n    return total * {n} + {n * 7}\n\n\n" for n in range(functions))


@pytest.fixture
def corpus(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    files: dict[str, str | bytes] = {f"lib/m{n:02}.py": code(20 + 9 * n, f"m{n}") for n in range(30)}
    files |= {f"docs/d{n}.md": f"# Part {n}\n\nThe valve number {n} is closed by hand.\n" for n in range(20)}
    return open_corpus(make_tree({**files, "lib/long.py": code(1500, "long"), "docs/needle.md": "The kiln is hot.\n"}))


@pytest.mark.parametrize("room", [1100, 3000, 9000, 30_000])
def test_it_keeps_to_its_room_and_fills_it(corpus: Corpus, room: int) -> None:
    windows = choose(corpus, "what does long_731 return?", room, LEAD).windows
    sizes = [window.size for window in windows]
    assert sum(sizes) <= room
    assert sum(sizes) > 0.6 * room
    assert all(size <= WINDOW_TOKENS for size in sizes)
    assert [len(plan.window_ids(corpus, window)) for window in windows[1:]] == sizes[1:]


def test_what_the_question_asks_for_is_chosen(corpus: Corpus) -> None:
    for question, needle in (("what does long_731 return?", "def long_731("), ("is the kiln hot?", "kiln is hot")):
        windows = choose(corpus, question, 3000, LEAD).windows
        assert any(needle in plan.window_text(corpus, window) for window in windows)


def test_pieces_stand_in_the_order_of_the_corpus(corpus: Corpus) -> None:
    windows = choose(corpus, "what does long_731 return, and m7_3?", 20_000, LEAD).windows
    assert len(windows) > 2
    pieces = [piece for window in windows for piece in window.pieces]
    places = [(p.entry.position, p.part.chars if p.part else (0, 0)) for p in pieces]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert all(piece.size <= LARGEST for piece in pieces)


def test_a_part_says_which_it_is_of_the_whole(corpus: Corpus) -> None:
    windows = choose(corpus, "what does long_731 return?", 3000, LEAD).windows
    parts = [piece for window in windows for piece in window.pieces if piece.part]
    assert parts
    for piece in parts:
        assert piece.part is not None
        text = corpus.document(piece.entry).text
        first = text.count("\n", 0, piece.part.chars[0]) + 1
        assert f'lines="{first}-' in piece.opening
        assert "part=" in piece.opening


def test_ranges_are_what_the_pieces_hold(corpus: Corpus) -> None:
    focus = choose(corpus, "what does long_731 return?", 12_000, LEAD)
    pieces = [piece for window in focus.windows for piece in window.pieces]
    for entry, ranges in focus.ranges.items():
        text = corpus.document(entry).text
        own = [piece.part.chars if piece.part else (0, len(text)) for piece in pieces if piece.entry.key == entry.key]
        held = {n for start, end in own for n in range(start, end)}
        assert held == {n for start, end in ranges or ((0, len(text)),) for n in range(start, end)}
    assert {entry.key for entry in focus.ranges} == {piece.entry.key for piece in pieces}


def test_all_of_a_corpus_that_fits_is_chosen(corpus: Corpus) -> None:
    focus = choose(corpus, "what does long_731 return?", 2 * total_tokens(corpus.entries), LEAD)
    assert set(focus.ranges) == set(corpus.entries)
    assert set(focus.ranges.values()) == {None}


def test_with_less_room_pieces_are_left_out_and_none_is_cut_anew(corpus: Corpus) -> None:
    def pieces(room: int) -> set[tuple[str, tuple[int, int]]]:
        windows = choose(corpus, "what does long_731 return?", room, LEAD, 80_000).windows
        return {(p.entry.path, p.part.chars if p.part else (0, 0)) for window in windows for p in window.pieces}

    most, less = pieces(70_000), pieces(40_000)
    assert len(less) < len(most)
    assert less <= most


def test_without_a_match_there_are_still_documents(corpus: Corpus) -> None:
    assert choose(corpus, "xyzzy?", 5000, LEAD).windows


def test_a_focus_knows_which_passages_it_holds(corpus: Corpus) -> None:
    focus = choose(corpus, "what does long_731 return?", 3000, LEAD)
    assert focus.holds(passages_for(corpus, "what does long_731 return?")[0])
    assert not all(focus.holds(each) for each in passages_for(corpus, "is the valve closed by hand?"))


def test_the_rest_of_a_folder_comes_before_other_folders(corpus: Corpus) -> None:
    focus = choose(corpus, "is the kiln hot?", 2500, LEAD)
    assert sum(entry.path.startswith("docs/") for entry in focus.ranges) >= 20


def test_names_longer_than_a_piece_are_no_trouble(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    name = "/".join(["𠜎𠜱𠝹𠱓" * 8] * 9)
    corpus = open_corpus(make_tree({f"{name}/long.py": code(600, "long"), "b.md": "The kiln is hot.\n"}))
    focus = choose(corpus, "what does long_31 return?", 6000, LEAD)
    assert any("def long_31(" in plan.window_text(corpus, window) for window in focus.windows)
    assert sum(window.size for window in focus.windows) <= 6000


def test_what_is_stale_is_not_chosen(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"a.md": "The kiln is fired at 900 degrees.\n", "b.md": "Something else.\n"})
    open_corpus(root)
    (root / "a.md").write_text("The kiln is fired at 1200 degrees.\n")
    corpus = open_corpus(root)
    assert any(entry.state == "superseded" for entry in corpus.entries)
    assert all(entry.state == "current" for entry in choose(corpus, "kiln", 9000, LEAD).ranges)
