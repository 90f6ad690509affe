"""Where text may be cut: every place starts a line or a page, and definitions are found by layout."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Heading, Kind, Page
from ingest.segments import Strength, breaks, definitions, sections

PYTHON = dedent(
    '''\
    import os

    LIMIT = 3


    # What the class is for.
    @decorate(
        1,
    )
    class Store:
        """A store.

    Text of the docstring at column 0.
        """

        def get(self, key: str) -> str:
            return key

        @property
        def size(
            self,
        ) -> int:
            def inner():
                return 1

            return inner()


    # About the next one.
    async def fetch(url):
        if url:

            return 1
    # not indented, still inside
        return 2


    fetch("x")
    '''
)


def _code(text: str) -> Document:
    return Document(text=text, kind=Kind.CODE)


def _named(text: str) -> dict[str, str]:
    return {d.name: text[d.start : d.end] for d in definitions(_code(text))}


def test_python_definitions_with_their_decorators_and_comments() -> None:
    found = _named(PYTHON)
    assert list(found) == ["Store", "get", "size", "inner", "fetch"]
    assert found["Store"].startswith("# What the class is for.\n@decorate(\n")
    assert found["Store"].endswith("return inner()\n")
    assert found["size"].lstrip().startswith("@property\n    def size(")
    assert found["fetch"].startswith("# About the next one.\nasync def fetch")
    assert found["fetch"].endswith("return 2\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("func (s *Server) Close() error {\n\treturn nil\n}\n\nfunc Open(p string) {\n}\n", ["Close", "Open"]),
        (
            "pub fn read<T>(x: T) -> T {\n    x\n}\n\nimpl Reader {\n    fn next(&self) {}\n}\n",
            ["read", "Reader", "next"],
        ),
        (
            "static int\nadd_one(int a)\n{\n    return a + 1;\n}\n\nint two(void) {\n    return 2;\n}\n",
            ["add_one", "two"],
        ),
        ("export const load = async (x) => {\n  return x;\n};\nfunction go() {\n}\n", ["load", "go"]),
        ("public class A {\n    public int size() {\n        return 1;\n    }\n}\n", ["A", "size"]),
        ("def area\n  1\nend\n\nmodule B\n  def c(x)\n    x\n  end\nend\n", ["area", "B", "c"]),
        ("greet() {\n  echo hi\n}\n", ["greet"]),
    ],
)
def test_other_languages(text: str, names: list[str]) -> None:
    found = _named(text)
    assert list(found) == names
    last = text.rstrip().splitlines()[-1]
    if last in ("}", "end"):
        assert any(block.rstrip().endswith(last) for block in found.values())


def test_calls_and_conditions_are_no_definitions() -> None:
    text = "int main(void) {\n    if (x) {\n        run(1);\n    }\n    while (go(2)) {\n    }\n    return f(3);\n}\n"
    assert list(_named(text)) == ["main"]


def test_an_unclosed_string_costs_no_square_time() -> None:
    text = 'def f():\n    """\n' + "x\n" * 20000 + "def g():\n" * 2000
    assert definitions(_code(text))[0].name == "f"


def test_breaks_know_what_is_stronger() -> None:
    places = dict(breaks(_code(PYTHON), 0, len(PYTHON)))
    assert places[PYTHON.index("# What the class")] is Strength.DEFINITION
    assert places[PYTHON.index("    @property")] is Strength.DEFINITION
    assert places[PYTHON.index("LIMIT")] is Strength.PARAGRAPH
    assert places[PYTHON.index("@decorate")] is Strength.LINE
    assert places[PYTHON.index("        def inner")] is Strength.LINE


