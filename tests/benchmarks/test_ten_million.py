"""The pure parts of the benchmark of ten million tokens: planting, looking up, figures and page."""

import json
import sys
from array import array
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import ten_million, ten_million_corpus, ten_million_figures, ten_million_page
from benchmarks.process import guarded
from benchmarks.ten_million_chart import Curve, to_svg
from benchmarks.ten_million_corpus import Placed
from longctx.manifest import Entry
from longctx.needle.fact import Fact
from longctx.packing import WINDOW_TOKENS
from longctx.tokens import Tokenizer

DOCS = Path(ten_million.__file__).parent.parent / "docs"


def entry(position: int, path: str, tokens: int) -> Entry:
    return Entry(position, path, f"digest{position}", "text/1", tokens)


def test_a_planted_fact_is_one_token_a_word_without_any_between(tmp_path: Path) -> None:
    tokenizer = Tokenizer()
    words = ten_million_corpus.single_words([], tokenizer)
    body = "x = 1\n" * 6000
    (tmp_path / "a.py").write_text(body)
    (tmp_path / "b.html").write_text("<p>words</p>\n" * 3000)
    (tmp_path / "c.bin").write_text(body)
    entries = [entry(n, name, 2 * WINDOW_TOKENS) for n, name in enumerate(("a.py", "b.html", "c.bin"))]
    facts = ten_million_corpus.plant(tmp_path, entries, words)
    ids = list(tokenizer.encode((tmp_path / "a.py").read_text()))
    for fact in facts[:2]:
        at = ids.index(fact.key)
        assert tuple(ids[at : at + len(fact.ids)]) == fact.ids
    assert len(facts) == 4, "none is put where nobody could read it"
    assert len({word for fact in facts for word in fact.ids}) == 4 * len(facts[0].ids)
    assert (tmp_path / "c.bin").read_text() == body
    assert "</p>\n<p># " in (tmp_path / "b.html").read_text()


def test_only_what_stands_once_and_whole_in_a_window_is_a_placed_fact() -> None:
    whole, cut, twice = Fact(1, (2, 3)), Fact(4, (5, 6)), Fact(7, (8, 9))
    windows = [array("I", [0, 1, 2, 3, 4]), array("I", [5, 6, 7, 8, 9, 8])]
    assert ten_million_corpus.located(windows, [twice, cut, whole]) == [Placed(whole, 0, 1)]


def test_depths_are_windows_that_have_a_fact_and_span_the_length() -> None:
    facts = [Placed(Fact(n, (n + 1,)), window, 0) for n, window in enumerate((0, 3, 40, 41, 99, 500))]
    assert ten_million.depths(facts, 100, 3) == [0, 41, 99]
    assert ten_million.depths(facts, 1, 5) == [0]
    assert ten_million.depths([], 100, 3) == []
    assert ten_million.lengths_up_to(1279) == [1, 4, 16, 64, 256, 1024, 1279]
    assert ten_million.rival_lengths(1266)[-3:] == [512, 1024, 1266]


def test_a_guarded_command_ends_with_its_time_and_with_too_much_memory(tmp_path: Path) -> None:
    def run(program: str, limit_s: float, limit_mb: float) -> str:
        command = [sys.executable, "-c", program]
        return guarded(command, tmp_path / "log", limit_s=limit_s, limit_mb=limit_mb, cwd=tmp_path).why

    assert run("", 60, 1000) == ""
    assert run("raise SystemExit('no room')", 60, 1000) == "no room"
    assert run("import time; time.sleep(60)", 0.2, 1000) == "killed after 0 s"
    assert run("x = b'x' * (300 << 20)\nimport time; time.sleep(60)", 60, 200).endswith("GiB of memory")


def line(phase: str, event: str, **fields: object) -> dict[str, object]:
    return {"phase": phase, "event": event, "attention": "sparse:4096", "rss_peak_mb": 100.0, **fields}


def test_of_a_phase_that_was_run_again_the_later_lines_count() -> None:
    cell = {"windows": 1, "window": 0, "wanted": 3, "cached_tokens": 8, "ttft_s": 1.0, "skipped_mass": 0.5}
    lines = [
        line("recall", "asked", right=0, ids=[1], **cell),
        line("recall", "asked", right=3, ids=[2], **cell),
        line("recall", "asked", right=3, ids=[2], **cell | {"attention": "dense"}),
        line("rival", "begun", rival="vllm"),
        line("rival", "ended", rival="vllm", reach=1, why="old"),
        line("rival", "begun", rival="vllm"),
        line("rival", "ended", rival="vllm", reach=2, why="new"),
    ]
    found = ten_million_figures.figures(lines, {"packages": [], "planted": 0})
    assert [(each["found"], each["asked"]) for each in found["recall"]] == [(1, 1), (1, 1)]
    assert found["agreement"] == {"asked": 1, "same": 1}
    assert found["rivals"]["vllm"]["tries"] == [{"reach": 2, "why": "new"}]


def test_a_chart_is_whole_xml_whatever_its_words_are() -> None:
    curves = [Curve("<b>&", 0, [(8192, 100.0), (10_485_760, 0.5)]), Curve("nothing", 1, [])]
    root = ET.fromstring(to_svg("a < b", "c & d", "x", "y", curves))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "<b>&" in texts
    assert "nothing" not in texts


def test_a_page_without_any_figures_says_so() -> None:
    found = ten_million_figures.figures([], {"packages": [], "planted": 0})
    page = ten_million_page.filled((DOCS / "ten-million.md").read_text("utf-8"), found)
    assert page.count("Not measured yet.") == len(ten_million_page.TABLES)


@pytest.mark.skipif(not (DOCS / "ten-million.json").exists(), reason="the benchmark was not run yet")
def test_page_and_pictures_are_what_their_figures_say() -> None:
    found = json.loads((DOCS / "ten-million.json").read_text("utf-8"))
    page = (DOCS / "ten-million.md").read_text("utf-8")
    assert ten_million_page.filled(page, found) == page, "run python -m benchmarks.ten_million page WORK"
    for name, picture in ten_million_page.pictures(found).items():
        assert (DOCS / name).read_text("utf-8") == picture
