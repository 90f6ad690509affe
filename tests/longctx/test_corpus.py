import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.outcome import Status
from ingest.rules import Selection
from longctx import paths, plan
from longctx.corpus import Corpus, Request, differences
from longctx.errors import CorpusError
from longctx.manifest import State

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
    assert corpus.index.known() == {entry.digest for entry in corpus.entries}


def test_stored_text_gives_the_files_bytes(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree({**FILES, "bom.txt": b"\xef\xbb\xbfbom\n", "wide.txt": "größe\n".encode("utf-16")})
    corpus = open_corpus(root)
    for entry in corpus.entries:
        document = corpus.document(entry.digest, entry.reader)
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
    import time

    from longctx.corpus import RACY_NS

    newest = max(path.stat().st_ctime_ns for path in root.rglob("*"))
    while time.time_ns() - newest <= RACY_NS:
        pass


def test_an_edit_within_the_clocks_tick_is_seen(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    root = make_tree(FILES)
    open_corpus(root).close()
    stat = (root / "a.py").stat()
    (root / "a.py").write_bytes(b"def alpha():\n    return 2\n")
    os.utime(root / "a.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    corpus = open_corpus(root)
    current = [entry for entry in corpus.entries if entry.path == "a.py" and entry.state is State.CURRENT]
    assert "return 2" in corpus.document(current[0].digest, current[0].reader).text


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
    import shutil

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
    assert corpus.paths_of(corpus.files["one.txt"].digest) == ["one.txt", "sub/two.txt"]
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
        list(corpus.refresh())
        assert [entry.path for entry in corpus.entries] == ["stdin"]


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
