"""Quotes are verbatim, bear on the question, and say so when the corpus has nothing."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.document import Document, Heading, Kind
from longctx.evidence import KEPT_FROM, QUOTE_WORDS, Evidence, quotes, search
from longctx.index import Index
from longctx.query import stem, subject_words, tokens
from longctx.spans import spans

KINDS = {".py": Kind.CODE, ".csv": Kind.TABLE}
Ask = Callable[[Mapping[str, str], str], tuple[Evidence, Mapping[str, str]]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Ask over files given as path and text; quotes come back with the texts, by path."""

    def run(files: Mapping[str, str], question: str) -> tuple[Evidence, Mapping[str, str]]:
        documents = {
            path: Document(text=text, kind=KINDS.get(Path(path).suffix, Kind.MARKDOWN)) for path, text in files.items()
        }
        with Index(tmp_path / "words.db") as index:
            for path, document in documents.items():
                index.add(path, [path], document)
            return quotes(search(index, question), documents.__getitem__), files

    yield run


FILLER = "\n\n".join(
    f"Paragraph {i} speaks of weather, rivers and {i} kinds of stone in some detail." for i in range(40)
)


def _best(result: tuple[Evidence, Mapping[str, str]]) -> str:
    said, files = result
    quote = said.quotes[0]
    return files[quote.path][quote.start : quote.end]


def test_the_sentence_that_answers(ask: Ask) -> None:
    text = FILLER + "\n\nThe bridge was built in 1931 by Anna Holm. It is closed on Mondays.\n\n" + FILLER
    result = ask({"guide.md": text}, "Who built the bridge?")
    assert "built in 1931 by Anna Holm" in _best(result) and result[0].found


def test_the_function_asked_for_begins_with_what_stands_above_it(ask: Ask) -> None:
    store = (
        "def close_all(pool):\n    for item in pool:\n        item.close()\n\n\n"
        "@cached\ndef merge_cookies(jar, extra):\n    return jar | extra\n"
    )
    result = ask({"store.py": store, "guide.md": FILLER}, "Which function does this: merge cookies of the client")
    assert _best(result).startswith("@cached\ndef merge_cookies(jar, extra):")
    assert result[0].quotes[0].name == "merge_cookies"


def test_tests_stand_behind_the_code_they_test(ask: Ask) -> None:
    body = "def parse_header(line):\n    return line.split(':')\n"
    result = ask({"lib/parse.py": body, "lib/tests/test_parse.py": body + "\n"}, "What does parse_header do?")
    assert result[0].quotes[0].path == "lib/parse.py"


def test_a_file_that_is_named_comes_first(ask: Ask) -> None:
    files = {f"{name}.py": f"def main():\n    run_{name}_server()\n" for name in ("alpha", "beta", "gamma")}
    result = ask(files, "What does the main function in beta.py run?")
    assert result[0].quotes[0].path == "beta.py"


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("กรุงเทพเป็นเมืองหลวงของประเทศไทย\n\nเชียงใหม่อยู่ทางภาคเหนือ\n", "เมืองหลวงของประเทศไทยคืออะไร", "กรุงเทพ"),
        ("东京是日本的首都。\n\n巴黎是法国的首都。\n", "日本的首都是什么", "东京"),
        ("दिल्ली भारत की राजधानी है।\n\nमुंबई एक बड़ा शहर है।\n", "भारत की राजधानी क्या है?", "दिल्ली"),
        ("عاصمة فرنسا هي باريس.\n\nالنيل نهر طويل.\n", "ما هي عاصمة فرنسا؟", "باريس"),
        ("Thủ đô của Việt Nam là Hà Nội.\n\nSông Hồng rất dài.\n", "thu do cua Viet Nam la gi?", "Hà Nội"),
        ("Die Brücke wurde 1931 gebaut.\n\nDer Fluss ist lang.\n", "Wann wurde die Brücke gebaut?", "1931"),
    ],
)
def test_many_languages(ask: Ask, text: str, question: str, answer: str) -> None:
    said, files = ask({"a.md": text}, question)
    assert said.found
    assert answer in files["a.md"][said.quotes[0].start : said.quotes[0].end]


def test_what_the_corpus_lacks_is_not_found(ask: Ask) -> None:
    said, _ = ask({"guide.md": FILLER}, "Which enzyme phosphorylates the insulin receptor substrate?")
    assert not said.found
    nothing, _ = ask({"guide.md": FILLER}, "Zyzzyva quux?")
    assert not nothing.found and nothing.quotes == ()


def test_a_question_in_the_text_is_no_answer(ask: Ask) -> None:
    text = (
        "How long is the warranty period of the pump?\n\n"
        + FILLER
        + "\n\nThe warranty period of the pump is two years.\n"
    )
    assert "two years" in _best(ask({"faq.md": text}, "How long is the warranty period of the pump?"))


