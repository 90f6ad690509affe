"""What the backend answers at once: over real corpora and stores, stale texts, twins and hostile names among them."""

import itertools
import os
import shutil
import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cache.keys import Fingerprint
from cache.store import DiskStore
from ingest.rules import Selection
from longctx import paths, plan
from longctx.backend import kept, texts
from longctx.backend.corpus_reading import corpus_opened
from longctx.backend.desk import Desk, Shown
from longctx.backend.exclusion import leaving_out
from longctx.backend.parts import PART_ROWS, PART_SIZE, in_parts
from longctx.backend.queries import Queries
from longctx.backend.replies import (
    Checked,
    EffectIs,
    EnginesAre,
    Exported,
    FileIs,
    FilesAre,
    LogIs,
    NextSteps,
    PictureIs,
    Reply,
    Sending,
    SessionIs,
    SessionsAre,
    TextPart,
    TurnsAre,
    WindowsAre,
)
from longctx.backend.requests import (
    Doctor,
    Effect,
    Engines,
    Export,
    Files,
    Form,
    Log,
    Picture,
    Query,
    Remove,
    Rename,
    Sessions,
    Stop,
    Text,
    Turns,
    Windows,
)
from longctx.backend.windows import is_of
from longctx.backend.wire import read_reply, write
from longctx.corpus import Corpus
from longctx.engines.base import Identity, Limits, Prompt, Sampling
from longctx.engines.opening import EngineSetup
from longctx.errors import CorpusError, StoreError, UsageError
from longctx.history import History
from longctx.manifest import State
from longctx.refresh import refresh
from longctx.session import Order, Session, Turn

PDF = Path(__file__).parents[2] / "sample_corpora" / "library" / "barnacles.pdf"
HOSTILE = (
    "[red]x[/].md",
    "[@click=app.quit]y.md",
    "a\x1b[31mb.md",
    "c\u202ed.md",
    "sp ace .md",
    os.fsdecode(b"\xff.md"),
)
KEY = "AKIA" + "IOSFODNN7EXAMPL3"
SCOUT = Identity(kind="scout", model="tiny", version="bfloat16 dense abcdefabcdef")
Kind = TypeVar("Kind")


@pytest.fixture
def places() -> paths.Paths:
    return paths.locate(os.environ)


class Asked:
    """Queries over a desk on which a test puts corpora."""

    def __init__(self, places: paths.Paths) -> None:
        self.places = places
        self.desk = Desk(places.state / "logs" / "backend.log")
        self.queries = Queries(places, self.desk)

    def show(self, corpus: Corpus, **others: Any) -> None:
        """The corpus is open, as a job would say."""
        before = self.desk.shown
        setup = EngineSetup(logs=self.places.state / "logs", store=self.places.cache / "prefix")
        values: dict[str, Any] = {
            "generation": before.generation + 1 if before else 1,
            "whole": corpus.request,
            "request": corpus.request,
            "excluded": (),
            "engine": "evidence",
            "setup": setup,
            "identity": None,
            "limits": Limits(context_tokens=None),
            "session": None,
            "log": self.desk.log,
        }
        self.desk.show(Shown(**{**values, **others}))

    def __call__(self, request: Query) -> list[Reply]:
        """All replies, as they come through the wire."""
        return [read_reply(write(1, reply))[1] for reply in self.queries.answer(request)]

    def one(self, request: Query, kind: type[Kind]) -> Kind:
        """The only reply."""
        (reply,) = self(request)
        assert isinstance(reply, kind)
        return reply

    def files(self) -> dict[str, FileIs]:
        """All files by path."""
        parts = [part for part in self(Files()) if isinstance(part, FilesAre)]
        assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
        return {file.path: file for part in parts for file in part.files}

    def text(self, path: str, sha256: str = "") -> TextPart:
        """A document, its parts joined."""
        parts = [part for part in self(Text(path, sha256)) if isinstance(part, TextPart)]
        assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
        return replace(parts[0], text="".join(part.text for part in parts))


@pytest.fixture
def ask(places: paths.Paths) -> Iterator[Asked]:
    asked = Asked(places)
    yield asked
    asked.queries.close()


def brought_up(corpus: Corpus) -> Corpus:
    for _ in refresh(corpus, index=False):
        pass
    return corpus


