"""`longctx summarize`: what it writes, that a run which was stopped goes on, and what it says of what failed."""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import markdown_it
import pytest

from longctx import cli
from longctx.engines.base import Identity
from longctx.engines.scripted import ScriptedEngine
from longctx.journal import Journal

MakeTree = Callable[[dict[str, str | bytes]], Path]

FILES: dict[str, str | bytes] = {
    "docs/tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres in March.\n",
    "docs/risks.md": "# Risks\n\nThe greatest risk at the mole is a storm surge at spring tide.\n",
    "light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high above the sea.\n",
}
MOLES: dict[str, str | bytes] = {
    f"{n:02}.md": f"# Mole {n}\n\n" + f"The tide at mole {n} reaches {n} metres in spring. " * 40 for n in range(30)
}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["longctx", "summarize", *map(str, words)])
        try:
            code = int(cli.main())
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Done(code, said.out, said.err)

    return run_


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """The options for an engine that says this."""

    def write(text: str) -> tuple[str, ...]:
        path = tmp_path / "script.toml"
        path.write_text(text)
        return "-e", "scripted", "-m", str(path)

    return write


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts that differ count as one engine, which fails and then does not."""
    monkeypatch.setattr(ScriptedEngine, "identity", lambda self: Identity(kind="scripted", model="one"))


def kept(home: Path) -> list[Path]:
    return sorted((home / "longctx" / "state" / "summaries").glob("*"))


# --- what is written ------------------------------------------------------------------------------------------------


def test_without_a_model_it_quotes_and_says_so(make_tree: MakeTree, run: Run) -> None:
    done = run(make_tree(FILES))
    assert done.code == 0 and "The spring tide at the north mole reaches seven metres in March. [^" in done.out
    assert re.search(r"\[\^\d\]: docs/tides\.md:3 \(verified\)", done.out)
    assert "no model wrote this summary" in done.err
    assert done.out.startswith("*No model wrote this: it is made of quotations, chosen by their words and places.*\n\n")
    each = run(make_tree(FILES), "--per-document", "-q").out
    assert each.startswith("*No model wrote this") and each.count("No model wrote this") == 1


def test_a_folder_and_a_file_of_what_is_read(make_tree: MakeTree, run: Run) -> None:
    done = run(make_tree(FILES), "--folder", "docs/risks.md", "--folder", "light.md", "--json")
    answer = json.loads(done.out)
    assert {citation["path"] for citation in answer["citations"]} == {"docs/risks.md", "light.md"}
    assert answer["question"] == "Summary of docs/risks.md and light.md (medium, bullets)"


def test_sections_have_what_is_found_for_them_and_say_where_nothing_is(make_tree: MakeTree, run: Run) -> None:
    out = run(make_tree(FILES), "--sections", "risks, height of the lighthouse ,crabs", "-q").out
    sections = dict(re.findall(r"### (.+)\n\n((?:.+\n)+)", out))
    assert list(sections) == ["risks", "height of the lighthouse", "crabs"]
    assert "storm surge" in sections["risks"] and "38 metres" in sections["height of the lighthouse"]
    assert sections["crabs"] == "Nothing was found for it.\n"


def test_a_focus_comes_first_and_says_where_nothing_bears_on_it(make_tree: MakeTree, run: Run) -> None:
    tree = make_tree(FILES)
    found = run(tree, "--focus", "what is the risk of a surge?")
    assert "\n\n### what is the risk of a surge?\n\n- `docs/risks.md`: The greatest risk" in found.out
    assert "Nothing in it bears" in run(tree, "--focus", "xylophones zithers").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--sections", " , "), "names none"),
        (("--focus", "  "), "is empty"),
        (("--sections", ",".join(map(str, range(40)))), "at most 30"),
        (("--focus", "x" * 3000), "more than 2,000"),
        (("--folder", "doc"), "doc is not in this corpus"),
        (("--length", "huge"), "huge"),
    ],
)
def test_what_can_not_be_understood_is_refused(
    make_tree: MakeTree, run: Run, words: tuple[str, ...], says: str
) -> None:
    done = run(make_tree(FILES), *words)
    assert done.code == 2 and says in done.err and done.out == "" and "Value error" not in done.err


SCRIPT = """
[[answer]]
match = "Write a summary"
text = 'Tides rise [{id:docs/tides.md}: "spring tide at the north mole reaches seven metres"]. They fall.'
"""


def test_a_model_is_followed_as_it_writes_and_the_summary_is_a_turn(
    make_tree: MakeTree, run: Run, scripted: Callable[..., tuple[str, ...]]
) -> None:
    done = run(make_tree(FILES), *scripted(SCRIPT))
    assert done.out == "Tides rise [^1]. They fall.\n\n[^1]: docs/tides.md:3 (verified)\n"
    assert re.search(r"session \w+: longctx ask -c", done.err) and "1 of 2 sentences cited" in done.err


def test_events_as_lines(make_tree: MakeTree, run: Run, scripted: Callable[..., tuple[str, ...]]) -> None:
    rows = [json.loads(line) for line in run(make_tree(FILES), "--jsonl", *scripted(SCRIPT)).out.splitlines()]
    assert [row["event"] for row in rows if row["event"] in ("corpus", "plan", "citation", "result")] == [
        "corpus",
        "plan",
        "citation",
        "result",
    ]
    assert rows[-1]["calls"] == 1


def test_it_goes_to_a_file(make_tree: MakeTree, run: Run, tmp_path: Path) -> None:
    done = run(make_tree(FILES), "-o", tmp_path / "s.md")
    assert done.out == "" and "[^1]: " in (tmp_path / "s.md").read_text()


# --- in several calls -----------------------------------------------------------------------------------------------

STEPS = """
context = 8192
[[answer]]
match = "Write notes"
text = 'It tells of a tide [{id:00.md}: "The tide at mole 0 reaches 0 metres in spring"].'
"""
WHOLE = """
[[answer]]
match = "Write a summary"
text = 'Tides rise [d1: "The tide at mole 0 reaches 0 metres in spring"].'
"""


@pytest.mark.usefixtures("mended")
def test_what_was_finished_before_it_stopped_is_not_asked_again(
    make_tree: MakeTree, run: Run, home: Path, scripted: Callable[..., tuple[str, ...]]
) -> None:
    tree = make_tree(MOLES)
    failed = run(tree, *scripted(STEPS + WHOLE + 'fail = "the server died"\n'))
    said = re.search(r"(\d) calls: (\d) of documents, 1 of the whole", failed.err)
    assert said and failed.code == 5 and len(kept(home)) == 1
    again = run(tree, *scripted(STEPS.replace("Write notes", "no such order") + WHOLE))
    assert again.code == 0 and f"{said[2]} of {said[1]} calls were done before" in again.err
    assert again.out == "Tides rise [^1].\n\n[^1]: 00.md:3 (verified)\n"
    assert kept(home) == []


def test_another_summary_has_steps_of_its_own(
    make_tree: MakeTree, run: Run, home: Path, scripted: Callable[..., tuple[str, ...]]
) -> None:
    tree, engine = make_tree(MOLES), scripted(STEPS + WHOLE + 'fail = "the server died"\n')
    run(tree, *engine)
    run(tree, *engine, "--length", "long")
    assert len(kept(home)) == 2
    for each in kept(home):
        os.utime(each, (time.time() - 40 * 24 * 3600,) * 2)
    run(tree, *engine, "--length", "short")
    assert len(kept(home)) == 1


def test_steps_are_told_as_lines(make_tree: MakeTree, run: Run, scripted: Callable[..., tuple[str, ...]]) -> None:
    rows = [json.loads(line) for line in run(make_tree(MOLES), "--jsonl", *scripted(STEPS + WHOLE)).out.splitlines()]
    steps = [row for row in rows if row["event"] == "step"]
    assert [row["done"] for row in steps] == list(range(steps[0]["total"])) and rows[-1]["calls"] == len(steps)
    assert "does not fit in one pass" in next(row["message"] for row in rows if row["event"] == "warning")


# --- one for each document ------------------------------------------------------------------------------------------


def test_each_document_has_its_summary_and_numbers_of_its_own(make_tree: MakeTree, run: Run) -> None:
    out = run(make_tree(FILES), "--per-document", "-q").out
    assert re.findall(r"^## (.+)$", out, re.MULTILINE) == ["docs/risks.md", "docs/tides.md", "light.md"]
    numbers = re.findall(r"^\[\^(\d+)\]: ", out, re.MULTILINE)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)] and len(numbers) >= 3
    assert all(out.count(f"[^{n}]") == 2 for n in numbers)


EACH = """
[[answer]]
match = "light.md"
text = 'A light [{id:light.md}: "The lighthouse on Gannet Rock stands 38 metres high"].'
%s
[[answer]]
match = "tides.md"
text = 'Tides rise [{id:docs/tides.md}: "spring tide at the north mole reaches seven metres"].'
[[answer]]
match = "risks.md"
text = 'A surge [{id:docs/risks.md}: "The greatest risk at the mole is a storm surge"].'
"""


@pytest.mark.usefixtures("mended")
def test_a_document_that_fails_costs_no_other_and_alone_is_asked_again(
    make_tree: MakeTree, run: Run, home: Path, scripted: Callable[..., tuple[str, ...]]
) -> None:
    tree = make_tree(FILES)
    done = run(
        tree, "--per-document", *scripted(EACH.replace("text = 'A light", "fail = 'died'\ntext = 'A light") % "")
    )
    assert done.code == 7 and "1 document failed: light.md" in done.err
    assert "## light.md\n\nNot summarised: " in done.out
    assert "## docs/tides.md\n\nTides rise [^2]." in done.out and "## docs/risks.md\n\nA surge [^1]." in done.out
    script = EACH.replace("text = 'A light", "fail = 'died'\ntext = 'A light") % ""
    written = home / "papers.md"
    assert run(tree, "--per-document", *scripted(script), "-o", written).code == 7
    assert "Tides rise [^2]." in written.read_text() and "## light.md\n\nNot summarised: " in written.read_text()
    only = EACH.split("[[answer]]")[1] % ""
    again = run(tree, "--per-document", "--json", *scripted(f"[[answer]]{only}"))
    assert again.code == 0
    rows = [json.loads(line) for line in again.out.splitlines()]
    assert [row["question_id"] for row in rows] == ["docs/risks.md", "docs/tides.md", "light.md"]
    assert all(row["citations"][0]["status"] == "verified" for row in rows) and kept(home) == []


def test_names_of_documents_are_headings_that_mean_themselves(make_tree: MakeTree, run: Run, tmp_path: Path) -> None:
    tree = make_tree({"a[^1]<b>.md": FILES["light.md"], "b\x1b[31m.md": FILES["docs/tides.md"]})
    run(tree, "--per-document", "-q", "-o", tmp_path / "s.md")
    text = (tmp_path / "s.md").read_text()
    assert "\x1b" not in text and "## a\\[^1]" in text.replace("\\]", "]")
    out = run(tree, "--per-document", "-q").out
    assert "\x1b" not in out and "## a[^1]<b>.md\n" in out


def test_what_can_not_be_kept_is_shown_and_said_once(
    make_tree: MakeTree, run: Run, monkeypatch: pytest.MonkeyPatch, scripted: Callable[..., tuple[str, ...]]
) -> None:
    def full(self: Journal, record: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    done = run(make_tree(FILES), "--per-document", *scripted(EACH % ""))
    assert done.code == 0 and done.out.count("\n## ") + done.out.startswith("## ") == 3
    assert done.err.count("can't be kept for a later run: No space left on device") == 1


def test_a_second_run_of_the_same_ends_before_it_asks(
    make_tree: MakeTree, run: Run, home: Path, scripted: Callable[..., tuple[str, ...]], mended: None
) -> None:
    tree = make_tree(FILES)
    run(tree, "--per-document", *scripted(EACH.replace("text = 'A surge", "fail = 'died'\ntext = 'A surge") % ""))
    (path,) = kept(home)
    with Journal(path):
        done = run(tree, "--per-document", *scripted("[[answer]]\nfail = 'asked'\n"))
    assert done.code == 1 and "another longctx is writing it" in done.err and "asked" not in done.err


def test_what_is_written_to_a_file_means_itself(
    make_tree: MakeTree, run: Run, tmp_path: Path, scripted: Callable[..., tuple[str, ...]]
) -> None:
    tree = make_tree({"b <img src=x> ![y](http:e).md": "The <b>light</b> on ![Gannet](http:x) stands high.\n"})
    said = """[[answer]]