PIECES = st.sampled_from(
    [
        "river stone. ",
        "Rivers run deep! ",
        "\n\n",
        "\n",
        "def river(x):\n",
        "    return x\n",
        "a|river|1\n",
        "川は長い。",
        "x" * 300,
        "\ud800 ",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=60).map("".join), st.sampled_from(list(Kind)), st.text(max_size=40))
def test_quotes_are_ranges_of_the_text_without_overlap(
    tmp_path_factory: pytest.TempPathFactory, text: str, kind: Kind, more: str
) -> None:
    document = Document(text=text, kind=kind)
    with Index(tmp_path_factory.mktemp("i") / "words.db") as index:
        index.add("d", ["a"], document)
        found = search(index, "Where is the river? " + more)
        said = quotes(found, {"d": document}.__getitem__)
        assert said == quotes(found, {"d": document}.__getitem__)
    ranges = sorted((quote.start, quote.end) for quote in said.quotes)
    assert all(0 <= start < end <= len(text) and text[start:end].strip() for start, end in ranges)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
    assert all(len(text[start:end].split()) <= QUOTE_WORDS for start, end in ranges)


@given(st.text(max_size=60))
def test_any_question_can_be_searched(tmp_path_factory: pytest.TempPathFactory, question: str) -> None:
    with Index(tmp_path_factory.mktemp("i") / "words.db") as index:
        index.add("d", ["a"], Document(text="plain words", kind=Kind.PROSE))
        search(index, question)


def test_subject_words_leave_out_the_language_s_own_stop_words() -> None:
    assert subject_words("What makes a process die?") == ["makes", "process", "die"]
    assert subject_words("Wann wurde die Brücke gebaut?") == ["brucke", "gebaut"]
    assert subject_words("What is it?") == ["what", "is", "it"]


def test_stems_and_tokens() -> None:
    assert stem("criticisms") == stem("criticism") and stem("wrote") == stem("written")
    assert tokens("readBlock_size v2") == ["readblock", "size", "v2", "read", "block", "size"]
    assert tokens("Straße, café") == ["straße", "cafe"]


def test_spans_split_rows_items_and_very_long_sentences(tmp_path: Path) -> None:
    text = "One. Two has\n| a | b |\n| c | d |\n- item\n" + "word " * 130
    with Index(tmp_path / "words.db") as index:
        query = search(index, "river").query
    found = [text[span.start : span.end] for span in spans(query, text, 0, len(text))]
    assert found[:5] == ["One.", "Two has", "| a | b |", "| c | d |", "- item"]
    assert [len(part.split()) for part in found[5:]] == [50, 50, 30]


def test_the_comment_above_a_function_is_quoted_with_it(ask: Ask) -> None:
    source = "import x\n\n\n# Recovery writes a 500 after a panic.\ndef recovery():\n    return recover_with(None)\n"
    result = ask({"recovery.py": source, "guide.md": FILLER}, "what does recovery do after a panic?")
    assert _best(result).startswith("# Recovery writes a 500 after a panic.\ndef recovery()")


def test_a_changelog_stands_behind_the_text_that_says_how_it_is(ask: Ask) -> None:
    files = {
        "HISTORY.md": "# 3.1\n\n- add the etag option that can disable weak etags\n\n# 3.0\n\n- update connect\n",
        "guide.md": "To disable the etag header, set the option `etag` to false.\n\n" + FILLER,
    }
    assert ask(files, "how do I disable etag?")[0].quotes[0].path == "guide.md"
    assert ask(files, "which version added the etag option?")[0].quotes[0].path == "HISTORY.md"


def test_a_quote_does_not_grow_into_the_next_section(ask: Ask) -> None:
    text = "# Tides\n\nThe spring tide reaches seven metres.\n\n# Lamps\n\nLamps are lit at dusk by the keeper.\n"
    assert "Lamps" not in _best(ask({"a.md": text, "guide.md": FILLER}, "how high is the spring tide?"))


@pytest.mark.parametrize("question", ["How much did revenue grow?", "When will the board convene?"])
def test_a_small_corpus_is_not_declined_for_one_word_that_it_lacks(ask: Ask, question: str) -> None:
    text = "Dear all,\n\nRevenue grew by 14 percent in 2025.\n\nThe board meets on 3 May.\n"
    assert ask({"mail.md": text}, question)[0].found


def test_a_small_corpus_declines_what_it_does_not_speak_of(ask: Ask) -> None:
    assert not ask({"mail.md": "Revenue grew by 14 percent.\n"}, "Who is the king of Spain?")[0].found


