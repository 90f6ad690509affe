import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.corpus import Corpus
from longctx.errors import UsageError
from longctx.recheck import SavedAnswer, Standing, gone, read_saved, recheck

Open = Callable[..., Corpus]
Make = Callable[[dict[str, str | bytes]], Path]
TIDES = "The tide turns at noon.\nThe lighthouse is 38 metres high.\n"


def citation(**fields: Any) -> dict[str, Any]:
    usual = {"n": 1, "status": "verified", "path": "tides.md", "place": "tides.md:2", "sha256": "0" * 64}
    return {**usual, "quote": "lighthouse is 38 metres", "chars": [28, 51], **fields}


def saved(*citations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = {"schema": "longctx.answer/1", "question": "how high?", "corpus": {"id": "c" * 12}}
    return {**answer, "citations": list(citations), **fields}


def read(value: object) -> list[SavedAnswer]:
    return read_saved(json.dumps(value).encode())


def check(corpus: Corpus, *citations: dict[str, Any]) -> list[tuple[Standing, str]]:
    (answer,) = read(saved(*citations))
    return [(each.standing, each.place) for each in recheck(corpus, answer)]


def test_a_quote_that_stands_is_verified(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"tides.md": TIDES}), index=False)
    assert check(corpus, citation()) == [(Standing.VERIFIED, "tides.md:2")]
    assert check(corpus, citation(status="relocated", chars=None)) == [(Standing.VERIFIED, "tides.md:2")]


def test_what_was_near_never_stands(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"tides.md": TIDES}), index=False)
    assert check(corpus, citation(status="near")) == [(Standing.NEAR, "tides.md:2")]
    assert check(corpus, citation(status="near", place="tides.md:9")) == [(Standing.NEAR, "tides.md:2")]
    assert check(corpus, citation(status="near", quote="no such words")) == [(Standing.CHANGED, "")]
    assert check(corpus, citation(status="near", path="old.md")) == [(Standing.GONE, "")]
    assert not Standing.NEAR.stands


def test_a_quote_is_moved_changed_or_gone_with_its_file(make_tree: Make, open_corpus: Open) -> None:
    tree = make_tree({"tides.md": "# New\n\n" + TIDES, "other.md": TIDES.replace("38", "39"), "empty.md": ""})
    corpus = open_corpus(tree, index=False)
    assert check(corpus, citation()) == [(Standing.MOVED, "tides.md:4")]
    assert check(corpus, citation(path="other.md")) == [(Standing.CHANGED, "")]
    assert check(corpus, citation(path="empty.md")) == [(Standing.CHANGED, "")]
    assert check(corpus, citation(path="old.md")) == [(Standing.GONE, "")]


def test_an_edit_on_the_same_line_moves_nothing(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"tides.md": "Tides.\nOh, the lighthouse is 38 metres high!\n"}), index=False)
    assert check(corpus, citation()) == [(Standing.VERIFIED, "tides.md:2")]


def test_text_that_was_wrapped_anew_is_the_same_text(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"tides.md": "The light-\nhouse is\n38 metres high\n"}), index=False)
    assert check(corpus, citation()) == [(Standing.MOVED, "tides.md:1-3")]


def test_the_nearest_of_several_places_is_named(make_tree: Make, open_corpus: Open) -> None:
    line = "The lighthouse is 38 metres high.\n"
    corpus = open_corpus(make_tree({"tides.md": line + "x\n" * 20 + line}), index=False)
    assert check(corpus, citation(place="tides.md:30", chars=[200, 223])) == [(Standing.MOVED, "tides.md:22")]


def test_a_renamed_file_is_known_by_its_bytes(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"new.md": TIDES}), index=False)
    digest = corpus.files["new.md"].digest
    assert check(corpus, citation(sha256=digest)) == [(Standing.MOVED, "new.md:2")]


def test_a_name_that_is_no_utf8_is_known_as_a_report_spells_it(make_tree: Make, open_corpus: Open) -> None:
    tree = make_tree({"tides.md": TIDES})
    os.rename(tree / "tides.md", os.fsencode(tree) + b"/caf\xe9.md")
    corpus = open_corpus(tree, index=False)
    for name in ("caf\udce9.md", "caf\\udce9.md"):
        assert check(corpus, citation(path=name, place=f"{name}:2")) == [(Standing.VERIFIED, f"{name}:2")]