text = 'A light ![p](http://x/y.png) <img src=x> [d1: "The <b>light</b> on ![Gannet](http:x) stands"].'
"""
    for words in ((), ("--per-document",), scripted(said), (*scripted(said), "--per-document")):
        run(tree, "--show-quotes", "-o", tmp_path / "s.md", *words)
        text = (tmp_path / "s.md").read_text()
        assert text.count("[^1]") == 2, text
        html = markdown_it.MarkdownIt("commonmark").render(text)
        assert "<img" not in html and "<b>" not in html and "<a " not in html, text


ODD = ("__init__.py", "[x].md", "a@b.md", "pkg@1.2.3/a_b.md", "x  y.md", "`z`.md")
NOTES = 'def f(a):\n    """Says $5 at www.x.org, `[^7]` and <b>, once."""\n\n\treturn a ```\n'


def said_of(names: tuple[str, ...]) -> str:
    cites = " ".join(f'Told [{{id:{name}}}: "{NOTES.strip()}"].' for name in names)
    return f"[[answer]]\ntext = {json.dumps(cites)}\n"


@pytest.mark.parametrize("more", [(), ("--per-document",)])
def test_behind_a_pipe_names_and_quotes_are_as_they_are(
    make_tree: MakeTree, run: Run, scripted: Callable[..., tuple[str, ...]], more: tuple[str, ...]
) -> None:
    tree = make_tree({name: f"{NOTES}\n# {n}\n" for n, name in enumerate(ODD)})
    names = (ODD[0],) if more else ODD
    out = run(tree, "--show-quotes", "--folder", ODD[0], *scripted(said_of(names)), *more).out
    for name in names:
        assert re.search(rf"^\[\^\d\]: {re.escape(name)}:1-4 \(verified\)$", out, re.MULTILINE), out
    assert "".join(f"    > {line}\n" for line in NOTES.splitlines()) in out
    assert f"## {ODD[0]}\n" in out or not more


@pytest.mark.parametrize("more", [(), ("--per-document",)])
def test_in_a_file_names_and_quotes_are_code(
    make_tree: MakeTree,
    run: Run,
    tmp_path: Path,
    scripted: Callable[..., tuple[str, ...]],
    more: tuple[str, ...],
) -> None:
    tree = make_tree({name: f"{NOTES}\n# {n}\n" for n, name in enumerate(ODD)})
    names = (ODD[0],) if more else ODD
    said = scripted(said_of(names))
    run(tree, "--show-quotes", "--folder", ODD[0], *said, *more, "-o", tmp_path / "s.md")
    text = (tmp_path / "s.md").read_text()
    places = [f"{name}:1-4" for name in names]
    assert re.findall(r"^\[\^\d\]: (`+) ?(.+?) ?\1 \(verified\)\.$", text, re.MULTILINE) == [
        ("``" if "`" in place else "`", place) for place in places
    ]
    block = "".join(f"    {line}".rstrip() + "\n" for line in ("````", *NOTES.splitlines(), "````"))
    assert text.count(f"\n\n{block}") == len(names), text
    html = markdown_it.MarkdownIt("commonmark").render(text)
    assert "<b>" not in html and "<a " not in html, text


def test_marks_in_a_pipe_are_numbered_through_and_the_rest_is_as_it_came(make_tree: MakeTree, run: Run) -> None:
    tree = make_tree({f"{n}.md": f"See `re[^1]` at http://x.org/{n} for $5 every day.\n" for n in range(2)})
    out = run(tree, "--per-document", "-q").out
    assert all(f"See `re[^1]` at http://x.org/{n} for $5 every day. [^{n + 1}]\n" in out for n in range(2)), out


@pytest.mark.parametrize("to_file", [False, True])
def test_a_document_whose_engine_dies_has_one_heading_the_reason_and_the_rest_as_cut_off(
    make_tree: MakeTree, run: Run, tmp_path: Path, scripted: Callable[..., tuple[str, ...]], to_file: bool
) -> None:
    script = EACH.replace("text = 'A surge", "fail = 'died'\ntext = 'A surge") % ""
    done = run(make_tree(FILES), "--per-document", *scripted(script), *(("-o", tmp_path / "s.md") if to_file else ()))
    text = (tmp_path / "s.md").read_text() if to_file else done.out
    assert done.code == 7 and text.count("## docs/risks.md") == 1
    part = text[text.index("## docs/risks.md") : text.index("## docs/tides.md")]
    assert re.match(
        r"## docs/risks\.md\n\nNot summarised: [^\n]*died[^\n]*\n\n"
        r"What there is of it, cut off:\n\nA surge \[\^1\]\.\n\n\[\^1\]: ",
        part,
    ), part
    assert "Tides rise [^2]." in text and "\n[^2]: " in text


@pytest.mark.parametrize("origin", ["flag", "environment", "nowhere"])
def test_the_longest_answer_that_somebody_chose_is_a_summary_s_too(
    make_tree: MakeTree,
    run: Run,
    scripted: Callable[..., tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    origin: str,
) -> None:
    if origin == "environment":
        monkeypatch.setenv("LONGCTX_MAX_TOKENS", "7")
    words = ("--max-tokens", 7) if origin == "flag" else ()
    said = scripted(f"[[answer]]\ntext = {json.dumps('tide ' * 5000)}\n")
    answer = json.loads(run(make_tree(FILES), *said, *words, "--json").out)
    most = 1536 if origin == "nowhere" else 7
    assert answer["ending"] == "length" and f"cut at {most:,} tokens; --max-tokens allows more" in answer["notice"]
    assert answer["tokens"]["output"] <= most


def test_many_documents_take_as_long_as_they_are_many(make_tree: MakeTree, run: Run) -> None:
    def seconds(count: int) -> float:
        tree = make_tree({f"{count}/{n:03}.md": f"The tide at mole {n} is high in spring.\n" for n in range(count)})
        run("--per-document", "-q", tree / f"{count}")
        begun = time.process_time()
        run("--per-document", "-q", tree / f"{count}", "--sections", "tides")
        return time.process_time() - begun

    few = seconds(60)
    assert seconds(480) < 14 * few
