from collections.abc import Callable
from pathlib import Path

import pytest

from longctx import wording
from longctx.corpus import Corpus
from longctx.recap import Excerpt, passages_for, recap

MakeTree = Callable[[dict[str, str | bytes]], Path]
OpenCorpus = Callable[..., Corpus]
PARAGRAPH = "The {0} of the harbour was built of stone in the year {1}, and the {0} stood for a long time after.\n\n"


@pytest.fixture
def corpus(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    words = ["lighthouse", "granary", "chapel", "sluice", "foundry", "orchard", "tannery", "windmill"]
    long = "".join(PARAGRAPH.format(word, 1700 + n) * 3 for n, word in enumerate(words))
    files: dict[str, str | bytes] = {
        "long.md": long,
        "kiln.py": "def fire_kiln(degrees):\n    return degrees + 900\n",
        "tide.txt": "The tide turns at noon.\n",
    }
    return open_corpus(make_tree(files))


def test_the_passages_that_search_finds_best_come_first(corpus: Corpus) -> None:
    best = passages_for(corpus, "when was the foundry built?")[0]
    assert best.entry.path == "long.md"
    assert "foundry" in corpus.document(best.entry).text[best.start : best.end]


def test_a_follow_up_also_finds_what_the_question_before_it_was_about(corpus: Corpus) -> None:
    after = passages_for(corpus, "and why?", ["when was the foundry built?"])
    texts = [corpus.document(each.entry).text[each.start : each.end] for each in after]
    assert any("foundry" in text for text in texts[:2])
    assert len({(each.entry, each.start) for each in after}) == len(after)


def test_both_rankings_of_a_follow_up_are_heard(corpus: Corpus) -> None:
    found = passages_for(corpus, "how hot is the kiln fired?", ["when was the foundry built?"])
    texts = [corpus.document(each.entry).text[each.start : each.end] for each in found[:3]]
    assert "fire_kiln" in texts[0]
    assert any("foundry" in text for text in texts)


def test_the_best_passage_stands_last(corpus: Corpus) -> None:
    ranked = passages_for(corpus, "how hot is the kiln fired, and was the foundry built of stone?")
    text = corpus.tokenizer.decode(recap(corpus, ranked, 3000).ids)
    assert text.startswith(wording.excerpts())
    last = text[text.rindex(f"<doc-{corpus.record.tag} ") :]
    assert f"id={ranked[0].entry.document_id} " in last
    assert len({each.entry for each in ranked}) > 1


def test_neighbours_stand_together(corpus: Corpus) -> None:
    entry = next(entry for entry in corpus.entries if entry.path == "long.md")
    text = corpus.document(entry).text
    parts = [Excerpt(entry, 102, 300, 0.5), Excerpt(entry, 0, 100, 1.0), Excerpt(entry, 900, 1000, 0.2)]
    made = recap(corpus, parts, 3000)
    assert made.ranges == {entry: ((0, 300), (900, 1000))}
    shown = corpus.tokenizer.decode(made.ids)
    assert text[:300] in shown
    assert shown.count(f"</doc-{corpus.record.tag}>") == 2


def test_a_passage_says_what_it_is_and_where(corpus: Corpus) -> None:
    made = recap(corpus, passages_for(corpus, "when does the tide turn?"), 3000)
    entry = next(entry for entry in corpus.entries if entry.path == "tide.txt")
    opening = f'<doc-{corpus.record.tag} id={entry.document_id} path="tide.txt" lines="1-1" excerpt>\n'
    assert opening in corpus.tokenizer.decode(made.ids)


def test_it_keeps_to_its_room(corpus: Corpus) -> None:
    ranked = passages_for(corpus, "the foundry of the harbour, and the kiln")
    sizes = {room: len(recap(corpus, ranked, room).ids) for room in range(-10, 1500, 37)}
    assert all(size <= max(0, room) for room, size in sizes.items())
    assert max(sizes.values()) > 700


def test_without_room_there_is_none(corpus: Corpus) -> None:
    made = recap(corpus, passages_for(corpus, "when was the foundry built?"), 20)
    assert not made.ids
    assert not made.ranges


def test_what_is_out_of_date_is_not_shown(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"a.md": "The kiln is fired at 900 degrees.\n", "b.md": "Something else.\n"})
    open_corpus(root)
    (root / "a.md").write_text("The kiln is fired at 1200 degrees.\n")
    corpus = open_corpus(root)
    assert any(entry.state == "superseded" for entry in corpus.entries)
    shown = corpus.tokenizer.decode(recap(corpus, passages_for(corpus, "how hot is the kiln?"), 3000).ids)
    assert "1200 degrees" in shown
    assert "900 degrees" not in shown


def test_a_renamed_text_is_shown_under_its_present_name(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"old.md": "The kiln is fired at 900 degrees.\n", "b.md": "Something else.\n"})
    open_corpus(root)
    (root / "old.md").rename(root / "new.md")
    corpus = open_corpus(root)
    shown = corpus.tokenizer.decode(recap(corpus, passages_for(corpus, "how hot is the kiln?"), 3000).ids)
    assert 'path="new.md"' in shown
