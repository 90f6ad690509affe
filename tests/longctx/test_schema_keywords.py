"""Schemas and values that are made to cost much, and what is checked in other ways than the library does it."""

import itertools
import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx import schema_keywords
from longctx.json_schema import check_schema, problem
from longctx.schema_keywords import LONGEST_MATCHED

SLOW = "^(?:" + "|".join("a" * n for n in range(1, 40)) + ")*$"  # of which no engine finds out that it can't match
LONG = "a" * 400 + "!"
DRAFTS = ("http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_keywords, "PATTERN_S", 0.05)


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"a": {"pattern": SLOW}}}, {"a": LONG}),
        ({"not": {"patternProperties": {SLOW: {}}}}, {LONG: 1}),
        ({"additionalProperties": False, "patternProperties": {SLOW: {}}}, {LONG: 1}),
        ({"propertyNames": {"pattern": SLOW}}, {LONG: 1}),
        ({"items": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "pattern": SLOW}, [LONG]),
    ],
)
def test_a_pattern_that_takes_too_long_is_given_up(draft: str, schema: Any, value: Any) -> None:
    schema = {"$schema": draft, **schema}
    assert check_schema(schema) == ""
    begun = time.thread_time()
    assert "takes too long to be tried" in problem(value, schema)
    assert time.thread_time() - begun < 2


def test_a_schema_that_unfolds_with_the_value_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_keywords, "VALIDATION_S", 0.2)
    schema: Any = {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}
    value: Any = 1
    for _ in range(60):
        value = {"x": value}
    assert check_schema(schema) == ""
    assert "more than 0.2 seconds" in problem(value, schema)


def test_many_items_are_told_apart_in_little_time() -> None:
    rows = [{"a": n} for n in range(20_000)]
    begun = time.thread_time()
    assert problem(rows, {"uniqueItems": True}) == ""
    assert "has non-unique elements" in problem([*rows, {"a": 5.0}], {"uniqueItems": True})
    assert check_schema({"$schema": "http://json-schema.org/draft-04/schema#", "enum": rows[:15_000]}) == ""
    assert time.thread_time() - begun < 5


def test_long_texts_are_not_matched() -> None:
    long = "x" * (LONGEST_MATCHED + 1)
    assert "not matched with a pattern" in problem(long, {"pattern": "x"})
    assert "not matched with a pattern" in problem({long: 1}, {"patternProperties": {"x": {}}})
    assert problem("x" * LONGEST_MATCHED, {"pattern": "x"}) == ""


def test_patterns_may_name_kinds_of_characters() -> None:
    schema = {"pattern": r"^\p{Lu}"}
    assert check_schema(schema) == problem("Élan", schema) == ""
    assert "does not match" in problem("élan", schema)


def test_what_is_wrong_is_told_behind_a_long_value() -> None:
    said = problem("x" * 5000, {"pattern": "y"})
    assert said.endswith("xxx… does not match 'y'")


JSON = st.recursive(
    st.sampled_from([0, 1, 1.0, True, False, None, "a", "ab", "b1", "1"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "ab", "b1", "c"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PATTERNS = st.sampled_from(["^a", "b", "[0-9]$", "^$"])
SIMPLE = st.sampled_from([{}, {"type": "integer"}, {"pattern": "^a"}, {"const": 1}, True, False, {"uniqueItems": True}])
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "pattern": PATTERNS,
        "patternProperties": st.dictionaries(PATTERNS, SIMPLE, max_size=2),
        "properties": st.dictionaries(st.sampled_from(["a", "b1"]), SIMPLE, max_size=2),
        "additionalProperties": SIMPLE,
        "uniqueItems": st.booleans(),
        "items": SIMPLE,
    },
)


@given(SCHEMAS, JSON, st.sampled_from(DRAFTS))
def test_it_agrees_with_the_library(schema: dict[str, Any], value: Any, draft: str) -> None:
    schema = {"$schema": draft, **schema}
    assert check_schema(schema) == ""
    valid = jsonschema.validators.validator_for(schema)(schema).is_valid(value)
    assert (problem(value, schema) == "") == valid


def test_equal_is_what_the_library_takes_for_equal() -> None:
    values: list[Any] = [0, 0.0, False, 1, 1.0, True, "1", None, [1], [1.0], [True], {"a": 1}, {"a": 1.0}, {"a": [1]}]
    for pair in itertools.product(values, repeat=2):
        valid = jsonschema.Draft202012Validator({"uniqueItems": True}).is_valid(list(pair))
        assert (problem(list(pair), {"uniqueItems": True}) == "") == valid, json.dumps(pair)
