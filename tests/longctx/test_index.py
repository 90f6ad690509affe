"""The index finds words in every script, forgets what is removed, and keeps what was committed."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.document import Document, Kind
from longctx import index as index_module
from longctx.index import Index, pairs, searchable


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "words.db") as opened:
        yield opened


def _prose(text: str) -> Document:
    return Document(text=text, kind=Kind.PROSE)


def _query(text: str) -> str:
    return " AND ".join(f'"{word}"' for word in searchable(text).split())


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("The HTTPServerPool keeps sockets", "server pool"),
        ("The JavaScript engine", "javascript"),
        ("call read_block_header first", "block header"),
        ("ราคาน้ำมันในประเทศไทยสูงขึ้น", "น้ำมัน"),
        ("東京は日本の首都です", "日本"),
        ("大语言模型的上下文窗口", "上下文"),
        ("किताबें मेज़ पर हैं", "किताबें"),
        ("الكِتَابُ على الطاولة", "الكتاب"),
        ("Đường sắt Việt Nam", "duong sat viet"),
        ("Duong sat Viet Nam", "Đường sắt"),
        ("Die Größe der Straße", "größe"),
        ("cafe\u0301 au lait", "café"),
        ("the requests were retried", "retry request"),
    ],
)
def test_words_are_found(index: Index, text: str, question: str) -> None:
    index.add("d", ["a.txt"], _prose(text))
    index.add("other", ["b.txt"], _prose("Something else entirely."))
    assert [match.digest for match in index.match(_query(question), 5)] == ["d"]


def test_marks_do_not_split_words(index: Index) -> None:
    index.add("d", ["a.txt"], _prose("हिन्दी"))
    assert index.match('"हन"', 5) == []
    assert index.frequency('"हिन्दी"') == 1


def test_a_name_weighs_more_than_a_mention(index: Index) -> None:
    text = "def other(x):\n    return flush(flush(x))\n\n\ndef flush(x):\n    return x\n"
    index.add("d", ["a.py"], Document(text=text, kind=Kind.CODE))
    best = index.match('"flush"', 5)[0]
    assert best.name == "flush" and text[best.start : best.end].startswith("def flush")


def test_paths_are_found_and_renewed(index: Index) -> None:
    index.add("d", ["src/old_name.py"], _prose("text"))
    assert index.match('path : "old"', 5)[0].path == "src/old_name.py"
    index.set_paths("d", ["src/new.py", "copy.py"])
    assert index.paths("d") == ["copy.py", "src/new.py"]
    assert index.match('"text"', 5)[0].path == "copy.py"


def test_adding_again_adds_nothing(index: Index) -> None:
    index.add("d", ["a"], _prose("one thing"))
    index.add("d", ["b"], _prose("one thing"))
    assert index.size() == 1 and index.paths("d") == ["b"] and index.frequency('"thing"') == 1


def test_what_is_removed_is_not_found(index: Index) -> None:
    for number in range(10):
        index.add(str(number), [f"{number}.txt"], _prose(f"shared words {number}"))
    index.remove("3")
    index.remove("absent")
    assert "3" not in {match.digest for match in index.match('"shared"', 20)}
    assert len(index.match('"shared"', 20)) == 9 and index.size() == 9
    assert len(index.known()) == 9


def test_many_removals_start_it_anew(index: Index) -> None:
    for number in range(10):
        index.add(str(number), [f"{number}.txt"], _prose(f"shared words {number}"))
    for number in range(3):
        index.remove(str(number))
    assert index.stale_share() == pytest.approx(0.3)
    assert index.known() == set()
    index.add("7", ["7.txt"], _prose("shared words 7"))
    assert [match.digest for match in index.match('"shared"', 20)] == ["7"] and index.stale_share() == 0


def test_finished_work_survives_an_end_without_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(index_module.time, "monotonic", lambda: next(clock))
    abandoned = Index(tmp_path / "words.db")
    abandoned.add("d", ["a.txt"], _prose("kept"))
    with Index(tmp_path / "words.db") as again:
        assert again.known() == {"d"}


def test_equal_scores_come_in_the_order_of_adding(index: Index) -> None:
    for digest in "cab":
        index.add(digest, [f"{digest}.txt"], _prose("same text"))
    assert [match.digest for match in index.match('"same"', 5)] == ["c", "a", "b"]


def test_undecodable_paths_and_lone_surrogates(index: Index) -> None:
    index.add("d", ["bad\udcff.txt"], _prose("odd \ud800 text"))
    assert index.match('"odd"', 5)[0].path == "bad\udcff.txt"


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    with Index(path) as index:
        assert index.known() == set()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_opening_reads_nothing(tmp_path: Path) -> None:
    Index(tmp_path / "words.db").close()
    assert not (tmp_path / "words.db").exists()


def test_pairs() -> None:
    assert pairs("日本語") == ["日本", "本語"] and pairs("日") == ["日"]


def test_a_long_heading_does_not_multiply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "".join(f"word{number} " for number in range(20_000))
    calls: list[str] = []

    def counted(text: str) -> str:
        calls.append(text)
        return searchable(text)

    monkeypatch.setattr(index_module, "searchable", counted)
    paragraphs = "".join(f"Paragraph {number} has enough words to be a passage. " * 5 + "\n\n" for number in range(300))
    with Index(tmp_path / "words.db") as index:
        document = Document(text=f"# {words}\n\n{paragraphs}", kind=Kind.MARKDOWN, title=words)
        index.add("d", [f"{number:05}/{'p' * 200}" for number in range(500)], document)
        assert index.match('"word0" AND "paragraph"', 5)
        passages = index.size()
    assert (tmp_path / "words.db").stat().st_size < 5_000_000
    assert len(calls) <= passages + 5 and max(map(len, calls)) < 3_000


def test_an_interrupted_document_is_not_there_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = index_module._word_rows

    def interrupted(*given: Any) -> Iterator[Any]:
        yield next(iter(words(*given)))
        raise KeyboardInterrupt

    with Index(tmp_path / "words.db") as index:
        index.add("first", ["a"], _prose("one thing"))
        index.commit()
        monkeypatch.setattr(index_module, "_word_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.add("second", ["b"], _prose("another thing"))
    monkeypatch.undo()
    with Index(tmp_path / "words.db") as index:
        assert index.known() == {"first"}
        index.add("second", ["b"], _prose("another thing"))
        assert (index.size(), index.frequency('"another"')) == (2, 1)


def test_half_a_document_that_was_left_behind_starts_it_anew(tmp_path: Path) -> None:
    with Index(tmp_path / "words.db") as index:
        index.add("first", ["a"], _prose("one thing"))
        index.add("second", ["b"], _prose("another thing"))
    torn = sqlite3.connect(tmp_path / "words.db")
    torn.execute("UPDATE totals SET value = 1 WHERE name = 'last_passage'")
    torn.commit()
    torn.close()
    with Index(tmp_path / "words.db") as index:
        assert index.known() == set()
        index.add("third", ["c"], _prose("a third thing"))
        assert index.size() == 1
