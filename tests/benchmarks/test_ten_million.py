"""The pure parts of the benchmark of ten million tokens: planting, looking up, figures and page."""

import json
import sys
from array import array
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import ten_million, ten_million_corpus, ten_million_figures, ten_million_page, ten_million_sources
from benchmarks.process import guarded, reason
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


CORPUS = {"packages": [], "planted": 0}


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


def begun(phase: str, *, fresh: bool = True) -> dict[str, object]:
    options = {"limit": 60.0, "attention": "sparse:4096", "threads": 1, "rival_gib": 18, "rivals": ["vllm"]}
    state = {"commit": "abc", "dirty": False, "when": "2026-01-01", "model": "needle-1"}
    return {"phase": phase, "event": "begun", "fresh": fresh, "options": options, **state}


def decoded(seconds: float, **fields: object) -> dict[str, object]:
    answer = {"windows": 1, "cached_tokens": 8, "gaps_s": [seconds], "right": 3, "wanted": 3}
    return line("decode", "decoded", **answer | fields)


def test_what_was_before_a_phase_began_anew_counts_no_more() -> None:
    done = {"phase": "decode", "event": "done"}
    lines = [begun("decode"), decoded(9.0), done, begun("decode"), decoded(5.0, counted=False), decoded(1.0)]
    assert [each["s"] for each in ten_million_figures.figures(lines, CORPUS)["decode"]] == [1.0]
    assert ten_million_figures.figures([*lines, begun("sparse")], CORPUS)["decode"] == [], "of another store"
    assert ten_million_figures.figures([*lines, begun("sparse", fresh=False)], CORPUS)["decode"]


def run_of(folder: Path, *lines: dict[str, object], torn: str = "", again: bool = False) -> ten_million.Run:
    options = ten_million.arguments().parse_args(["run", str(folder), *(["--again"] if again else [])])
    text = "".join(json.dumps(each) + "\n" for each in lines)
    (folder / "result.jsonl").write_text(text + torn)
    return ten_million.Run(ten_million_corpus.Work(folder), options)


def test_a_phase_is_done_where_it_ended_after_it_began_last(tmp_path: Path) -> None:
    done = {"phase": "edit", "event": "done"}
    assert run_of(tmp_path, begun("edit"), done, torn='{"phase": "ed').done() == {"edit"}
    assert run_of(tmp_path, begun("edit"), done, begun("edit")).done() == set()
    other = begun("edit") | {"options": {"attention": "sparse:64"}}
    assert run_of(tmp_path, other, done).done() == set()
    assert run_of(tmp_path, done).done() == {"edit"}, "a result of before it was noted"


def test_prefill_goes_on_where_it_was_and_begins_without_its_store_when_asked_to(tmp_path: Path) -> None:
    window = line("prefill", "window", done=8, tokens=8, s=1.0, cpu_s=1.0)
    assert not run_of(tmp_path, window).is_fresh("sparse")
    assert run_of(tmp_path, window).is_fresh("dense")
    assert run_of(tmp_path, begun("sparse"), window, again=True).is_fresh("sparse")
    assert not run_of(tmp_path, again=True).is_fresh("rivals")
    (tmp_path / "model" / "needle-x").mkdir(parents=True)
    this = run_of(tmp_path, window, again=True)
    this.store("sparse:4096").mkdir()
    this.begin("sparse")
    assert not this.store("sparse:4096").exists()
    assert ten_million_figures.figures(this.lines(), CORPUS)["prefill"] == {}


def test_nothing_is_asked_over_what_is_not_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    this = run_of(tmp_path)
    this.work.windows.write_text("[1, 2]\n" * 3)
    this.work.facts.write_text("[]")
    for phase in ("recall", "restart", "decode", "edit"):
        assert not ten_million.PHASES[phase](this)
    assert capsys.readouterr().err.count("left out") == 4
    assert this.lines() == []


def test_a_prefill_that_was_stopped_counts_what_it_read_and_says_why() -> None:
    lines = [
        line("prefill", "window", done=16_384, tokens=8192, s=2.0, cpu_s=2.0),
        line("prefill", "window", done=24_576, tokens=8192, s=2.0, cpu_s=2.0),
    ]
    found = ten_million_figures.figures(lines, CORPUS)
    assert ten_million_page.prefill(found)[2].split(" | ")[1:4] == ["16,384", "4 s", "4,096"]
    assert "not at its end" in ten_million_page.prefill(found)[2]
    ended = line("prefill", "ended", why="killed after 60 s", rss_mb=5120.0)
    row = ten_million_page.prefill(ten_million_figures.figures([*lines, ended], CORPUS))[2]
    assert "killed after 60 s" in row
    assert "5.00 GiB" in row


def test_a_rival_that_never_opened_has_its_row() -> None:
    lines = [
        {"phase": "rival", "rival": "vllm", "event": "begun"},
        {
            "phase": "rival",
            "rival": "vllm",
            "event": "ended",
            "reach": 8,
            "why": "a | b at /x/y/z.py",
            "rss_mb": 1024.0,
        },
    ]
    found = ten_million_figures.figures(lines, CORPUS)
    assert "not noted" in ten_million_page.limits(found)[0]
    noted = ten_million_figures.figures([begun("rivals", fresh=False), *lines], CORPUS)
    assert "vllm had 60 s in all" in ten_million_page.limits(noted)[0]
    row = ten_million_page.prefill(found)[2]
    assert row == r"| vllm | 0 | - | - | - | 1.00 GiB | a \| b at .../z.py (made to reach 8) |"


