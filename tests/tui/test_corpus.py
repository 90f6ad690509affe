"""The corpus pane: what it shows of a corpus, every key, and that nothing in a name is obeyed."""

from time import process_time
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from longctx.answer import Mode
from longctx.backend.replies import CorpusOpened, FileIs, FilesAre, Planned, ReadingFiles, Sending
from tui.messages import CopyWanted, ExclusionToggled, FileChosen, SummaryWanted
from tui.widgets.corpus import CorpusPane, FilterInput
from tui.widgets.corpus_rows import CorpusRows
from tui.widgets.rows import Rows

HOSTILE = ("[/red]", "[bold", "[@click=app.quit]x[", "a\x1b[31mb", "\u202eabc", "\ud800", "x" * 10_000, "")


def corpus(**fields: Any) -> CorpusOpened:
    plain = {
        "id": "c1", "name": "kernel", "folder": "/k", "sources": ("/k",), "files": 9, "skipped": 2, "tokens": 694_000,
        "stale": 12_000, "changed": 0, "excluded": (),
    }  # fmt: skip
    return CorpusOpened(**{**plain, **fields})


def file(path: str, tokens: int = 0, position: int | None = None, **fields: Any) -> FileIs:
    plain = {"sending": Sending.SENT, "status": "read"} if position is not None else {"sending": Sending.LEFT_OUT}
    return FileIs(path=path, tokens=tokens, position=position, **{"status": "binary", **plain, **fields})


KERNEL = (
    file("docs/guide.md", 202_000, 5),
    file("docs/reference.md", 200_000, 6),
    file("report.pdf", 38_000, 4, status="partly read", why="3 of 80 pages have no text"),
    file("scan_07.pdf", status="no text", why="12 pages of pictures"),
    file("src/engine/cache.py", 22_000, 1),
    file("src/engine/kernels/gather.cu", 100_000, 2),
    file("src/engine/kernels/scatter.cu", 90_000, 3),
    file("src/engine/old.py", 41_000, sending=Sending.TWIN, status="duplicate of", why="src/engine/prefill.py"),
    file("src/engine/prefill.py", 41_000, 0),
    file("src/logo.png"),
)


def show(pane: CorpusPane, *files: FileIs, **fields: Any) -> None:
    pane.show_corpus(corpus(**fields))
    pane.add_files(FilesAre(files or KERNEL, is_last=True))


def names(pilot: Pilot[Any]) -> list[str]:
    rows = pilot.app.query_one(CorpusRows)
    return [row.name for row in rows._rows]


def words(pilot: Pilot[Any], line: str) -> str:
    return str(pilot.app.query_one(f"#corpus-{line}", Static).render())