def test_what_was_never_found_is_unverified(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"tides.md": TIDES}), index=False)
    for fields in (
        {"status": "unverified"},
        {"status": "unknown", "path": ""},
        {"quote": ""},
        {"quote": "h"},
        {"status": "\x1b[2J"},
    ):
        assert check(corpus, citation(**fields)) == [(Standing.UNVERIFIED, "")]


def test_a_forged_path_opens_no_file(make_tree: Make, open_corpus: Open, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("The lighthouse is 38 metres high.")
    corpus = open_corpus(make_tree({"tides.md": "Nothing.\n"}), index=False)
    for path in ("../secret.txt", str(tmp_path / "secret.txt"), "tides.md/../../secret.txt", "\0", ""):
        assert check(corpus, citation(path=path)) == [(Standing.GONE, "")]


def test_all_is_gone_without_sources() -> None:
    (answer,) = read(saved(citation(), citation(status="unverified")))
    assert [each.standing for each in gone(answer)] == [Standing.GONE, Standing.UNVERIFIED]


def test_every_form_that_is_saved_is_read() -> None:
    one, two = saved(citation()), saved(citation(n=2), question="why?")
    whole = read(one) + read(two)
    events = [{"event": "corpus", "id": "c"}, {"event": "citation", **citation()}, {"event": "result", **one}]
    lines = "\n".join(map(json.dumps, [*events, {"event": "result", **two}]))
    assert read_saved(lines.encode()) == whole
    assert read_saved(f"{json.dumps(one)}\n\n{json.dumps(two)}\n".encode()) == whole
    session = {"schema": "longctx.session/1", "turns": [{"answer": one}, {"question": "why?", "answer": two}]}
    assert read(session) == whole
    assert read_saved(b"\xef\xbb\xbf" + json.dumps(one, indent=2).encode()) == read(one)


def test_answers_of_a_report_have_the_ids_of_their_items() -> None:
    items = [{"id": "a", "answer": saved(citation())}, {"id": "b", "answer": None}, {"id": "c", "answer": saved()}]
    found = read({"schema": "longctx.report/1", "items": items})
    assert [(each.item, len(each.citations)) for each in found] == [("a", 1), ("c", 0)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        json.dumps({"schema": "longctx.report/1"}).encode(),
        json.dumps({"schema": "longctx.report/1", "items": []}).encode(),
        json.dumps({"schema": "longctx.report/1", "items": {"id": "a"}}).encode(),
        json.dumps({"schema": "longctx.report/1", "items": [{"id": "a", "answer": None}]}).encode(),
        json.dumps({"schema": "longctx.report/1", "items": [{"id": 4, "answer": saved()}]}).encode(),
        json.dumps({"schema": "longctx.report/1", "items": [{"id": "a", "answer": "x"}]}).encode(),
        b"# An answer\n\nThe tide turns [^1].\n",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"4",
        b"null",
        b"[]",
        b"{}",
        json.dumps({"schema": "longctx.answer/2", "citations": []}).encode(),
        json.dumps(saved({"n": 1})).encode(),
        json.dumps(saved(citation(n="1"))).encode(),
        json.dumps(saved(citation(quote=None))).encode(),
        json.dumps(saved(citation(path=["a"]))).encode(),
        json.dumps(saved(citation(chars={}))).encode() + b"x",
        json.dumps(saved(citation(chars=["a"]))).encode(),
        json.dumps(saved(citation(chars=4))).encode(),
        json.dumps(saved(corpus="c")).encode(),
        json.dumps(saved(citations=4)).encode(),
        json.dumps({"schema": "longctx.session/1", "turns": [4]}).encode(),
        json.dumps({"schema": "longctx.session/1"}).encode(),
    ],
)
def test_what_is_no_saved_answer_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        read_saved(content)
    assert raised.value.hint


KEYS = st.sampled_from(["schema", "citations", "corpus", "id", "question", "turns", "answer", "items", "quote"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["longctx.answer/1", "longctx.report/1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    with contextlib.suppress(UsageError):
        read(value)