def test_breaks_at_headings_and_pages() -> None:
    text = "Intro\n\n# One\nline\n\nmore\n## Two\nend\n"
    found = dict(breaks(Document(text=text, kind=Kind.MARKDOWN), 0, len(text)))
    assert found[text.index("# One")] is Strength.SECTION
    assert found[text.index("## Two")] is Strength.SECTION
    assert found[text.index("more")] is Strength.PARAGRAPH
    pages = (Page(1, "1", 0, 8), Page(2, "2", 8, len(text)))
    document = Document(text=text, kind=Kind.PDF, pages=pages, headings=(Heading(24, 1, "Two"),))
    assert dict(breaks(document, 0, len(text)))[8] is Strength.PAGE


def test_sections_take_given_headings_else_those_of_the_text() -> None:
    assert sections(Document(text="# A\n\nTitle\n=====\n", kind=Kind.MARKDOWN)) == [(0, "A"), (5, "Title")]
    given_one = Document(text="# A\n", kind=Kind.MARKDOWN, headings=(Heading(2, 1, "Given"),))
    assert sections(given_one) == [(2, "Given")]
    assert sections(_code("# A comment\n")) == []


SOURCE = st.lists(
    st.sampled_from(
        ["def f(x):", "    return 1", "", "class A:", "    def g(self):", "# c", "@d", '"""', "}", "x = {", "é\r"]
    ),
    max_size=30,
).map("\n".join)


@given(SOURCE, st.sampled_from([Kind.CODE, Kind.MARKDOWN, Kind.PDF]), st.integers(0, 200), st.integers(0, 200))
def test_every_break_starts_a_line_inside_the_range(text: str, kind: Kind, start: int, length: int) -> None:
    start = min(start, len(text))
    end = min(start + length, len(text))
    places = breaks(Document(text=text, kind=kind), start, end)
    assert [place for place, _ in places] == sorted({place for place, _ in places})
    assert all(start < place < end and text[place - 1] == "\n" for place, _ in places)
    lines = {i + 1 for i in range(start, end - 1) if text[i] == "\n"}
    assert lines == {place for place, _ in places}


@given(SOURCE)
def test_definitions_are_ordered_ranges_at_line_starts(text: str) -> None:
    found = definitions(_code(text))
    for definition in found:
        assert 0 <= definition.start < definition.body_start <= definition.end <= len(text)
        assert definition.start == 0 or text[definition.start - 1] == "\n"
        assert definition.name in text[definition.start : definition.body_start]
    assert [d.body_start for d in found] == sorted(d.body_start for d in found)


def test_sections_are_named_with_what_they_stand_under() -> None:
    markdown = Document("# Book\n\n## One\n\ntext\n\n### Deep\n\n## Two\n", Kind.MARKDOWN)
    assert [title for _, title in sections(markdown)] == ["Book", "Book › One", "Book › One › Deep", "Book › Two"]
    wiki = Document(" = Ray = \n\n text \n\n = = Tail = = \n\n a = b\n", Kind.PROSE)
    assert [title for _, title in sections(wiki)] == ["Ray", "Ray › Tail"]
    ruled = Document("Title\n=====\n\nPart\n----\n\nOther\n-----\n", Kind.MARKDOWN)
    assert [title for _, title in sections(ruled)] == ["Title", "Title › Part", "Title › Other"]


def test_types_of_go_are_named_by_their_name_and_closures_by_none() -> None:
    text = (
        "type OptionFunc func(*Engine)\n\ntype Chain []Handler\n\n"
        "func New() {\n\tdefer func() {\n\t\tdone = true\n\t}()\n}\n\ntype Bytes = []byte\n"
    )
    assert [found.name for found in definitions(_code(text))] == ["OptionFunc", "Chain", "New"]


def test_directives_that_describe_a_thing_begin_a_section() -> None:
    text = (
        "Loop\n====\n\n.. c:function:: int uv_run(uv_loop_t* loop)\n\n   Runs.\n\n.. note::\n\n   Slow.\n\n"
        ".. py:data:: LIMIT\n\n   Three.\n\nEnd\n===\n"
    )
    found = [title for _, title in sections(Document(text=text, kind=Kind.PROSE))]
    assert found == ["Loop", "Loop › int uv_run(uv_loop_t* loop)", "Loop › LIMIT", "End"]
