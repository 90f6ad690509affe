"""Which JSON schemas are taken, and what values obey them: where references lead, drafts, and numbers as written."""

from typing import Any

import pytest

from longctx.json_schema import check_schema, problem

DRAFT_3, DRAFT_4, DRAFT_6, DRAFT_7 = (f"http://json-schema.org/draft-0{n}/schema#" for n in (3, 4, 6, 7))
INTEGER: Any = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"b": {"const": {"type": 3}}, "c": {"$ref": "#/properties/b/const"}}}, "nothing is fetched"),
        ({"properties": {"b": {"const": "x"}, "c": {"$ref": "#/properties/b/const"}}}, "nothing is fetched"),
        ({"x": "integer", "$ref": "#/x"}, "nothing is fetched"),
        ({"x": {"a": {"type": 3}}, "$ref": "#/x/a"}, "#/x/a: type: 3 is not valid"),
        ({"x": {"a": {"items": {"pattern": "("}}}, "$ref": "#/x/a"}, "pattern: "),
        ({"$schema": DRAFT_7, "$defs": {"a": {"type": 3}}, "$ref": "#/$defs/a"}, "#/$defs/a: type: 3"),
        ({"$schema": DRAFT_7, "properties": {"a": {"$anchor": "x"}, "b": {"$ref": "#x"}}}, "'#x' is not in"),
        ({"$schema": DRAFT_4, "$ref": 5}, "$ref: 5 is not in this schema"),
        ({"$schema": DRAFT_4, "properties": {"a": {"id": "http://x/y", "items": {"$ref": "#/b"}}}, "b": {}}, "id may"),
        ({"$schema": DRAFT_6, "properties": {"a": {"$id": "http://x/y"}}}, "$id may stand at its top only"),
        ({"$schema": DRAFT_3, "type": [INTEGER, "string"]}, "draft 3 is not taken"),
        ({"x": {"pattern": 5}, "pattern": "(((a{999}){999}){999}){999}"}, "counts are written out"),
    ],
)
def test_what_could_not_be_applied_is_said_before_there_is_a_value(schema: Any, said: str) -> None:
    fault = check_schema(schema)
    assert said in fault
    assert "\n" not in fault and len(fault) <= 300


@pytest.mark.parametrize(
    "schema",
    [
        {"x": {"a": INTEGER}, "properties": {"a": {"$ref": "#/x/a"}}},
        {"$defs": {"a b": INTEGER}, "properties": {"a": {"$ref": "#/$defs/a%20b"}}},
        {"$id": "https://example.com/x", "$defs": {"n": INTEGER}, "properties": {"a": {"$ref": "#/$defs/n"}}},
        {
            "$schema": DRAFT_4,
            "id": "#x",
            "definitions": {"n": INTEGER},
            "properties": {"a": {"$ref": "#/definitions/n"}},
        },
        {
            "$schema": DRAFT_7,
            "$id": "#x",
            "definitions": {"n": INTEGER},
            "properties": {"a": {"$ref": "#/definitions/n"}},
        },
        {"$schema": DRAFT_6, "properties": {"a": {"id": "http://x/y", "type": "integer"}}},
        {"$schema": DRAFT_4, "properties": {"id": {"type": "string"}, "a": INTEGER}},
        {"$schema": DRAFT_7, "$defs": 5, "properties": {"a": INTEGER}},
        {"$defs": {"n": {"$anchor": "n", "type": "integer"}}, "properties": {"a": {"$ref": "#n"}}},
        {"$dynamicAnchor": "n", "type": ["object", "integer"], "properties": {"a": {"$dynamicRef": "#n"}}},
    ],
)
def test_references_lead_where_they_are_meant_to(schema: Any) -> None:
    assert check_schema(schema) == ""
    assert problem({"a": 1}, schema) == ""
    assert "answer/a: 'x' is not of type" in problem({"a": "x"}, schema)


@pytest.mark.parametrize(
    ("value", "of", "obeys"),
    [
        (19.99, 0.01, True),
        (19.999, 0.01, False),
        (1.1, 0.1, True),
        (9.0, 3, True),
        (10, 3, False),
        (-0.3, 0.1, True),
        (1e300, 1e-300, True),
        (2**63, 0.5, True),
        (True, 0.4, True),
        ("x", 2, True),
    ],
)
def test_multiples_are_those_of_the_numbers_as_they_are_written(value: Any, of: float, obeys: bool) -> None:
    assert (problem(value, {"multipleOf": of}) == "") is obeys


def test_a_schema_that_was_never_checked_is_a_problem_too() -> None:
    assert "cannot be applied" in problem(1, {"type": 3})
    assert "cannot be applied" in problem(1, {"$ref": "#/gone"})
