import pytest

from tests.tui.test_line_index import index_of
from tui.syntax import LONGEST_LINE, Syntax, Word, language


def words(text: str, name: str = "python", piece: int = 0) -> list[tuple[str, Word]]:
    syntax = Syntax(index_of(text), name)
    syntax.want(piece, piece)
    while syntax.go_on(1):
        pass
    return [(text[start:end], word) for start, end, word in syntax.of(piece)]


def test_words_of_code() -> None:
    found = words("def tide():  # noon\n    return 'sea', 3\n")
    assert ("def", Word.KEYWORD) in found
    assert ("tide", Word.NAME) in found
    assert ("# noon", Word.COMMENT) in found
    assert ("sea", Word.STRING) in found
    assert ("3", Word.NUMBER) in found


def test_headings_of_markdown() -> None:
    assert ("# Tides", Word.HEADING) in words("# Tides\n\ntext **strong**\n", "markdown")


def test_a_string_from_above_is_one_below() -> None:
    text = '"""\n' + "line\n" * 100 + 'last"""\nx = 1\n'
    assert any("last" in shown and word is Word.STRING for shown, word in words(text, piece=100))


def test_a_very_long_line_is_left_as_it_is_and_those_around_it_are_not() -> None:
    text = "x = 1\ny = '" + "z" * LONGEST_LINE + "'\nw = 'end'\n"
    found = words(text)
    assert ("1", Word.NUMBER) in found
    assert ("end", Word.STRING) in found
    assert not any("zzz" in shown for shown, _ in found)


def test_words_of_a_text_that_grew_are_forgotten() -> None:
    index = index_of("x = '")
    syntax = Syntax(index, "python")
    syntax.want(0, 0)
    while syntax.go_on(1):
        pass
    before = syntax.of(0)
    index.add("tide'")
    syntax.forget(0)
    syntax.want(0, 0)
    while syntax.go_on(1):
        pass
    assert syntax.of(0) != before


def test_it_works_in_slices() -> None:
    syntax = Syntax(index_of("x = 1\n" * 60), "python")
    syntax.want(0, 0)
    assert syntax.go_on(0) is True
    assert syntax.of(0) == []


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("a/b.py", "code", "python"),
        ("Makefile", "code", "make"),
        ("a.PY", "code", "python"),
        ("a.unknown", "code", None),
        ("README", "markdown", "markdown"),
        ("a.py", "prose", None),
        ("", "code", None),
    ],
)
def test_languages_are_told_by_names(path: str, kind: str, expected: str | None) -> None:
    assert language(path, kind) == expected


def test_every_language_is_known_to_pygments() -> None:
    from tui.syntax import FILES, LANGUAGES

    for name in {*LANGUAGES.values(), *FILES.values()}:
        Syntax(index_of(""), name)
