"""Summaries: what is in their scope, without a model in quotations that were checked, with one as an answer is."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.document import Document, Kind
from longctx.analysis import Asking
from longctx.answer import Answer, Mode
from longctx.citations import CitationStatus
from longctx.corpus import Corpus
from longctx.dialogue import Dialogue
from longctx.digest_sections import bears
from longctx.digesting import Read, digested, groups, items_of, worth_reading
from longctx.engines.base import Engine, EngineEvent, Identity, Limits, Prompt, Sampling
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import DoesNotFit, UsageError
from longctx.events import Answered, AnswerEvent, Notice, Planned
from longctx.history import History
from longctx.manifest import Entry
from longctx.query import Query
from longctx.standing import is_aside
from longctx.summarising import described, nearest, summarise, within
from longctx.summary_form import Length, Scope, Style, Summary

MakeTree = Callable[[dict[str, str | bytes]], Path]
OpenCorpus = Callable[..., Corpus]

PROJECT: dict[str, str | bytes] = {
    "README.md": "# Tidewatch\n\n![badge](http://x/y.svg)\n\nTidewatch logs tide gauges and warns of storm surges.\n",
    "pyproject.toml": '[project]\ndescription = "Logs tide gauges and predicts tides."\n'
    '[project.scripts]\nt = "tide.cli:main"\n',
    "docs/protocol.md": "# Protocol\n\nA gauge sends one sentence of text every six seconds over a serial line.\n",
    "docs/operations.md": "# Operations\n\nThe logger is a computer in the cellar of the harbour office at Saltmere.\n",
    "tide/__init__.py": '"""Logs tide gauges and predicts tides."""\n',
    "tide/cli.py": '"""The command line of tidewatch."""\n\nfrom tide.filters import median\n\n\n'
    "def main() -> None:\n    median([])\n",
    "tide/filters.py": (
        '"""Cleaning a series of levels: spikes, medians and gaps."""\n\n\n'
        "def median(levels: list[int]) -> int:\n"
        '    """The middle of an odd number of levels."""\n    return sorted(levels)[len(levels) // 2]\n'
    ),
    "tide/hidden.py": "x = 1\n",
    "tests/test_filters.py": '"""Tests of filters."""\n\n\ndef test_median() -> None:\n    assert True\n',
    "data.csv": "station,level\nmole,712\n",
}


@pytest.fixture
def project(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    return open_corpus(make_tree(PROJECT))


def answer_of(events: Iterator[AnswerEvent]) -> Answer:
    *_, last = events
    assert isinstance(last, Answered)
    return last.answer


def quoted(corpus: Corpus, *paths: str, length: Length = Length.MEDIUM, style: Style = Style.BULLETS) -> Answer:
    return answer_of(summarise(corpus, None, Asking(), Summary(scope=Scope(paths), length=length, style=style)))


def short(*paths: str, style: Style = Style.BULLETS) -> Summary:
    return Summary(scope=Scope(paths), length=Length.SHORT, style=style)


# --- scope ----------------------------------------------------------------------------------------------------------


def test_a_title_says_what_of_and_how() -> None:
    assert Summary(scope=Scope(("docs/",))).title == "Summary of docs/ (medium, bullets)"
    assert Scope().label == "the whole corpus"
    assert Scope(("a", "b", "c")).label == "a, b and c"
    assert Scope(("a", "b", "c", "d", "e")).label == "a, b, c and 2 more"
    assert Scope(("\x1b[31m\n",)).label == r"\x1b[31m\n"


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (("docs/",), {"docs/protocol.md", "docs/operations.md"}),
        (("docs",), {"docs/protocol.md", "docs/operations.md"}),
        (("./docs/",), {"docs/protocol.md", "docs/operations.md"}),
        (("tide/cli.py", "README.md"), {"tide/cli.py", "README.md"}),
        (("tide/cli.py", "docs/"), {"tide/cli.py", "docs/protocol.md", "docs/operations.md"}),
        ((), PROJECT.keys()),
        (("./",), PROJECT.keys()),
        (("/",), PROJECT.keys()),
        (("docs/", ""), PROJECT.keys()),
    ],
)
def test_a_scope_is_files_and_folders(project: Corpus, paths: tuple[str, ...], found: set[str]) -> None:
    assert {entry.path for entry in within(project, Scope(paths))} == found


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("docs/protocl.md", "docs/protocol.md"),
        ("cli.py", "tide/cli.py"),
        ("doc/", "docs/"),
        ("TIDE/FILTERS.PY", "tide/filters.py"),
    ],
)
def test_an_unknown_path_is_refused_with_the_nearest_names(project: Corpus, path: str, near: str) -> None:
    with pytest.raises(UsageError, match="not in this corpus") as raised:
        within(project, Scope((path,)))
    assert near in raised.value.hint


@pytest.mark.parametrize("path", ["[/red]", "\udcff", "x" * 10_000, "\x1b[31m", "../x"])
def test_odd_paths_are_refused_safely(project: Corpus, path: str) -> None:
    with pytest.raises(UsageError) as raised:
        within(project, Scope((path,)))
    assert str(raised.value).isprintable()


def test_a_file_that_was_left_out_says_why(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    corpus = open_corpus(
        make_tree({"a.md": "Tides rise at the mole.\n", "pictures/b.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 99})
    )
    for path in ("pictures/b.png", "pictures/"):
        with pytest.raises(UsageError, match="no text") as raised:
            within(corpus, Scope((path,)))
        assert "pictures/b.png" in raised.value.hint


def test_a_duplicate_is_found_under_each_of_its_names(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    corpus = open_corpus(make_tree({"a/x.md": "Tides rise at the mole.\n", "b/y.md": "Tides rise at the mole.\n"}))
    assert len(within(corpus, Scope(("b/",)))) == 1


def test_the_nearest_names_are_few_and_in_order() -> None:
    assert nearest("a/util.py", {"x/util.py", "y/util.py", "z/other.py"}) == ["x/util.py", "y/util.py"]
    assert nearest("nothing", set()) == []


# --- without a model ------------------------------------------------------------------------------------------------


def test_a_project_is_told_by_what_it_is_where_it_begins_and_its_modules(project: Corpus) -> None:
    answer = quoted(project)
    said = answer.answer_markdown
    assert answer.found and answer.question == "Summary of the whole corpus (medium, bullets)"
    assert "Logs tide gauges and predicts tides. [^1]" in said and "warns of storm surges. [^2]" in said
    assert '`t = "tide.cli:main"` [^3]' in said
    assert "- `filters.py`: Cleaning a series of levels: spikes, medians and gaps." in said
    assert "one sentence of text every six seconds" in said
    assert said.count("Logs tide gauges and predicts tides.") == 1  # the package says it again
    assert "no model wrote this" in answer.notice and "of 10 documents" in answer.notice


def test_what_is_aside_does_not_say_what_a_project_is(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    aside = {
        "test-examples/README.md": "# Tests\n\nBy default, this folder has tests for all rules of the parser.\n",
        "release/README.md": "# Release\n\nChange the version of the release branch in the file of the version.\n",
        "tide/empty/__init__.py": "# isort:skip_file\nfrom tide import cli\n",
        "tide/series/__init__.py": '"""Series module."""\n',
        "grammar.lark": "level_of_tide: NUMBER_SIGN unit_of_length NUMBER_OF_GAUGE\n" * 9,
    }
    said = quoted(open_corpus(make_tree({**PROJECT, **aside}))).answer_markdown
    assert "Tidewatch logs tide gauges" in said
    for each in ("By default", "release branch", "isort", "Series module", "NUMBER"):
        assert each not in said


def test_without_a_readme_of_its_own_no_other_one_speaks_for_it(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    files = {name: text for name, text in PROJECT.items() if name != "README.md"}
    files["tests/fixtures/README.md"] = "# Fixtures\n\nThis directory contains the answers of gauges that are known.\n"
    assert "answers of gauges" not in quoted(open_corpus(make_tree(files))).answer_markdown


@pytest.mark.parametrize(
    ("path", "aside"),
    [
        ("test-examples/README.txt", True),
        ("a/unit_tests/x.py", True),
        ("sample_corpora/README.md", True),
        ("latest/x.py", False),
        ("contest/x.md", False),
        ("docs/testing.md", False),
        ("src/specials/x.py", False),
    ],
)
def test_tests_and_examples_are_aside(path: str, aside: bool) -> None:
    assert is_aside(path) is aside


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("length", Length)
def test_each_item_has_a_citation_that_was_verified(project: Corpus, style: Style, length: Length) -> None:
    answer = quoted(project, style=style, length=length)
    assert {citation.status for citation in answer.citations} == {CitationStatus.VERIFIED}
    numbers = [citation.n for citation in answer.citations]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(answer.answer_markdown.count(f"[^{n}]") == 1 for n in numbers)
    assert len(numbers) <= length.statements


def test_a_longer_summary_has_more_items(project: Corpus) -> None:
    short, medium, long = (len(quoted(project, length=length).citations) for length in Length)
    assert short == 5 and short < medium <= long


def test_a_file_of_code_is_told_by_its_purpose_and_what_it_defines(project: Corpus) -> None:
    said = quoted(project, "tide/filters.py").answer_markdown
    assert "Cleaning a series" in said and "`median`: The middle of an odd number of levels." in said


def test_a_summary_of_a_folder_quotes_nothing_else(project: Corpus) -> None:
    assert {citation.path.split("/")[0] for citation in quoted(project, "docs/").citations} == {"docs"}


def test_a_table_is_told_by_its_columns(project: Corpus) -> None:
    assert "`station,level`" in quoted(project, "data.csv").answer_markdown


def test_of_many_documents_as_many_are_quoted_as_there_are_items(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    files: dict[str, str | bytes] = {
        f"{n % 4}/{n}.md": f"# Mole {n}\n\nThe spring tide at mole number {n} reaches {n} metres in March.\n"
        for n in range(40)
    }
    answer = quoted(open_corpus(make_tree(files)), length=Length.SHORT)
    assert len({citation.path for citation in answer.citations}) == 5
    assert len({citation.path.split("/")[0] for citation in answer.citations}) == 4
    assert "5 of 40 documents" in answer.notice


HOSTILE = {
    "a[^1].md": "The tide at the mole is [/red] very high [^9] in March and [in](javascript:x) April.\n",
    "b.md": "The \x1b[31mtide\u202e of <script>alert(1)</script> March is as high as that of April.\n",
    "c.py": '"""Draws the tides of [^7] March and of April."""\n',
}


@pytest.mark.parametrize("style", Style)
def test_no_document_can_set_a_mark_or_a_link(make_tree: MakeTree, open_corpus: OpenCorpus, style: Style) -> None:
    answer = quoted(open_corpus(make_tree(dict(HOSTILE))), style=style)
    assert len(answer.citations) == 3
    assert "](" not in answer.answer_markdown and "<script" not in answer.answer_markdown.replace("\\<", "")
    assert all(f"\\[^{n}\\]" in answer.answer_markdown for n in (7, 9))


def test_texts_without_a_sentence_are_told_by_their_first_line(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    answer = quoted(open_corpus(make_tree({"a.txt": "\n\nmole 7 metres\n", "b.txt": "x\n"})))
    assert "mole 7 metres" in answer.answer_markdown


def test_equal_corpora_have_equal_summaries(project: Corpus) -> None:
    assert quoted(project, length=Length.LONG).answer_markdown == quoted(project, length=Length.LONG).answer_markdown


def test_what_is_looked_at_is_bounded_and_begins_with_what_tells_most() -> None:
    entries = {Entry(n, f"src/m{n}.py", f"{n:064}", "plain-1", 1000): f"src/m{n}.py" for n in range(2000)}
    readme = Entry(2000, "README.md", "f" * 64, "plain-1", 100)
    looked_at = worth_reading(entries | {readme: "README.md"})
    assert len(looked_at) == 600 and looked_at[0] == readme
    huge = Entry(1, "big.txt", "e" * 64, "plain-1", 10_000_000)
    assert worth_reading({huge: "big.txt"}) == [huge]


def test_a_digest_is_passages_for_a_model_too(project: Corpus) -> None:
    digest = digested(project, within(project, Scope()), Summary())
    assert all(0 <= excerpt.score <= 1 for excerpt in digest.excerpts)
    assert [e.score for e in digest.excerpts] == sorted((e.score for e in digest.excerpts), reverse=True)


# --- under headings, and for a question ------------------------------------------------------------------------------


def asked_for(corpus: Corpus, **order: object) -> dict[str, list[str]]:
    """The paths that are quoted under each heading."""
    answer = answer_of(summarise(corpus, None, Asking(), Summary(**order)))  # type: ignore[arg-type]
    at = {str(citation.n): citation.path for citation in answer.citations}
    parts = re.split(r"^### (.+)$", answer.answer_markdown, flags=re.MULTILINE)
    return {
        heading: [at[n] for n in re.findall(r"\[\^(\d+)\]", text.split("\n\n**")[0])]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.fixture
def manuals(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    drawn = ("sentences", "families", "words", "proofs", "choices", "roots")
    files: dict[str, str | bytes] = {
        f"a{n}.txt": f"This manual of the package number {n} tells who reads it how long it was made. "
        f"In all of that it also draws trees of {each}, as every other manual says too, with labels in them. " * 9
        for n, each in enumerate(drawn)
    }
    files["a0.txt"] = "".join(f"The package draws trees of {each}. It draws trees. " for each in drawn)
    files["code.txt"] = r"\draws{trees}[x=1] \draws{trees}[y=2] \node{draws}[trees=3];" + "\n"
    files["last.txt"] = "The tide at the mole is high, and the mole was changed last year.\n"
    return open_corpus(make_tree(files))


@pytest.mark.parametrize(
    "order",
    [{"sections": ("draws trees", "tides")}, {"focus": "draws trees"}, {"sections": ("trees",), "focus": "draws"}],
)
def test_each_document_is_quoted_before_one_is_quoted_twice_and_code_comes_last(
    manuals: Corpus, order: dict[str, object]
) -> None:
    first = next(iter(asked_for(manuals, **order).values()))
    assert len(first) >= 6 and len(set(first[:6])) == 6 and "code.txt" not in first[:6]


def test_a_question_of_which_too_little_is_said_is_answered_by_nothing(manuals: Corpus) -> None:
    question = "who may terminate the licence, and when was it last signed?"
    assert asked_for(manuals, focus=question) == {question: []}
    answer = answer_of(summarise(manuals, None, Asking(), Summary(focus=question)))
    assert "Nothing was found for it." in answer.answer_markdown and answer.citations


@pytest.mark.parametrize(
    ("focus", "best"),
    [("Which packages draw trees?", "forest.md"), ("Which packages draw trees of Zirbelwald?", "forest.md")],
)
def test_what_stands_behind_the_best_answer_holds_the_rarest_word_of_a_question(
    make_tree: MakeTree, open_corpus: OpenCorpus, focus: str, best: str
) -> None:
    files: dict[str, str | bytes] = {
        f"p{n}.md": f"# Package {n}\n\nThe packages of kind {n} draw ornaments of all sorts and many colours.\n"
        for n in range(9)
    }
    files["forest.md"] = "# Forest\n\nThe packages of this kind draw trees with labels and with many colours.\n"
    corpus = open_corpus(make_tree(files))
    answer = answer_of(summarise(corpus, None, Asking(), Summary(focus=focus)))
    assert {citation.path for citation in answer.citations} == {best}, answer.answer_markdown


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("A warning came.", True),
        ("Warnings come.", True),
        ("Reports of a surge.", True),
        ("The surge came.", False),
        ("Reports of a storm.", False),
        ("", False),
    ],
)
def test_what_bears_on_a_question_holds_its_rarest_word_or_most_of_it(text: str, does: bool) -> None:
    terms = ("report", 2.4), ("surg", 2.5), ("warning", 3.0)
    assert bears(Query("", terms, expression="", absent=0.0, wants_code=False), text) is does


def test_twins_that_say_the_same_are_quoted_once(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    twins = "".join(
        f'{begin} {name}(station):\n    """{said}"""\n    return {n}\n\n\n'
        for n, (name, said) in enumerate([("send", "Sends the tide of a station."), ("draw", "Draws the tide.")])
        for begin in ("def", "async def")
    )
    tree = make_tree({"tide/wire.py": twins, "tide/other.py": '"""Knows nothing of this."""\n'})
    corpus = open_corpus(tree)
    for order in (
        Summary(length=Length.LONG),
        Summary(scope=Scope(("tide/wire.py",)), length=Length.LONG),
        Summary(sections=("sends the tide", "station")),
        Summary(focus="what sends the tide of a station?"),
    ):
        said = answer_of(summarise(corpus, None, Asking(), order)).answer_markdown
        assert said.count("Sends the tide of a station.") == 1, said


def test_a_folder_of_a_large_corpus_is_searched_alone(make_tree: MakeTree, open_corpus: OpenCorpus) -> None:
    files: dict[str, str | bytes] = {
        f"big/{n}.md": "".join(f"# {m}\n\nThe surge {m} of the tide was a surge.\n\n" for m in range(60))
        for n in range(45)
    }
    files["small/a.md"] = (
        "# Notes\n\n" + "The crab moults. " * 80 + "Once there was a long winter with a surge in it too.\n"
    )
    corpus = open_corpus(make_tree(files))
    assert asked_for(corpus, scope=Scope(("small/",)), sections=("surge",)) == {"surge": ["small/a.md"]}


def test_where_there_is_no_text_it_says_so(project: Corpus) -> None:
    with pytest.raises(UsageError, match="no text to summarise"):
        list(summarise(project, None, Asking(), Summary(), entries=[]))


# --- with a model ---------------------------------------------------------------------------------------------------

SCRIPT = """
[[answer]]
match = "Write a summary"
text = 'It logs tides [{id:README.md}: "Tidewatch logs tide gauges and warns of storm surges."].'
cut = 4