def edited(number: int, right: int) -> dict[str, object]:
    times = {"import_s": 1.0, "open_s": 1.0, "read_s": 1.0, "ttft_s": 1.0 + number}
    return line("edit", "edited", number=number, shared_windows=3, new_windows=1, right=right, wanted=3, **times)


def test_an_edit_counts_all_that_it_takes_and_a_wrong_answer_is_none() -> None:
    parts = [line("edit", "file", path="a.py", bytes=9), line("edit", "ingest", s=1.0), line("edit", "pack", s=1.0)]
    found = ten_million_figures.figures([*parts, *(edited(n, 3) for n in range(3))], CORPUS)
    assert found["edit"]["took_s"] == 6.0
    assert found["edit"]["next"]["number"] == 1
    assert ten_million_page.summary(found)[-1].endswith("| 6.0 s | reached |")
    wrong = ten_million_figures.figures([*parts, edited(0, 0)], CORPUS)
    assert ten_million_page.summary(wrong)[-1].endswith("a wrong answer | NOT reached |")


def test_a_goal_is_incomplete_where_not_all_was_asked() -> None:
    cell = {"window": 0, "right": 3, "wanted": 3, "ids": [1], "cached_tokens": 8, "ttft_s": 1.0, "skipped_mass": 0.5}
    packed = line("ingest", "packed", windows=4, tokens=32, fill=1.0, facts=1, windows_with_facts=1)

    def verdict(windows: int, planned: int) -> str:
        asked = line("recall", "asked", windows=windows, **cell)
        lines = [packed, asked, line("recall", "planned", cells=planned)]
        found = ten_million_figures.figures(lines, CORPUS)
        return next(row for row in ten_million_page.summary(found) if "every fact" in row).split(" | ")[-1]

    assert verdict(4, 1) == "reached |"
    assert verdict(4, 2) == verdict(1, 1) == "incomplete |"


def test_cut_facts_are_drawn_under_the_length_they_were_asked_at() -> None:
    cell = {"window": 0, "right": 3, "wanted": 3, "ids": [1], "cached_tokens": 8, "ttft_s": 1.0, "skipped_mass": 0.5}
    cuts = [line("cut", "cut", windows=4, window=0, is_cut=cut, right=3 * (not cut), wanted=3) for cut in (True, False)]
    lines = [*cuts, *(line("recall", "asked", windows=windows, **cell) for windows in (1, 4))]
    drawn = ten_million_page.heat_map(ten_million_figures.figures(lines, CORPUS))
    assert [square.sign.name for square in drawn.apart[0].squares] == ["UNASKED", "NOT_EXPECTED"]
    assert drawn.rows[1].name == "6-12 %"


def test_what_packing_cuts_is_counted() -> None:
    whole, cut, gone = Fact(1, (2, 3)), Fact(4, (5, 6)), Fact(7, (8, 9))
    windows = [array("I", [0, 1, 2, 3, 4]), array("I", [5, 6])]
    assert ten_million_corpus.cut_by_packing(windows, [whole, cut, gone]) == 1


def test_why_a_process_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ValueError: /home/me/x.py is bad\nsee the log above\n")
    assert reason(0, log) == ""
    assert reason(-9, log) == "killed by SIGKILL"
    assert reason(1, log) == "ValueError: .../x.py is bad"
    log.write_text("y" * 500)
    assert len(reason(1, log)) == 120


def test_an_archive_that_is_another_one_or_damaged_is_refused(tmp_path: Path) -> None:
    package = ten_million_sources.PACKAGES[0]
    (tmp_path / package.archive).write_bytes(b"another")
    with pytest.raises(SystemExit, match="not the archive"):
        ten_million_sources.unpack_all(tmp_path, tmp_path / "out")
    header = b"debian-binary".ljust(48) + b"-60".ljust(10) + b"`\n"
    with pytest.raises(SystemExit, match="another kind"):
        ten_million_sources._data_of(ten_million_sources.AR_MAGIC + header)


def test_a_chart_is_whole_xml_whatever_its_words_are() -> None:
    curves = [Curve("<b>&", 0, [(8192, 100.0), (10_485_760, 0.5)]), Curve("nothing", 1, [])]
    root = ET.fromstring(to_svg("a < b", "c & d", "x", "y", curves))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "<b>&" in texts
    assert "nothing" not in texts


def test_a_page_without_any_figures_says_so() -> None:
    found = ten_million_figures.figures([], {"packages": [], "planted": 0})
    assert ten_million_page.heat_map(found).columns == ()
    page = ten_million_page.filled((DOCS / "ten-million.md").read_text("utf-8"), found)
    assert page.count("Not measured yet.") == len(ten_million_page.TABLES)


@pytest.mark.skipif(not (DOCS / "ten-million.json").exists(), reason="the benchmark was not run yet")
def test_page_and_pictures_are_what_their_figures_say() -> None:
    found = json.loads((DOCS / "ten-million.json").read_text("utf-8"))
    page = (DOCS / "ten-million.md").read_text("utf-8")
    assert ten_million_page.filled(page, found) == page, "run python -m benchmarks.ten_million page WORK"
    for name, picture in ten_million_page.pictures(found).items():
        assert (DOCS / name).read_text("utf-8") == picture
