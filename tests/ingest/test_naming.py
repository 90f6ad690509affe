import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import naming

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_unshow_gives_back_what_show_was_given(path: str) -> None:
    assert naming.unshow(naming.show(path)) == path


@given(ANY_TEXT)
def test_a_shown_path_is_one_printable_line(path: str) -> None:
    assert naming.show(path).isprintable()


@given(st.binary(max_size=80))
def test_any_bytes_survive_as_a_path(name: bytes) -> None:
    path = naming.decode(name)
    assert naming.encode(naming.unshow(naming.show(path))) == name


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("docs/Größe 日本語.md", "docs/Größe 日本語.md"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("gpj.\u202egnp", r"gpj.\u202egnp"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("caf\udce9", r"caf\xe9"),
        ("caf\x9b", r"caf\u009b"),
        ("back\\slash", r"back\\slash"),
        ("[/red]", "[/red]"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("\u3164\u115f\u1160\uffa0\u2800", r"\u3164\u115f\u1160\uffa0\u2800"),
        ("a" + 6 * "\u0301" + "b", "a" + 4 * "\u0301" + r"\u0301\u0301b"),
        ("हिन्दी.md", "हिन्दी.md"),
    ],
)
def test_how_paths_are_shown(path: str, shown: str) -> None:
    assert naming.show(path) == shown


def test_a_control_and_an_undecodable_byte_are_shown_differently() -> None:
    assert naming.show("\x9b") != naming.show("\udc9b")


@given(ANY_TEXT)
def test_safe_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    safe = naming.safe_text(text)
    assert not {character for character in safe if ord(character) < 32} - {"\t", "\n"}
    assert not any(0x7F <= ord(character) <= 0x9F for character in safe)
    assert not set(safe) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    safe.encode("utf-8")


def test_safe_text_keeps_lines_and_makes_controls_visible() -> None:
    assert naming.safe_text("a\tb\r\nc\x1b[2J\rd\x7f\x9b\u202e") == "a\tb\nc␛[2J␍d␡<U+009B><U+202E>"


def test_safe_text_leaves_ordinary_text_alone() -> None:
    text = "Ünï — हिन्दी \u200c می‌خواهم 👩‍💻 {[/red]}\n"
    assert naming.safe_text(text) == text