[[answer]]
match = "office"
text = 'At Saltmere [{id:docs/operations.md}: "in the cellar of the harbour office at Saltmere"].'
"""


class Recorder:
    """The engine behind it, with every prompt and sampling that it was given, and a limit of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.limit: int | None = None
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        return self._engine.generate(prompt, sampling)

    def limits(self) -> Limits:
        return self._engine.limits() if self.limit is None else Limits(context_tokens=self.limit)

    def identity(self) -> Identity:
        return self._engine.identity()

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Recorder]:
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    with open_engine("scripted", EngineSetup(logs=tmp_path, model=str(script))) as opened:
        yield Recorder(opened)


def text_of(corpus: Corpus, prompt: Prompt) -> str:
    return corpus.tokenizer.decode([token for token in prompt.ids if token < 200_000])


def test_a_model_is_ordered_a_summary_of_the_same_prompt_as_a_question(project: Corpus, engine: Recorder) -> None:
    dialogue = Dialogue(project, engine, Asking())
    answer = answer_of(dialogue.summarise(Summary(length=Length.LONG, style=Style.PROSE)))
    answer_of(dialogue.ask("where is the office?"))
    assert answer.question == "Summary of the whole corpus (long, prose)"
    assert answer.answer_markdown == "It logs tides [^1]." and answer.citations[0].status is CitationStatus.VERIFIED
    summary, question = engine.prompts
    assert question.ids[: len(summary.ids)] == summary.ids  # the question goes on from it
    sent = text_of(project, summary)
    assert "Write a summary of the documents above. Say" in sent
    assert "about 30 statements, as paragraphs" in sent
    assert engine.samplings[0].max_tokens == Length.LONG.tokens and engine.samplings[1].max_tokens == 1024


