"""Which patterns of a schema are taken, and that none takes much memory before it is tried."""

import pytest

from longctx.schema_patterns import LONGEST_PATTERN, UNFOLDED_MOST, compiled


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", "2024-02-29"),
        (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"),
        (r"^\p{Lu}\p{Ll}{2}$", "Ärö"),
        (r"(?i)^abc$", "ABC"),
        (r"^(?P<a>x)(?P=a)(?<b>y)(?i:z)$", "xxyZ"),
        (r"^(?=a)(?!b)(?:a)(?<=a)(?<!b)$", "a"),
        (r"^[]({)\]]{4}$", "]({)"),
        (r"^\{\(\[$", "{(["),
        (f"^a{{{UNFOLDED_MOST - 2}}}$", "a" * (UNFOLDED_MOST - 2)),
    ],
)
def test_what_is_taken(pattern: str, text: str) -> None:
    assert compiled(pattern).search(text)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "missing"),
        ("[a", "unterminated"),
        ("(" * 3000 + ")" * 3000, "recursion"),
        ("a" * (LONGEST_PATTERN + 1), "more than 10,000 characters"),
        ("(((a{1000}){1000}){1000}){1000}", "counts are written out"),
        ("(?:" * 30 + "a" + "){2}" * 30, "counts are written out"),
        ("(a{900,1000}){900,}", "counts are written out"),
        ("a{" + "9" * 5000 + "}", "counts are written out"),
        (r"([\])]{1000}[(]){1000}", "counts are written out"),
        ("(a{1000}[[:alpha:](]){1000}[[:alpha:])]", "[: is not taken"),
        ("(?#[)((a{1000}){1000}){1000}(?#])", "'(?#' is not taken"),
        ("(?x)a", "'(?x' is not taken"),
        ("a(?R)?b", "'(?R' is not taken"),
        ("(?1)(a)", "'(?1' is not taken"),
        ("(?", "'(?' is not taken"),
        ("(?:ab){e<=9}", "is written \\{"),
    ],
)
def test_what_is_not(pattern: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        compiled(pattern)
    assert said in str(raised.value)
    assert len(str(raised.value)) <= 300