@pytest.fixture
def edited(open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]) -> tuple[Corpus, Path]:
    """A corpus whose first file was edited and whose last one was deleted since it was first read."""
    root = make_tree({"a.md": "alpha one\n", "b.md": "beta\n", "c.md": "gamma\n", "sub/twin.md": "beta\n", "no.md": ""})
    (root / "pic.bin").write_bytes(b"\0\1\2" * 40)
    corpus = open_corpus(root, index=False)
    (root / "a.md").write_text("alpha two, longer\n")
    (root / "c.md").unlink()
    return brought_up(corpus), root


# --- files --------------------------------------------------------------------------------------------------------


def test_files_say_what_becomes_of_each(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    ask.show(edited[0])
    files = ask.files()
    assert list(files) == sorted(files) == ["a.md", "b.md", "no.md", "pic.bin", "sub/twin.md"]
    assert (files["b.md"].sending, files["b.md"].why) == (Sending.SENT, "")
    twin = files["sub/twin.md"]
    assert (twin.sending, twin.why, twin.tokens) == (Sending.TWIN, "b.md", 0)
    assert twin.position == files["b.md"].position
    assert files["pic.bin"].sending is Sending.LEFT_OUT
    assert (files["pic.bin"].status, files["pic.bin"].position) == ("binary", None)
    assert files["no.md"].why == "empty"


def test_what_only_counts_files_is_no_file(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]
) -> None:
    root = make_tree({"a.md": "alpha", "b.md": "beta", "node_modules/x.js": "x", "__pycache__/a.md": "alpha"})
    for selection in (Selection(exclude=("b.md",)), Selection()):
        corpus = open_corpus(root, selection=selection, index=False)
        assert {".", "__pycache__/"} & set(corpus.files), "they count what was excluded, and folders of tools"
        ask.show(corpus)
        known = {"a.md", "node_modules/"} if selection.exclude else {"a.md", "b.md", "node_modules/"}
        assert set(ask.files()) == known
        assert corpus_opened(corpus, changed=0, excluded=()).skipped == 1


def test_positions_are_those_of_the_texts_of_the_windows(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    ask.show(edited[0])
    windows = ask.one(Windows(), WindowsAre)
    files = ask.files()
    position = files["a.md"].position
    assert position is not None
    assert windows.texts[position].path == "a.md"
    assert windows.texts[position].tokens == files["a.md"].tokens
    assert [text.path for text in windows.texts if text.is_stale] == ["a.md", "c.md"]


def test_hostile_names_come_through_as_they_are(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]
) -> None:
    ask.show(open_corpus(make_tree({name: f"text {i}" for i, name in enumerate(HOSTILE)}), index=False))
    assert set(ask.files()) == set(HOSTILE)
    for i, name in enumerate(HOSTILE):
        assert ask.text(name).text == f"text {i}"


def test_long_lists_come_in_parts_that_are_soon_sent() -> None:
    short = list(in_parts(map(str, range(PART_ROWS + 1)), len))
    assert [(len(part), is_last) for part, is_last in short] == [(PART_ROWS, False), (1, True)]
    long = list(in_parts(["x" * PART_SIZE] * 3, len))
    assert [(len(part), is_last) for part, is_last in long] == [(2, False), (1, True)]
    assert list(in_parts([], len)) == [((), True)]


def test_without_a_corpus_it_says_so(ask: Asked) -> None:
    for request in (Files(), Windows(), Effect(()), Text("a"), Picture("a", 1, 10, 10)):
        with pytest.raises(CorpusError, match="no corpus is open"):
            ask(request)


def test_a_new_generation_is_read_anew(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]
) -> None:
    root = make_tree({"a.md": "alpha"})
    corpus = open_corpus(root, index=False)
    ask.show(corpus)
    assert set(ask.files()) == {"a.md"}
    (root / "b.md").write_text("beta")
    brought_up(corpus)
    assert set(ask.files()) == {"a.md"}, "as it was when it was opened"
    ask.show(corpus)
    assert set(ask.files()) == {"a.md", "b.md"}


# --- texts --------------------------------------------------------------------------------------------------------