def test_a_scope_is_named_to_the_model_by_names_and_ids(project: Corpus, engine: Recorder) -> None:
    answer_of(summarise(project, engine, Asking(), short("docs/", style=Style.OUTLINE)))
    ids = [entry.document_id for entry in within(project, Scope(("docs/",)))]
    sent = text_of(project, engine.prompts[0])
    assert f"these documents: docs/ ({ids[0]}-{ids[-1]}). Use no other document." in sent
    assert described(project, Scope(), within(project, Scope())) == ""


def test_ids_that_are_apart_are_named_apart(project: Corpus) -> None:
    entries = [entry for entry in project.entries if entry.position in (0, 1, 2, 4)]
    assert described(project, Scope(("x",)), entries) == "x (d1-d3, d5)"


LONG = {
    **{f"a/{n}.md": f"# Mole {n}\n\n" + f"The tide at mole {n} reaches {n} metres in spring. " * 400 for n in range(8)},
    **{f"b/{n}.md": f"# Crab {n}\n\n" + f"The crab of pool {n} moults {n} times in summer. " * 400 for n in range(2)},
}


def planned(events: Iterator[AnswerEvent]) -> tuple[Planned, list[str]]:
    told = list(events)
    return next(e for e in told if isinstance(e, Planned)), [e.message for e in told if isinstance(e, Notice)]