async def test_folders_open_and_close_by_key(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        assert names(pilot) == ["docs/", "src/", "report.pdf", "scan_07.pdf"]
        await pilot.press("down", "enter")
        assert names(pilot) == ["docs/", "src/", "engine/", "logo.png", "report.pdf", "scan_07.pdf"]
        await pilot.press("right", "right", "right")
        assert pane.chosen == "src/engine/kernels/"
        await pilot.press("left", "left")
        assert names(pilot)[:3] == ["docs/", "src/", "engine/"]
        assert pane.chosen == "src/engine/"
        await pilot.press("left", "left")
        assert pane.chosen == "src/"
        await pilot.press("enter", "enter", "e")
        assert len(names(pilot)) == 14
        assert pane.chosen == "src/"
        await pilot.press("c")
        assert len(names(pilot)) == 4


async def test_a_file_is_chosen_by_enter_and_by_click(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("down", "down", "enter")
        await pilot.click(CorpusRows, offset=(6, 0))
        await pilot.click(CorpusRows, offset=(6, 2))
        await pilot.pause()
        assert all(isinstance(each, FileChosen) for each in pilot.app.said)
        assert [each.path for each in pilot.app.said] == ["report.pdf", "docs/reference.md"]


async def test_what_was_left_out_is_not_opened_but_explained(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("end", "enter", "space")
        await pilot.pause()
        assert not pilot.app.said
        assert words(pilot, "state") == "✗ left out · no text: 12 pages of pictures"
        assert [note.message for note in pilot.app._notifications] == [
            "scan_07.pdf is left out, no text: no text of it",
            "scan_07.pdf is left out already: no text",
        ]


async def test_space_excludes_and_takes_back(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("space")
        show(pane, *KERNEL[2:], id="c2", excluded=("docs/",))
        await pilot.pause()
        assert "docs/" in names(pilot)
        assert pane.chosen == "docs/"
        assert words(pilot, "state") == "– excluded · space takes it back"
        assert words(pilot, "sums").rstrip() == "402K tokens, not added"
        assert "docs/" not in pane.paths
        await pilot.press("space")
        await pilot.pause()
        assert all(isinstance(each, ExclusionToggled) for each in pilot.app.said)
        assert [(each.path, each.excluded) for each in pilot.app.said] == [("docs/", True), ("docs/", False)]


async def test_the_order_is_changed_and_said(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        told = []
        for _ in range(4):
            await pilot.press("s")
            told.append((str(pane.border_title), *names(pilot)[:2]))
        assert told == [
            ("Corpus · by name", "docs/", "src/"),
            ("Corpus · by state", "scan_07.pdf", "docs/"),
            ("Corpus · by place in the prompt", "src/", "report.pdf"),
            ("Corpus · by tokens", "docs/", "src/"),
        ]
        assert pane.chosen == "docs/"


async def test_filter(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("slash", *"s.cu", "enter")
        assert names(pilot) == ["src/engine/kernels/", "gather.cu", "scatter.cu"]
        assert str(pane.border_subtitle) == "2 of 10 files"
        await pilot.press("down", "enter")
        await pilot.press("slash", *"zzz")
        assert names(pilot) == []
        assert pane.chosen is None
        await pilot.press("space", "escape")
        assert names(pilot) == ["docs/", "src/", "report.pdf", "scan_07.pdf"]
        assert pilot.app.focused is pilot.app.query_one(CorpusRows)
        await pilot.press("slash", "x", "enter", "escape")
        assert pilot.app.query_one(Input).value == ""
        assert [each.path for each in pilot.app.said] == ["src/engine/kernels/gather.cu"]


async def test_escape_is_left_to_others_where_there_is_no_filter(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        assert "escape" not in pilot.app.screen.active_bindings
        await pilot.press("slash", "x", "enter")
        assert "escape" in pilot.app.screen.active_bindings


async def test_summaries_of_a_row_and_of_all_that_is_marked(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("S", "m", "down", "m", "S", "y")
        await pilot.pause()
        first, marked, copied = pilot.app.said
        assert isinstance(first, SummaryWanted)
        assert isinstance(copied, CopyWanted)
        assert (first.paths, marked.paths) == (("docs/",), ("docs/", "report.pdf"))
        assert (copied.text, copied.what) == ("scan_07.pdf", "path")
        assert str(pane.border_subtitle) == "2 marked · S sums up · esc"
        await pilot.press("escape", "S")
        await pilot.pause()
        assert pilot.app.said[-1].paths == ("scan_07.pdf",)


async def test_cursor_and_open_folders_survive_a_refresh_but_no_other_corpus(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("down", "enter", "down", "down")
        assert pane.chosen == "src/logo.png"
        show(pane, *KERNEL, file("aaa.py", 900_000, 9), changed=1)
        await pilot.pause()
        assert pane.chosen == "src/logo.png"
        assert names(pilot)[:3] == ["aaa.py", "docs/", "src/"]
        show(pane, file("src/a.py", 1, 0), file("src/b.py", 2, 1), sources=("/other",), folder="/other")
        await pilot.pause()
        assert names(pilot) == ["src/", "b.py", "a.py"]
        assert pane.chosen == "src/"


async def test_what_is_seen_stays_where_it_was_scrolled_to(run_widget) -> None:
    pane = CorpusPane()
    many = tuple(file(f"{n:03}.py", 1000 - n, n) for n in range(200))
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane, *many)
        rows = pane.query_one(CorpusRows)
        await pilot.pause()
        rows.scroll_to(y=100, animate=False, immediate=True)
        pane.show_cached(frozenset({"100.py"}))
        await pilot.pause()
        assert rows.scroll_offset.y == 100
        await pilot.click(CorpusRows, offset=(5, 0))
        assert pane.chosen == "100.py"


async def test_files_come_in_parts_and_are_shown_together(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        pane.show_corpus(corpus())
        pane.add_files(FilesAre(KERNEL[:4], is_last=False))
        assert pane.paths == ()
        pane.add_files(FilesAre(KERNEL[4:], is_last=True))
        assert sorted(pane.paths) == sorted(each.path for each in KERNEL)
        assert len(names(pilot)) == 4


async def test_the_last_question_is_told_of_a_file(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (60, 24)) as pilot:
        show(pane)
        pane.show_cached(frozenset({"report.pdf"}))
        pane.focus()
        await pilot.press("down", "down")
        planned = Planned(
            prompt_tokens=1, limit_tokens=None, mode=Mode.FOCUS, read_tokens=1, corpus_tokens=2, recap_tokens=0,
            conversation_tokens=0, unread=("docs/guide.md",), partly=("report.pdf",),
        )  # fmt: skip
        pane.show_plan(planned)
        await pilot.pause()
        assert words(pilot, "state") == (
            "● cached · partly read: 3 of 80 pages have no text · read in part for the last question"
        )


async def test_reading_is_shown_until_there_is_a_corpus(run_widget) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (40, 24)) as pilot:
        pane.show_reading(ReadingFiles(doing="reading", done=5, total=20, path="src/a.py", tokens=812_000))
        assert words(pilot, "where") == "reading 5 of 20 · 812K tokens"
        assert words(pilot, "sums").endswith(" 25 %")
        show(pane)
        await pilot.pause()
        assert words(pilot, "where") == "docs/"
        pane.show_reading(ReadingFiles(doing="indexing", done=5, total=None, path="", tokens=1))
        assert words(pilot, "where") == "indexing 5 files"
        pane.end_reading()
        assert words(pilot, "where") == "docs/"


async def test_hostile_names_are_only_shown(run_widget) -> None:
    pane = CorpusPane()
    many = [
        each
        for name in HOSTILE
        for each in (file(f"{name}/{name}", 3, 0), file(name, 2, 1), file(f"b{name}", why=name, status=name))
    ]
    async with run_widget(pane, (40, 60)) as pilot:
        show(pane, *many, sources=HOSTILE, excluded=tuple(f"c{name}/" for name in HOSTILE))
        pane.show_reading(ReadingFiles(doing=HOSTILE[0], done=1, total=9, path=HOSTILE[5], tokens=1))
        pane.focus()
        await pilot.press("e", *["down", "space"] * len(HOSTILE), "slash", "b", "escape", "end", "enter", "y")
        pane.end_reading()
        for node in many[::5]:
            pane.query_one(CorpusRows).move_to(names(pilot).index(node.path.rpartition("/")[2]))
            await pilot.pause()
        screen = pilot.app.export_screenshot(simplify=True)
        assert not {"\x1b", "\u202e", "\ud800"} & set(screen)
        assert "Corpus" in screen


async def test_twenty_thousand_files_take_no_time(run_widget) -> None:
    """The bound is a loose one: what it guards against is a widget for each file."""
    pane = CorpusPane()
    many = tuple(file(f"src/pkg{i % 40}/mod{i % 400}/file_{i}.py", i % 5000, i) for i in range(20_000))
    async with run_widget(pane, (60, 24)) as pilot:
        began = process_time()
        pane.show_corpus(corpus())
        for start in range(0, len(many), 1000):
            pane.add_files(FilesAre(many[start : start + 1000], start + 1000 >= len(many)))
        pane.focus()
        await pilot.press("e")
        assert len(names(pilot)) == 20_000 + 400 + 40 + 1
        assert process_time() - began < 2


@pytest.mark.parametrize("size", [(32, 24), (80, 24)])
async def test_picture(run_widget, picture, size: tuple[int, int]) -> None:
    pane = CorpusPane()
    async with run_widget(pane, size) as pilot:
        show(pane, *KERNEL, excluded=("docs/old/",))
        pane.show_cached(frozenset({"src/engine/prefill.py", "docs/reference.md", "docs/guide.md"}))
        pane.focus()
        await pilot.press("e", "down", "m", "down")
        picture(pilot)


async def test_picture_of_reading(run_widget, picture) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (32, 16)) as pilot:
        pane.show_reading(
            ReadingFiles(doing="reading", done=1204, total=20_000, path="src/engine/a.py", tokens=812_000)
        )
        await pilot.pause()
        picture(pilot)


async def test_picture_of_a_filter(run_widget, picture) -> None:
    pane = CorpusPane()
    async with run_widget(pane, (48, 24)) as pilot:
        show(pane)
        pane.focus()
        await pilot.press("slash", *"pre")
        await pilot.pause()
        picture(pilot)


def test_every_key_has_an_id_and_an_action_of_its_own() -> None:
    for bindings in (CorpusRows.BINDINGS, Rows.BINDINGS, FilterInput.BINDINGS):
        assert all(each.id for each in bindings)
        assert len({each.id for each in bindings}) == len({each.action for each in bindings}) == len(bindings)