def test_todays_text_and_older_ones(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    corpus, root = edited
    ask.show(corpus)
    old, *_ = (entry for entry in corpus.entries if entry.path == "a.md")
    today = ask.text("a.md")
    assert (today.text, today.is_current, today.kind) == ("alpha two, longer\n", True, "markdown")
    assert today.location == str(root / "a.md")
    assert today.first_lines is None
    assert replace(ask.text("a.md", old.digest), location=None) == TextPart(
        path="a.md", text="alpha one\n", is_last=True, kind="markdown", is_current=False
    )
    deleted = next(entry for entry in corpus.entries if entry.path == "c.md")
    gone = ask.text("c.md", deleted.digest)
    assert (gone.text, gone.location, gone.is_current) == ("gamma\n", None, False)


def test_a_text_that_the_prompt_has_no_longer_is_still_shown(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    corpus, _ = edited
    old = {entry.path: entry.digest for entry in corpus.entries if entry.state is State.SUPERSEDED}
    deleted = next(entry for entry in corpus.entries if entry.path == "c.md")
    corpus.repack()
    assert len(corpus.entries) == 2
    ask.show(corpus)
    earlier = ask.text("a.md", old["a.md"])
    assert (earlier.text, earlier.is_current, earlier.location) == ("alpha one\n", False, str(edited[1] / "a.md"))
    gone = ask.text("c.md", deleted.digest)
    assert (gone.text, gone.is_current, gone.location) == ("gamma\n", False, None)


def test_an_earlier_text_with_secrets_needs_leave(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]
) -> None:
    root = make_tree({"a.md": f"line\nkey {KEY}\n"})
    corpus = open_corpus(root, selection=Selection(secrets=True), index=False)
    digest = corpus.files["a.md"].digest
    (root / "a.md").write_text("no key\n")
    strict = open_corpus(root, index=False)
    ask.show(strict)
    with pytest.raises(CorpusError, match="has secrets in it"):
        ask(Text("a.md", digest))
    brought_up(corpus).repack()
    ask.show(corpus)
    assert ask.text("a.md", digest).text == f"line\nkey {KEY}\n"


def test_a_twin_has_its_text_under_its_own_path(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    ask.show(edited[0])
    assert ask.text("sub/twin.md").text == "beta\n"
    assert ask.text("sub/twin.md").location == str(edited[1] / "sub" / "twin.md")
    assert ask.text("no.md").text == ""


@pytest.mark.parametrize(
    ("path", "sha256", "said"),
    [
        ("../a.md", "", "no file of this corpus"),
        ("/etc/passwd", "", "no file of this corpus"),
        ("c.md", "", "no file of this corpus"),
        ("", "", "no file of this corpus"),
        ("pic.bin", "", "left out"),
        ("a.md", "0" * 64, "no longer stored"),
        ("x\x1b[31m\u202e", "", r"x\\x1b\[31m\\u202e: no file"),
    ],
)
def test_what_is_not_of_the_corpus_is_not_given(
    ask: Asked, edited: tuple[Corpus, Path], path: str, sha256: str, said: str
) -> None:
    ask.show(edited[0])
    with pytest.raises(CorpusError, match=said):
        ask(Text(path, sha256))


def test_a_file_of_a_clone_is_not_one_that_is_called_so_here(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    corpus, _ = edited
    assert texts.location_of(corpus, "a.md") is not None
    corpus.record = replace(corpus.record, inputs=("https://example.org/x.git",))
    assert texts.location_of(corpus, "a.md") is None


def test_a_long_text_comes_in_parts(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]
) -> None:
    text = "words and é\n" * 60_000
    ask.show(open_corpus(make_tree({"long.txt": text}), index=False))
    parts = ask(Text("long.txt"))
    assert len(parts) == 3
    assert ask.text("long.txt").text == text


def test_pages_and_lines_come_with_the_first_part(ask: Asked, open_corpus: Callable[..., Corpus]) -> None:
    ask.show(open_corpus(PDF, index=False))
    (path,) = ask.files()
    text = ask.text(path)
    assert text.first_lines == ()
    assert [page.number for page in text.pages] == list(range(1, len(text.pages) + 1))
    assert text.pages[-1].end <= len(text.text)


def test_the_lines_of_very_many_are_thinned(
    monkeypatch: pytest.MonkeyPatch, ask: Asked, open_corpus: Any, make_tree: Any
) -> None:
    page = "<html><body>" + "".join(f"<p>line {i}</p>\n" for i in range(50)) + "</body></html>"
    ask.show(open_corpus(make_tree({"a.html": page}), index=False))
    lines = ask.text("a.html").first_lines
    monkeypatch.setattr(texts, "MOST_LINES", 10)
    fewer = ask.text("a.html").first_lines
    assert lines and fewer and len(lines) >= 50
    assert len(fewer) <= 10 and set(fewer) <= set(lines) and fewer[0] == lines[0]


def test_an_emptied_cache_is_told_in_one_line(ask: Asked, edited: tuple[Corpus, Path], places: paths.Paths) -> None:
    shutil.rmtree(places.cache)
    ask.show(edited[0])
    with pytest.raises(CorpusError, match=r"a\.md: its stored text is missing") as caught:
        ask(Text("a.md"))
    assert "read the sources anew" in caught.value.hint


# --- pictures -----------------------------------------------------------------------------------------------------


def test_a_page_is_drawn_within_its_bounds(ask: Asked, open_corpus: Callable[..., Corpus]) -> None:
    ask.show(open_corpus(PDF, index=False))
    (path,) = ask.files()
    drawn = ask.one(Picture(path, 1, 120, 160), PictureIs)
    assert 0 < drawn.width <= 120 and 0 < drawn.height <= 160
    assert len(drawn.rgb) == drawn.width * drawn.height * 3
    with pytest.raises(CorpusError, match="page 9999"):
        ask(Picture(path, 9999, 120, 160))


def test_a_file_that_has_changed_is_not_drawn(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    corpus, root = edited
    ask.show(corpus)
    (root / "b.md").write_text("other\n")
    with pytest.raises(CorpusError, match=r"b\.md: the file has changed"):
        ask(Picture("b.md", 1, 10, 10))
    (root / "b.md").unlink()
    with pytest.raises(CorpusError, match="not on this machine"):
        ask(Picture("b.md", 1, 10, 10))
    with pytest.raises(CorpusError, match="can't be drawn"):
        ask(Picture("a.md", 1, 10, 10))
    with pytest.raises(CorpusError, match="no file of this corpus"):
        ask(Picture("../tree/a.md", 1, 10, 10))


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path]) -> Corpus:
    """Three windows or more; the largest file is cut."""
    words = "\n".join(f"line {i} says {i * 7919 % 1000}" for i in range(3000))
    return open_corpus(make_tree({"big.txt": words, "small.txt": "a little\n", "z.txt": "last\n"}), index=False)


def test_windows_are_those_that_are_packed(ask: Asked, large: Corpus) -> None:
    ask.show(large)
    windows = ask.one(Windows(), WindowsAre)
    packed = list(plan.pack(large))
    assert [window.tokens for window in windows.windows] == [window.size for window in packed]
    assert len(packed) >= 3
    assert windows.cached is None
    length = len(ask.text("big.txt").text)
    ranges = [
        (piece.start, piece.end)
        for window in windows.windows
        for piece in window.pieces
        if windows.texts[piece.text].path == "big.txt"
    ]
    assert ranges[0][0] == 0 and ranges[-1][1] == length
    assert all(first[1] == second[0] for first, second in itertools.pairwise(ranges))


def test_many_windows_and_texts_come_in_parts(
    ask: Asked, open_corpus: Callable[..., Corpus], make_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longctx.backend.parts.PART_ROWS", 7)
    monkeypatch.setattr("longctx.backend.windows.PIECE_SIZE", PART_SIZE // 20)
    words = "\n".join(f"line {i} says {i * 7919 % 1000}" for i in range(6000))
    ask.show(open_corpus(make_tree({"z.txt": words, **{f"{i}.md": f"text {i}\n" for i in range(30)}}), index=False))
    parts = [part for part in ask(Windows()) if isinstance(part, WindowsAre)]
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [len(part.texts) for part in parts] == [7, 7, 7, 7, 3]
    assert len(parts[0].windows) == 1 and sum(len(part.windows) for part in parts) > 4
    monkeypatch.undo()
    whole = ask.one(Windows(), WindowsAre)
    assert tuple(text for part in parts for text in part.texts) == whole.texts
    assert tuple(window for part in parts for window in part.windows) == whole.windows


def keep(corpus: Corpus, folder: Path, count: int, **others: str) -> None:
    """Put the first windows of a corpus into the prefix store, as the Scout engine does."""
    values = {"model": "abcdefabcdef" + "0" * 20, "dtype": "bfloat16", "layout": "nope-kv/1 dense", "tokenizer": "t"}
    fingerprint = Fingerprint(**{**values, **others}, window_tokens=8192)
    windows = [array("I", plan.window_ids(corpus, window)) for window in plan.pack(corpus)]
    with DiskStore.open(folder, 1 << 30) as store, store.chain(fingerprint, []) as chain:
        for ids in windows[:count]:
            chain.append(ids, {"kv": b"bytes"})


def test_the_scout_engine_has_kept_so_many_windows(ask: Asked, large: Corpus, places: paths.Paths) -> None:
    ask.show(large, identity=SCOUT)
    assert ask.one(Windows(), WindowsAre).cached == 0
    assert not (places.cache / "prefix").exists()
    keep(large, places.cache / "prefix", 2)
    assert ask.one(Windows(), WindowsAre).cached == 2
    keep(large, places.cache / "prefix", 3)
    assert ask.one(Windows(), WindowsAre).cached == 3


@pytest.mark.parametrize("other", [{"model": "f" * 32}, {"dtype": "float32"}, {"layout": "nope-kv/1 sparse:128"}])
def test_what_another_model_has_kept_does_not_count(
    ask: Asked, large: Corpus, places: paths.Paths, other: dict[str, str]
) -> None:
    keep(large, places.cache / "prefix", 2, **other)
    ask.show(large, identity=SCOUT)
    assert ask.one(Windows(), WindowsAre).cached == 0


def test_looking_leases_nothing_and_is_no_use(ask: Asked, large: Corpus, places: paths.Paths) -> None:
    keep(large, places.cache / "prefix", 2)
    with DiskStore.open(places.cache / "prefix", 1 << 30) as store:
        before = store.rows()
        ask.show(large, identity=SCOUT)
        assert ask.one(Windows(), WindowsAre).cached == 2
        assert store.rows() == before
        assert not list((places.cache / "prefix" / "leases").iterdir())


def test_a_broken_store_is_not_known_rather_than_an_error(ask: Asked, large: Corpus, places: paths.Paths) -> None:
    (places.cache / "prefix").mkdir()
    (places.cache / "prefix" / "blocks").write_text("no folder")
    ask.show(large, identity=SCOUT)
    assert ask.one(Windows(), WindowsAre).cached is None


def test_the_scout_engine_is_known_by_what_it_says_it_is(scout: Path, tmp_path: Path) -> None:
    from longctx.engines.scout import ScoutEngine

    with DiskStore.open(tmp_path / "prefix", 1 << 30) as store, ScoutEngine.open(scout, store=store) as engine:
        for _ in engine.generate(Prompt(array("I", range(4, 74)), (0, 32, 64), 32), Sampling(max_tokens=1)):
            pass
        rows = store.rows()
        identity = engine.identity()
    assert len(rows) == 2 and all(is_of(identity, row) for row in rows)
    assert not any(is_of(replace(identity, version=f"float16{identity.version[7:]}"), row) for row in rows)


def test_an_identity_that_says_nothing_is_no_model() -> None:
    row: Any = type("Row", (), {"model": "abc", "dtype": "", "layout": "x "})()
    assert not is_of(Identity(kind="scout"), row)


# --- effects ------------------------------------------------------------------------------------------------------


def excluded_from(corpus: Corpus, *left_out: str) -> Corpus:
    return Corpus(leaving_out(corpus.request, left_out), corpus.paths)


def ids_of(corpus: Corpus) -> list[list[int]]:
    """The windows of a corpus, as they are sent."""
    return [plan.window_ids(corpus, window) for window in plan.pack(corpus)]


def in_common(first: list[list[int]], second: list[list[int]]) -> int:
    """How many first windows are the same."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return sum(1 for _ in pairs)


@pytest.mark.parametrize(("left_out", "kept", "lost"), [("small.txt", 2, 1), ("z.txt", 2, 1), ("big.txt", 0, 3)])
def test_windows_before_what_is_left_out_are_kept(
    ask: Asked, large: Corpus, places: paths.Paths, left_out: str, kept: int, lost: int
) -> None:
    keep(large, places.cache / "prefix", 3)
    ask.show(large, identity=SCOUT)
    told = ask.one(Effect((left_out,)), EffectIs)
    assert told.tokens_before - told.tokens_after == large.files[left_out].tokens
    assert (told.windows_before, told.windows_kept, told.cached_lost) == (3, kept, lost)
    with excluded_from(large, left_out) as other:
        assert in_common(ids_of(large), ids_of(brought_up(other))) == kept
        assert told.windows_after == len(list(plan.pack(other)))
        assert told.tokens_after == sum(entry.tokens for entry in other.entries)


def test_what_the_other_corpus_has_in_the_store_is_not_lost(ask: Asked, large: Corpus, places: paths.Paths) -> None:
    keep(large, places.cache / "prefix", 3)
    with excluded_from(large, "small.txt") as other:
        keep(brought_up(other), places.cache / "prefix", 3)
    ask.show(large, identity=SCOUT)
    told = ask.one(Effect(("small.txt",)), EffectIs)
    assert (told.windows_kept, told.cached_lost) == (2, 0)


def test_a_corpus_with_a_tag_of_its_own_keeps_it_and_shares_nothing(
    ask: Asked, large: Corpus, places: paths.Paths
) -> None:
    keep(large, places.cache / "prefix", 3)
    alone = replace(leaving_out(large.request, ("z.txt",)), part=None)
    with Corpus(alone, large.paths) as other:
        brought_up(other)
        assert other.record.tag != large.record.tag
        tag = other.record.tag
    with excluded_from(large, "z.txt") as other:
        assert other.record.tag == tag
    ask.show(large, identity=SCOUT)
    told = ask.one(Effect(("z.txt",)), EffectIs)
    assert (told.windows_kept, told.cached_lost) == (0, 3)


def test_leaving_out_nothing_changes_nothing(ask: Asked, large: Corpus) -> None:
    ask.show(large)
    told = ask.one(Effect(()), EffectIs)
    assert told.tokens_before == told.tokens_after
    assert told.windows_before == told.windows_after == told.windows_kept
    assert told.cached_lost is None


def test_bringing_back_what_was_left_out(ask: Asked, large: Corpus) -> None:
    with excluded_from(large, "big.txt") as other:
        brought_up(other)
        ask.show(other, whole=large.request, excluded=("big.txt",))
        told = ask.one(Effect(()), EffectIs)
    assert told.tokens_after == sum(entry.tokens for entry in large.entries)
    assert told.windows_after == len(list(plan.pack(large)))
    assert told.windows_kept == 0, "what comes back stands first"


def test_other_files_may_be_left_out_in_their_place(ask: Asked, large: Corpus) -> None:
    with excluded_from(large, "big.txt") as other:
        brought_up(other)
        ask.show(other, whole=large.request, excluded=("big.txt",))
        told = ask.one(Effect(("z.txt",)), EffectIs)
    tokens = {path: record.tokens for path, record in large.files.items()}
    assert told.tokens_before == tokens["small.txt"] + tokens["z.txt"]
    assert told.tokens_after == tokens["small.txt"] + tokens["big.txt"]


def test_a_twin_takes_the_place_of_a_text_that_is_left_out(ask: Asked, edited: tuple[Corpus, Path]) -> None:
    ask.show(edited[0])
    files = ask.files()
    stale = sum(text.tokens for text in ask.one(Windows(), WindowsAre).texts if text.is_stale)
    alone = ask.one(Effect(("b.md",)), EffectIs)
    assert alone.tokens_before == alone.tokens_after, "its twin has the text"
    both = ask.one(Effect(("b.md", "sub/")), EffectIs)
    assert both.tokens_after == files["a.md"].tokens + stale, "what is stale keeps its place"
    all_three = ask.one(Effect(("a.md", "b.md", "c.md", "no.md")), EffectIs)
    assert all_three.tokens_after == files["b.md"].tokens, "but goes with its file"


def test_leaving_out_everything(ask: Asked, large: Corpus) -> None:
    ask.show(large)
    told = ask.one(Effect(tuple(large.files)), EffectIs)
    assert (told.tokens_after, told.windows_after, told.windows_kept) == (0, 0, 0)


# --- sessions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def talk(places: paths.Paths) -> Callable[..., Session]:
    def kept_session(title: str, *questions: str, corpus: str = "gone00000000", **settings: Any) -> Session:
        with History(places.data / "sessions.db") as history:
            session = history.begin(corpus, title)
            for question in questions:
                answer = {"answer_markdown": f"about {question} [^1].", "citations": [], "engine": {"kind": "scripted"}}
                turn = Turn(
                    parent=session.tip,
                    question=question,
                    answer=answer,
                    corpus=corpus,
                    order=Order(1, "d"),
                    plan="p",
                    settings=settings,
                )
                session = history.append(session.id, turn)
            return session

    return kept_session


def test_sessions_with_turns_are_listed_with_their_sources(
    ask: Asked, talk: Callable[..., Session], large: Corpus
) -> None:
    talk("nothing asked")
    talk("of a corpus that is gone", "one", "two")
    last = talk("of this one", "three", corpus=large.record.id)
    first, second = ask.one(Sessions(), SessionsAre).sessions
    assert (first.id, first.title, first.turns) == (last.id, "of this one", 1)
    assert first.sources == tuple(large.request.inputs)
    assert (second.turns, second.sources, second.corpus) == (2, (), "gone00000000")


def test_words_find_sessions_once_and_titles_last(ask: Asked, talk: Callable[..., Session]) -> None:
    titled = talk("Lighthouse plans", "what else?")
    asked = talk("other", "how high is the lighthouse?", "and how old is that lighthouse?")
    talk("unrelated", "nothing")
    found = ask.one(Sessions("lighthouse"), SessionsAre).sessions
    assert [session.id for session in found] == [asked.id, titled.id]
    assert "[lighthouse]" in found[0].found
    assert found[1].found == ""
    assert ask.one(Sessions("[red] * \" ' \0"), SessionsAre).sessions == ()


def test_turns_oldest_first_and_what_they_summarise(ask: Asked, talk: Callable[..., Session]) -> None:
    session = talk("s", "first", "second", summary_of="docs/")
    turns = ask.one(Turns(session.id), TurnsAre).turns
    assert [turn.question for turn in turns] == ["first", "second"]
    assert turns[0].answer["answer_markdown"] == "about first [^1]."
    assert turns[0].summary_of == "docs/"
    with pytest.raises(StoreError, match="no session"):
        ask(Turns("no such"))


def test_renaming_and_removing(ask: Asked, talk: Callable[..., Session]) -> None:
    session = talk("before", "one")
    (renamed,) = ask.one(Rename(session.id, "[bold]after\n\x1b[31m"), SessionsAre).sessions
    assert renamed.title.startswith("[bold]after")
    assert ask(Remove(session.id)) == []
    assert ask.one(Sessions(), SessionsAre).sessions == ()
    for request in (Remove(session.id), Rename(session.id, "x"), Remove("")):
        with pytest.raises(StoreError, match="no session"):
            ask(request)


def test_a_conversation_that_is_going_on_is_not_removed(
    ask: Asked, talk: Callable[..., Session], large: Corpus
) -> None:
    session = talk("open", "one", corpus=large.record.id)
    ask.show(large, session=session)
    with pytest.raises(UsageError, match="going on"):
        ask(Remove(session.id))
    assert [each.id for each in ask.one(Sessions(), SessionsAre).sessions] == [session.id]


@pytest.mark.parametrize("form", list(Form))
def test_a_session_is_exported_whole(ask: Asked, talk: Callable[..., Session], tmp_path: Path, form: Form) -> None:
    session = talk("[red]title", "what <b>?")
    file = tmp_path / f"out.{form}"
    told = ask.one(Export(session.id, str(file), form), Exported)
    assert told.file == str(file)
    content = file.read_text()
    assert {"md": "# ", "html": "<!doctype html>", "json": "{"}[form] in content.lower()
    assert "about what" in content
    assert list(tmp_path.glob(".out*")) == []


def test_an_existing_file_stays_unless_it_is_to_be_replaced(
    ask: Asked, talk: Callable[..., Session], tmp_path: Path, home: Path
) -> None:
    session = talk("t", "q")
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.md: is there already"):
        ask(Export(session.id, str(tmp_path / "notes.md"), Form.MARKDOWN))
    assert (tmp_path / "notes.md").read_text() == "mine"
    ask(Export(session.id, str(tmp_path / "notes.md"), Form.MARKDOWN, replaces=True))
    assert (tmp_path / "notes.md").read_text().startswith("# t")
    assert ask.one(Export(session.id, "~/x.md", Form.MARKDOWN), Exported).file == str(home / "x.md")
    ask.desk.folder = str(tmp_path)
    assert ask.one(Export(session.id, "x.md", Form.MARKDOWN), Exported).file == str(tmp_path / "x.md")


@pytest.mark.parametrize(
    ("name", "said"), [("", "no file"), ("a\0b", "no file"), (".", "is a folder"), ("no/x.md", "No such")]
)
def test_what_can_not_be_written_is_said(
    ask: Asked, talk: Callable[..., Session], tmp_path: Path, name: str, said: str
) -> None:
    ask.desk.folder = str(tmp_path)
    with pytest.raises(UsageError, match=said):
        ask(Export(talk("t", "q").id, name, Form.JSON))


def test_a_broken_session_store_is_one_clear_line(ask: Asked, places: paths.Paths) -> None:
    places.data.mkdir(parents=True)
    (places.data / "sessions.db").write_text("no database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match=r"sessions\.db") as caught:
        ask(Sessions())
    assert caught.value.hint


def test_session_values() -> None:
    session = Session(id="ab", title="t", corpus="c", tip=None, turns=0, created_s=1.0, used_s=2.0)
    assert kept.session_is(session, {"c": ("/x",)}, "found") == SessionIs(
        id="ab", title="t", corpus="c", sources=("/x",), turns=0, created_s=1.0, used_s=2.0, found="found"
    )


# --- surroundings -------------------------------------------------------------------------------------------------


def test_engines_say_what_they_lack_and_which_need_a_model(ask: Asked) -> None:
    told = ask.one(Engines(), EnginesAre)
    by_name = {engine.name: engine for engine in told.engines}
    assert next(iter(by_name)) == "evidence"
    assert by_name["scripted"].needs_model and not by_name["evidence"].needs_model


@pytest.mark.parametrize("is_open", [False, True])
def test_the_doctor_checks_one_by_one_and_says_what_is_next(ask: Asked, large: Corpus, is_open: bool) -> None:
    if is_open:
        ask.show(large, engine="scripted", setup=EngineSetup(logs=large.paths.state, model="/no/such/file.toml"))
    *checks, last = ask(Doctor())
    names = [check.check.name for check in checks if isinstance(check, Checked)]
    assert len(names) == len(checks) > 8
    assert "terminal" not in names, "the backend has none"
    assert isinstance(last, NextSteps) and last.lines
    assert ("can't work" in last.lines[0]) == is_open


def test_the_log_has_the_engines_own_lines_too(ask: Asked, large: Corpus) -> None:
    assert ask.one(Log(), LogIs).lines == ()
    logs = ask.desk.log.parent
    logs.mkdir(parents=True)
    ask.desk.log.write_text("one\ntwo\nthree\n")
    (logs / "vllm.log").write_text("cuda\nerror \x1b[31m\n")
    assert ask.one(Log(2), LogIs) == LogIs(str(ask.desk.log), ("two", "three"))
    ask.show(large, engine="vllm")
    assert ask.one(Log(1), LogIs).lines == ("three", f"== {logs / 'vllm.log'}", "error \x1b[31m")


def test_another_queries_answers_what_is_slow_from_another_thread(ask: Asked, large: Corpus) -> None:
    ask.show(large)
    got: list[Reply] = []

    def slow() -> None:
        queries = Queries(ask.places, ask.desk)
        got.extend(queries.answer(Windows()))
        queries.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert ask.files()
    thread.join(20)
    assert isinstance(got[0], WindowsAre)


def test_stop_is_not_for_queries(ask: Asked) -> None:
    with pytest.raises(AssertionError):
        ask(Stop(1))