def test_where_not_all_fits_the_scope_alone_is_sent_whole(
    make_tree: MakeTree, open_corpus: OpenCorpus, engine: Recorder
) -> None:
    corpus, engine.limit = open_corpus(make_tree(dict(LONG))), 32_000
    plan, notices = planned(summarise(corpus, engine, Asking(), short("b/")))
    assert plan.reading.mode is Mode.FOCUS and plan.reading.unread == () and plan.reading.partly == ()
    assert notices == [] and len(engine.prompts[0].ids) + 1024 <= 32_000
    sent = text_of(corpus, engine.prompts[0])
    assert "The crab of pool 1" in sent and "The tide at mole" not in sent


def test_a_scope_that_does_not_fit_is_read_in_part_and_says_so(
    make_tree: MakeTree, open_corpus: OpenCorpus, engine: Recorder
) -> None:
    corpus, engine.limit = open_corpus(make_tree(dict(LONG))), 24_000
    plan, notices = planned(summarise(corpus, engine, Asking(mode="focus"), short("a/")))
    told = {*plan.reading.unread, *plan.reading.partly}
    assert told and all(path.startswith("a/") for path in told)
    (notice,) = notices
    assert notice.startswith("a/ does not fit what the engine takes") and "read in part" in notice
    assert not plan.reading.unread  # something of each stands there
    assert len(engine.prompts[0].ids) + 1024 <= 24_000


