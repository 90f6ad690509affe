import pytest

from ingest.page_labels import page_labels


def test_numbers_where_nothing_is_declared() -> None:
    assert page_labels([], 3) == ["1", "2", "3"]


def test_front_matter_then_chapters() -> None:
    rules = [
        {"startpage": 2, "style": "D", "firstpagenum": 1},
        {"startpage": 0, "style": "r"},
        {"startpage": 4, "prefix": "A-", "style": "D", "firstpagenum": 7},
    ]
    assert page_labels(rules, 6) == ["i", "ii", "1", "2", "A-7", "A-8"]


@pytest.mark.parametrize(
    ("style", "number", "label"),
    [
        ("r", 14, "xiv"),
        ("R", 1949, "MCMXLIX"),
        ("a", 3, "c"),
        ("A", 28, "BB"),
        ("r", 10**9, "1000000000"),
        ("?", 5, "5"),
    ],
)
def test_styles(style: str, number: int, label: str) -> None:
    assert page_labels([{"startpage": 0, "style": style, "firstpagenum": number}], 1) == [label]


def test_a_rule_that_prints_nothing_leaves_the_number() -> None:
    assert page_labels([{"startpage": 0}], 2) == ["1", "2"]


def test_hostile_rules() -> None:
    rules = [{"startpage": -5, "prefix": "x" * 1000 + "\n"}, {"startpage": 99, "style": "a", "firstpagenum": 10**12}]
    assert page_labels(rules, 2) == ["x" * 40, "x" * 40]
