import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import database
from ingest.outcome import Status
from ingest.reader import READER_VERSIONS
from ingest.rules import Selection
from longctx import paths, plan
from longctx.backend.exclusion import leaving_out
from longctx.corpus import Corpus, index_key
from longctx.errors import CorpusError, StoreError
from longctx.events import FileDone, Indexed
from longctx.manifest import State
from longctx.refresh import RACY_NS, differences, refresh
from longctx.request import Request, request_of
from longctx.store_faults import explained

MakeTree = Callable[[dict[str, str | bytes]], Path]
OpenCorpus = Callable[..., Corpus]
FILES: dict[str, str | bytes] = {
    "a.py": "def alpha():\n    return 1\n",
    "docs/b.md": "# Title\n\nSome words about beta.\n",
    "docs/c.txt": "gamma\r\nrays\r\n",
}


def prompt_ids(corpus: Corpus) -> list[int]:
    return [token for window in plan.pack(corpus) for token in plan.window_ids(corpus, window)]


def common(before: list[int], after: list[int]) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )


def test_every_file_is_read_and_in_the_manifest(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    corpus = open_corpus(make_tree(FILES))
    assert {path: record.outcome.status for path, record in corpus.files.items()} == dict.fromkeys(FILES, Status.READ)
    assert {entry.path for entry in corpus.entries} == set(FILES)
    assert corpus.index.known() == {index_key(entry) for entry in corpus.entries}


def test_stored_text_gives_the_files_bytes(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({**FILES, "bom.txt": b"\xef\xbb\xbfbom\n", "wide.txt": "größe\n".encode("utf-16")})
    corpus = open_corpus(root)
    for entry in corpus.entries:
        document = corpus.document(entry)
        content = (root / entry.path).read_bytes()
        if document.encoding == "utf-8":
            assert document.text.encode() == content
        else:
            assert content.endswith(document.text.encode(document.encoding.removesuffix("-sig")))


def test_an_unchanged_file_is_not_opened_again(
    make_tree: MakeTree, open_corpus: OpenCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(FILES)
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    settle(root)
    first = open_corpus(root)
    ids = prompt_ids(first)
    first.close()
    opened: list[str] = []
    plain_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(str(path)) or plain_open(path, *rest, **more)
    )
    again = open_corpus(root)
    assert not [path for path in opened if path.startswith(str(root)) and Path(path).is_file()]
    assert prompt_ids(again) == ids


def settle(root: Path) -> None:
    """Wait until the files are old enough for their signatures to be trusted: ctime can't be set back."""
    newest = max(path.stat().st_ctime_ns for path in root.rglob("*"))
    while time.time_ns() - newest <= RACY_NS:
        pass


def test_a_file_that_has_just_changed_is_looked_at_again(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    """Two writes within one tick of the clock leave one signature, so a fresh one isn't trusted."""
    root = make_tree(FILES)
    settle(root)
    (root / "a.py").write_bytes(b"def alpha():\n    return 2\n")
    os.utime(root / "a.py", (time.time() + 60, time.time() + 60))  # still young however slow this machine is
    corpus = open_corpus(root)
    assert corpus.records["a.py"].signature is None
    assert corpus.records["docs/b.md"].signature is not None


@pytest.mark.parametrize("change", ["edit", "add", "delete", "nothing"])
def test_a_change_never_costs_the_prefix(make_tree: MakeTree, open_corpus: OpenCorpus, change: str) -> None:
    files: dict[str, str | bytes] = {f"f{n:02}.py": f"def f{n}():\n    return {n}\n" * 40 for n in range(30)}
    root = make_tree(files)
    first = open_corpus(root)
    before = prompt_ids(first)
    first.close()
    if change == "edit":
        (root / "f00.py").write_text("changed = True\n")
    elif change == "add":
        (root / "aaa.py").write_text("first_by_name = True\n")
    elif change == "delete":
        (root / "f00.py").unlink()
    corpus = open_corpus(root)
    after = prompt_ids(corpus)
    assert common(before, after) == len(before)
    assert len(after) > len(before) if change in ("edit", "add") else after == before
    if change == "edit":
        assert "d1 is out of date; d31 is its new text" in plan.ledger(corpus)
    if change == "delete":
        assert "d1 was deleted" in plan.ledger(corpus)


def test_the_same_corpus_gives_the_same_ids_after_all_stores_are_lost(
    make_tree: MakeTree, open_corpus: OpenCorpus, home: Path
) -> None:
    root = make_tree(FILES)
    first = open_corpus(root)
    before = prompt_ids(first)
    first.close()
    shutil.rmtree(home / "longctx" / "cache")
    corpus = open_corpus(root)
    assert prompt_ids(corpus) == before


def test_equal_files_are_sent_once_and_all_their_paths_are_named(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    corpus = open_corpus(make_tree({"one.txt": "same\n", "sub/two.txt": "same\n", "other.txt": "other\n"}))
    assert len(corpus.entries) == 2
    twin = corpus.files["sub/two.txt"].outcome
    assert (twin.status, twin.detail) == (Status.DUPLICATE, "one.txt")
    assert corpus.paths_of(corpus.entries[0]) == ["one.txt", "sub/two.txt"]
    assert "sub/two.txt" in plan.ledger(corpus)


def test_when_the_first_of_two_equal_files_goes_the_other_is_read(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"one.txt": "same\n", "two.txt": "same\n"})
    open_corpus(root).close()
    (root / "one.txt").unlink()
    corpus = open_corpus(root)
    assert {path: str(record.outcome.status) for path, record in corpus.files.items()} == {"two.txt": "read"}
    assert [entry.state for entry in corpus.entries] == [State.CURRENT]


def test_nothing_readable_is_an_error_that_says_why(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    with pytest.raises(CorpusError, match="nothing readable") as caught:
        open_corpus(make_tree({"x.bin": bytes(range(256)) * 20}))
    assert "x.bin: binary" in caught.value.hint


def test_a_missing_source_is_an_error(open_corpus: OpenCorpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere"):
        open_corpus(tmp_path / "nowhere")


def test_an_earlier_prompt_is_not_fed_back(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    first = open_corpus(root)
    text = "".join(plan.window_text(first, window) for window in plan.pack(first))
    first.close()
    (root / "prompt.txt").write_text(text)
    assert open_corpus(root).files["prompt.txt"].outcome.status is Status.WRAPPER


def test_text_from_stdin_is_a_document(tmp_path: Path) -> None:
    with Corpus(Request(("-",), stdin=b"the secret of the tides\n"), paths.locate(os.environ)) as corpus:
        list(refresh(corpus))
        assert [entry.path for entry in corpus.entries] == ["<stdin>"]


def test_differences_are_told_without_changing_anything(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    settle(root)
    corpus = open_corpus(root)
    assert differences(corpus) == []
    (root / "new.txt").write_text("new\n")
    (root / "a.py").write_text("other\n")
    (root / "docs" / "b.md").unlink()
    assert differences(corpus) == [("changed", "a.py"), ("gone", "docs/b.md"), ("new", "new.txt")]
    assert set(corpus.files) == set(FILES)


def test_a_new_git_corpus_is_ordered_by_history(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"hot.txt": "hot 1\n", "cold.txt": "cold\n"})

    def git(*words: str, when: int = 0) -> None:
        dates = {"GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000"}
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, env={**os.environ, **dates})

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "1", when=1_500_000_000)
    (root / "hot.txt").write_text("hot 2\n")
    git("commit", "-qam", "2", when=1_600_000_000)
    (root / "aaa.txt").write_text("not committed\n")
    assert [entry.path for entry in open_corpus(root).entries] == ["cold.txt", "hot.txt", "aaa.txt"]


def test_selections_are_corpora_of_their_own(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    all_files = open_corpus(root)
    only_docs = open_corpus(root, selection=Selection(only=("docs/",)))
    assert all_files.record.id != only_docs.record.id
    assert {entry.path for entry in only_docs.entries} == {"docs/b.md", "docs/c.txt"}
    assert only_docs.files["."].outcome.detail.startswith("1 left out by --exclude, --only")


def test_a_name_that_is_no_utf8_is_stored_and_cited(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"plain.txt": "x\n"})
    (Path(os.fsdecode(os.fsencode(root) + b"/b\xffd\n.txt"))).write_text("odd name\n")
    corpus = open_corpus(root)
    name = os.fsdecode(b"b\xffd\n.txt")
    assert corpus.files[name].outcome.status is Status.READ
    corpus.close()
    again = open_corpus(root)
    assert name in again.files
    assert r'path="b\\xffd\\n.txt"' in plan.window_text(again, next(iter(plan.pack(again))))


def test_repack_drops_what_is_stale(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    open_corpus(root).close()
    (root / "a.py").write_text("new = 1\n")
    corpus = open_corpus(root)
    assert plan.build(corpus).stale > 0
    corpus.repack()
    assert plan.build(corpus).stale == 0
    assert {entry.path for entry in corpus.entries} == set(FILES)


def test_what_an_interruption_left_undone_is_done_by_the_next_run(
    make_tree: MakeTree, open_corpus: OpenCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(FILES)
    with monkeypatch.context() as patch:
        patch.setattr(Corpus, "freeze", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_corpus(root)
    settle(root)
    corpus = open_corpus(root)
    assert {entry.path for entry in corpus.entries} == set(FILES)


def test_a_lost_stale_text_leaves_the_prompt(make_tree: MakeTree, open_corpus: OpenCorpus, home: Path) -> None:
    root = make_tree(FILES)
    open_corpus(root).close()
    (root / "a.py").write_text("new = 1\n")
    open_corpus(root).close()
    shutil.rmtree(home / "longctx" / "cache")
    corpus = open_corpus(root)
    assert {entry.state for entry in corpus.entries} == {State.CURRENT}
    assert prompt_ids(corpus)


def ask_stdin(text: bytes, *inputs: str) -> list[str]:
    with Corpus(Request((*inputs, "-"), stdin=text), paths.locate(os.environ)) as corpus:
        list(refresh(corpus))
        return [corpus.document(entry).text for entry in corpus.entries]


def test_text_piped_in_earlier_is_not_sent_again(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    assert "alpha private" in ask_stdin(b"alpha private", str(root))
    later = ask_stdin(b"beta", str(root))
    assert "beta" in later and "alpha private" not in later
    assert len(later) == len(FILES) + 1


def test_equal_bytes_of_two_formats_are_two_texts(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    notebook = (
        '{"nbformat": 4, "metadata": {"quokka": "zebra"}, "cells": [{"cell_type": "markdown", "source": "words"}]}'
    )
    root = make_tree({"a.ipynb": notebook, "b.json": notebook})
    corpus = open_corpus(root)
    assert {str(record.outcome.status) for record in corpus.files.values()} == {"read"}
    assert len(corpus.entries) == 2
    (root / "a.ipynb").unlink()
    corpus = open_corpus(root)
    corpus.repack()
    assert "quokka" in corpus.document(corpus.entries[0]).text


def test_what_another_corpus_made_of_the_same_bytes_changes_nothing(
    make_tree: MakeTree, open_corpus: OpenCorpus, tmp_path: Path
) -> None:
    code = "def f():\n    return 1\n\n\n" * 3000
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "n.txt").write_text(code)
    open_corpus(tmp_path / "prose")
    corpus = open_corpus(make_tree({"n.py": code}))
    assert corpus.document(corpus.entries[0]).kind == "code"


def test_a_new_reader_version_supersedes_what_the_old_one_read(
    make_tree: MakeTree, open_corpus: OpenCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(FILES)
    settle(root)
    before = open_corpus(root).entries
    monkeypatch.setitem(READER_VERSIONS, "text", "text/2")
    after = open_corpus(root).entries
    assert [entry.key for entry in after[: len(before)]] == [entry.key for entry in before]
    renewed = [entry for entry in after if entry.reader.startswith("text/2") and entry.state is State.CURRENT]
    assert {entry.path for entry in renewed} == {"a.py", "docs/c.txt"}


KEY = "AKIA" + "Q3EGRXQ7" + "J5ZLMNPK"


def test_a_text_let_through_in_one_corpus_stays_out_of_another(
    make_tree: MakeTree, open_corpus: OpenCorpus, tmp_path: Path
) -> None:
    root = make_tree({"keys.txt": f"line\nkey {KEY}\n", "b.txt": "b\n"})
    let_through = Selection(secrets=True)
    assert open_corpus(root, selection=let_through).files["keys.txt"].outcome.status is Status.READ
    assert open_corpus(root).files["keys.txt"].outcome.status is Status.SECRET
    assert open_corpus(root, selection=let_through).files["keys.txt"].outcome.status is Status.READ


def test_the_notes_tell_of_renames_and_of_what_took_the_name(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"a.txt": "first text\n", "z.txt": "other\n"})
    open_corpus(root).close()
    (root / "a.txt").rename(root / "b.txt")
    (root / "a.txt").write_text("second text\n")
    corpus = open_corpus(root)
    assert "d1 is now b.txt" in plan.ledger(corpus)
    assert plan.build(corpus).note_tokens == len(plan.ledger_ids(corpus)) > 0


def test_a_file_that_became_equal_to_another_is_out_of_date_and_not_deleted(
    make_tree: MakeTree, open_corpus: OpenCorpus
) -> None:
    root = make_tree({"a.txt": "one\n", "b.txt": "two\n", "c.txt": "three\n"})
    open_corpus(root).close()
    (root / "b.txt").write_text("one\n")
    (root / "c.txt").write_text("")
    notes = plan.ledger(open_corpus(root))
    assert "d2 is out of date; d1 is its new text" in notes
    assert "d3 is out of date" in notes and "deleted" not in notes


def test_entries_that_another_process_appends_are_kept(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    one = open_corpus(root)
    (root / "x.txt").write_text("x\n")
    open_corpus(root)
    (root / "y.txt").write_text("y\n")
    list(refresh(one))
    assert [entry.path for entry in one.entries][-2:] == ["x.txt", "y.txt"]


def test_a_link_before_its_target_in_name_is_the_duplicate(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"z.txt": "some text\n", "pic.bin": bytes(range(256)) * 9})
    (root / "a").symlink_to("z.txt")
    (root / "b").symlink_to("pic.bin")
    corpus = open_corpus(root)
    found = {path: str(record.outcome.status) for path, record in corpus.files.items()}
    assert found == {"a": "duplicate of", "b": "binary", "pic.bin": "binary", "z.txt": "read"}
    assert [entry.path for entry in corpus.entries] == ["z.txt"]
    assert plan.tree(corpus.files, "x").tokens > 0


def test_a_link_to_a_name_that_is_no_utf8_does_no_harm(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({"z.txt": "some text\n"})
    odd = os.fsencode(root) + b"/b\xff.md"
    Path(os.fsdecode(odd)).write_text("odd\n")
    os.symlink(b"b\xff.md", os.fsencode(root) + b"/link.md")
    open_corpus(root).close()
    again = open_corpus(root)
    assert again.files["link.md"].outcome.status is Status.DUPLICATE


def test_a_token_in_an_address_is_kept_nowhere() -> None:
    request = Request(("https://user:tok3n@127.0.0.1/x.git",))
    assert request.public_inputs == ("https://127.0.0.1/x.git",)
    assert "tok3n" not in "".join(request.name)


def test_a_run_that_is_stopped_keeps_no_store_locked(make_tree: MakeTree, open_corpus: OpenCorpus, home: Path) -> None:
    corpus = open_corpus(make_tree(FILES))
    make_tree({f"new{n}.md": f"# {n}\n\nSome new words.\n" for n in range(20)})
    for kind in (FileDone, Indexed):
        make_tree({"one more.md": f"A {kind.__name__}.\n"})
        events = refresh(corpus)
        assert any(isinstance(event, kind) for event in events)
        events.close()
        for name in ("shelf.db", "tokens.db", f"evidence/{corpus.record.id}.db"):
            other = sqlite3.connect(home / "longctx" / "cache" / name, timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.close()
    list(refresh(corpus))
    assert len(corpus.files) == len(FILES) + 21


@pytest.mark.parametrize("is_closed", [True, False])
def test_an_interruption_waits_for_nobody(
    make_tree: MakeTree, open_corpus: OpenCorpus, home: Path, is_closed: bool
) -> None:
    corpus = open_corpus(make_tree(FILES))
    make_tree({"new.md": "New words.\n"})
    other = sqlite3.connect(home / "longctx" / "data" / "longctx.db", isolation_level=None)
    events, began = refresh(corpus), time.monotonic()
    next(events)
    other.execute("BEGIN IMMEDIATE")
    if is_closed:
        events.close()
    else:
        with pytest.raises(KeyboardInterrupt), explained():
            events.throw(KeyboardInterrupt())
    assert time.monotonic() - began < 10
    other.close()
    list(refresh(corpus))
    assert corpus.files["new.md"].outcome.status is Status.READ


def test_a_store_that_is_locked_is_no_fault_of_the_files(
    make_tree: MakeTree, open_corpus: OpenCorpus, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = open_corpus(make_tree(FILES))
    make_tree({"new.md": "New words.\n"})
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.0)
    other = sqlite3.connect(home / "longctx" / "cache" / "shelf.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as raised, explained():
        list(refresh(corpus))
    assert "try again" in raised.value.hint
    other.close()
    list(refresh(corpus))
    assert corpus.files["new.md"].outcome.status is Status.READ


def test_stores_that_are_gone_are_made_again(make_tree: MakeTree, open_corpus: OpenCorpus, home: Path) -> None:
    corpus = open_corpus(make_tree(FILES))
    before = prompt_ids(corpus)
    shutil.rmtree(home / "longctx" / "cache")
    list(refresh(corpus))
    assert prompt_ids(corpus) == before
    assert (home / "longctx" / "cache" / "shelf.db").exists()


def test_of_which_corpus_one_is_a_part_is_kept(make_tree: MakeTree) -> None:
    whole = Request((str(make_tree(FILES)),))
    part = leaving_out(whole, ("docs/",))
    with Corpus(part, paths.locate(os.environ)) as corpus:
        list(refresh(corpus))
        assert request_of(corpus.store.find(corpus.record.id)).part == part.part
    with Corpus(replace(part, part=None), paths.locate(os.environ)) as corpus:
        list(refresh(corpus))
        assert request_of(corpus.store.find(corpus.record.id)).part == part.part, "named by its rules alone"