def test_a_whole_corpus_that_must_be_sent_is_refused_where_it_does_not_fit(
    make_tree: MakeTree, open_corpus: OpenCorpus, engine: Recorder
) -> None:
    corpus, engine.limit = open_corpus(make_tree(dict(LONG))), 24_000
    with pytest.raises(DoesNotFit):
        list(summarise(corpus, engine, Asking(mode="full"), short()))


def test_a_summary_is_kept_as_a_turn_that_says_of_what_it_is(project: Corpus, tmp_path: Path) -> None:
    with History(tmp_path / "sessions.db") as history:
        dialogue = Dialogue(project, None, Asking(), history=history)
        answer_of(dialogue.summarise(short("docs/")))
        answer_of(dialogue.ask("what does the gauge send?"))
        assert dialogue.session is not None
        first, second = history.turns(dialogue.session)
    assert first.question == dialogue.session.title == "Summary of docs/ (short, bullets)"
    assert first.settings["summary_of"] == "docs/" and "summary_of" not in second.settings


NASTY = [
    "<table " * 40_000,
    " " * 300_000,
    "\n\f" * 150_000,
    "." * 300_000,
    ". " * 150_000,
    "*" * 300_000,
    "/**/\n" * 60_000,
]
NASTY += [
    '"""' + " " * 100_000,
    "from " * 60_000,
    "\n \t" * 100_000,
    "(" * 300_000,
    "[x](" * 70_000,
    "def f(\n" * 40_000,
]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("kind", [Kind.CODE, Kind.MARKDOWN, Kind.TABLE, Kind.PDF])
def test_no_text_takes_long(text: str, kind: Kind) -> None:
    read = Read(Entry(0, "a.py", "a" * 64, "plain-1", 10), "a.py", Document(text, kind))
    begun = time.process_time()
    groups([read, read], 12)
    items_of(read, 12, 300_000)
    assert time.process_time() - begun < 3