def test_irregular_forms_are_searched(ask: Ask) -> None:
    text = f"{FILLER}\n\nAda Holm took them down; all was written by hand.\n\n{FILLER}"
    assert "Ada Holm" in _best(ask({"guide.md": text}, "Who writes?"))


def test_lines_of_code_that_answer_outweigh_prose_that_holds_fewer_of_the_words(ask: Ask) -> None:
    code = (
        "def flush(self, body):\n    self.status = 200\n    self.body = body\n"
        "    # set the header X-Powered-By\n    self.headers.update(POWERED)\n    return self.transport.write(body)\n"
    )
    notes = "The header is set by the mill, x of them, each of which may be locked in place.\n\n" + FILLER
    result = ask({"app.py": code, "notes.md": notes}, "Where is the X-Powered-By header set?")
    assert "X-Powered-By" in _best(result)


def test_only_rows_that_match_are_quoted(ask: Ask) -> None:
    bolts = "".join(f"bolt {i},B{i},{i * 7}\n" for i in range(20))
    rows = f"item,shelf,count\n{bolts}copper gasket,C4,12\nsteel rod,D1,9\n"
    assert _best(ask({"stock.csv": rows}, "How many copper gaskets are there?")) == "copper gasket,C4,12"


def test_a_quote_does_not_grow_into_another_section(tmp_path: Path) -> None:
    text = "Ports\n\nThe port is 9090.\n\nLogs\n\nLogs are kept a week.\n"
    headings = (Heading(0, 1, "Ports"), Heading(text.index("Logs"), 1, "Logs"))
    document = Document(text=text, kind=Kind.HTML, headings=headings)
    with Index(tmp_path / "words.db") as index:
        index.add("d", ["page.html"], document)
        best = quotes(search(index, "Which port is used?"), lambda _: document).quotes[0]
    assert text[best.start : best.end] == "Ports\n\nThe port is 9090."


@pytest.mark.parametrize(
    "listing",
    [
        "* [Backup schedule of servers](#backup-schedule)",
        "Backup schedule of servers . . . . . . . . 41",
        "Backup schedule of servers, 12, 45-47, 102",
        "[![Backup schedule of servers](https://example.org/b.svg)](https://example.org)",
    ],
)
def test_a_table_of_contents_stands_behind_what_it_lists(ask: Ask, listing: str) -> None:
    text = f"{listing}\n\n{FILLER}\n\nThe schedule is nightly; a backup of the servers takes an hour.\n"
    assert "nightly" in _best(ask({"guide.md": text}, "What is the backup schedule of the servers?"))


def test_quotes_that_fall_far_behind_the_best_are_left_out(ask: Ask) -> None:
    text = f"The bridge over the Arno was built in 1931.\n\n{FILLER}\n\n# End\n\nThey like stone.\n"
    said, _ = ask({"guide.md": text}, "When was the bridge over the Arno built, and what kind of stone?")
    scores = [quote.score for quote in said.quotes]
    assert len(scores) < 10 and min(scores) >= KEPT_FROM * scores[0]


def test_a_stub_is_worth_less_than_the_function_at_work(ask: Ask) -> None:
    stub = "def limit(self, size): ...\n"
    work = "def limit(self, size):\n    most = self.most\n    return min(most, size)\n" + "    # more about it\n" * 6
    said, _ = ask({"a.py": stub, "b.py": work}, "How is the size held to the limit?")
    assert said.quotes[0].path == "b.py"


def test_words_of_a_file_name_do_not_choose_other_files(ask: Ask) -> None:
    other = (
        "def parse_setup_config():\n    # The setup of tools, the parse config and the py files of setup.\n    return"
    )
    files = {f"lib/{i}.py": f"{other} {i}\n" for i in range(60)}
    files["tools/setup_config.py"] = "def main():\n    years = 7\n    return years\n"
    said, _ = ask(files, "In tools/setup_config.py, how many years are parsed?")
    assert {quote.path for quote in said.quotes[:1]} == {"tools/setup_config.py"}


def test_what_looks_like_a_file_but_is_none_stays_in_the_question(ask: Ask) -> None:
    files = {"app.py": "def render(name):\n    return name\n", "guide.md": FILLER}
    assert ask(files, "How does app.render work?")[0].quotes[0].name == "render"


@pytest.mark.parametrize(
    ("question", "path"),
    [("Which version of Rust is required?", "guide.md"), ("Which version added Rust?", "CHANGELOG.md")],
)
def test_a_changelog_answers_what_changed_not_what_is_required(ask: Ask, question: str, path: str) -> None:
    files = {
        "CHANGELOG.md": "Version 1.2 added Rust, which is required as of this version.\n\n" + FILLER,
        "guide.md": "You need Rust: some version of it is required.\n\n" + FILLER.replace("weather", "sand"),
    }
    assert ask(files, question)[0].quotes[0].path == path
