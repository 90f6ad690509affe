"""Schemas of answers: which are taken, what engines are held to, and what is made of what a model writes."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from longctx.errors import UsageError
from longctx.json_schema import check_schema
from longctx.structured import CLAIMS_MOST, Claim, Structured, at, parse, read_schema, text_of, wrapped

COVENANTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "covenants": {"type": "array", "items": {"$ref": "#/$defs/covenant"}},
        "date": {"type": ["string", "null"]},
    },
    "required": ["covenants"],
    "$defs": {
        "covenant": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "threshold": {"type": "number"}},
            "required": ["name", "threshold"],
        }
    },
}
VALUE = {"covenants": [{"name": "leverage", "threshold": 3.5}], "date": None}


def written(answer: Any, evidence: Any = ()) -> str:
    return json.dumps({"evidence": list(evidence), "answer": answer})


def claimed(supports: str, document: str = "d1", quote: str = "some words") -> dict[str, str]:
    return {"document": document, "quote": quote, "supports": supports}


def _folded(levels: int) -> dict[str, Any]:
    """Each definition holds the next one twice."""
    definitions = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"type": "object", "$ref": "#/$defs/a0", "$defs": {**definitions, f"a{levels}": {}}}


def _chained(levels: int) -> dict[str, Any]:
    definitions = {f"a{n}": {"$ref": f"#/$defs/a{n - 1}"} for n in range(1, levels)}
    return {"$defs": {"a0": {}, **definitions}}


class TestSchema:
    @pytest.mark.parametrize(
        "schema",
        [
            COVENANTS,
            {},
            {"$anchor": "a", "properties": {"next": {"$ref": "#a"}}},
            {"properties": {"next": {"$ref": "#"}}},
            {"$id": "https://example.com/x", "properties": {"a": {"$ref": "#/properties/b"}, "b": {}}},
            {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
            {"const": {"$ref": "https://example.com/x"}},
            {"properties": {"$ref": {"type": "string"}, "pattern": {"enum": ["("]}}},
            {"$ref": "#/properties/a", "properties": {"a": True}},
            _folded(9),
            {"$ref": "#/a", "a": {"type": "string"}},
            {"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x.org/y", "items": {"$ref": "#"}},
            {"items": {"id": "x"}, "properties": {"id": {"type": "string"}}},
            {"anyOf": [{"type": "null"}, {"items": {"$ref": "#"}}]},
        ],
    )
    def test_what_is_taken(self, schema: Any) -> None:
        assert check_schema(schema) == ""
        Draft202012Validator.check_schema(wrapped(schema))

    @pytest.mark.parametrize(
        ("schema", "problem"),
        [
            ([], "is an object"),
            ({"type": "nothing"}, "type: 'nothing'"),
            ({"properties": {"a": {"required": 5}}}, "properties/a/required: 5 is not of type 'array'"),
            ({"$ref": "https://example.com/x"}, "nothing is fetched"),
            ({"items": {"$ref": "other.json#/a"}}, "nothing is fetched"),
            ({"properties": {"enum": {"$ref": "#/$defs/gone"}}}, "'#/$defs/gone' is not in this schema"),
            ({"$ref": "#"}, "refers to itself"),
            ({"type": "object", "anyOf": [{"type": "string"}, {"$ref": "#"}]}, "refers to itself"),
            ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
            ({"$ref": "#/default", "default": {"$ref": "https://example.com/x"}}, "is not in this schema"),
            ({"$ref": "#/required", "required": ["a"]}, "is not in this schema"),
            ({"$ref": "#/a", "a": {"type": 5}}, "type: 5 is not"),
            ({"$ref": "#/a/b", "a": {"b": {"items": {"pattern": "("}}}}, "pattern: missing )"),
            ({"properties": {"b": {"const": {"type": 5}}, "c": {"$ref": "#/properties/b/const"}}}, "is not in this"),
            ({"$schema": "http://json-schema.org/draft-04/schema#", "items": {"id": "x"}}, "id may stand at its top"),
            ({"pattern": "a" * 10_001}, "more than 10,000 characters"),
            ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False}, "unevaluatedProperties"),
            (_folded(20), "more than 10,000 schemas"),
            (_chained(200), "levels deep where its references"),
            ({"$schema": "http://json-schema.org/draft-04/schema#", "enum": [{}, {}]}, "non-unique"),
            ({"properties": {"a": {"pattern": "("}}}, "pattern"),
            ({"patternProperties": {"(": {}}}, "pattern"),
            ({"$schema": "https://example.com/draft"}, "is not known"),
            ({"$schema": 7}, "is not known"),
            ({"properties": {"a": {"$id": "b"}}}, "$id may stand at its top only"),
            ({"const": float("nan")}, "not JSON"),
            ({"const": {1, 2}}, "not JSON"),
            ({"description": "x" * (256 << 10)}, "larger than 256 KiB"),
        ],
    )
    def test_what_is_not(self, schema: Any, problem: str) -> None:
        said = check_schema(schema)
        assert problem in said
        assert "\n" not in said and len(said) <= 300

    @pytest.mark.parametrize("levels", [100, 100_000])
    def test_one_that_is_too_deep(self, levels: int) -> None:
        schema: dict[str, Any] = {}
        for _ in range(levels):
            schema = {"not": schema}
        assert "64 levels" in check_schema(schema)
        while schema:  # so that its end is not a deep recursion
            schema = schema["not"]

    def test_it_is_read_from_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "schema.json"
        file.write_text(json.dumps(COVENANTS), "utf-8-sig")
        assert read_schema(file) == COVENANTS

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b'{\n"type":\n}', r"schema\.json:3: Expecting value, column 1$"),
            (b'{"type": "object", "type": "array"}', "'type' stands twice"),
            (b"\xff{}", "schema.json: "),
            (b'{"$ref": "file:///etc/passwd"}', "nothing is fetched"),
            (b'{"a":' * 100_000, "levels deep"),
            (b'{"maximum": 1e999}', "too large"),
            (b"", "schema.json:1: "),
        ],
    )
    def test_what_is_wrong_with_a_file_is_one_line(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "schema.json").write_bytes(content)
        with pytest.raises(UsageError, match=said) as raised:
            read_schema(tmp_path / "schema.json")
        assert "\n" not in str(raised.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            read_schema(tmp_path / "none.json")


class TestWrapped:
    def test_evidence_comes_first_and_references_still_lead_somewhere(self) -> None:
        held = wrapped(COVENANTS | {"properties": {**COVENANTS["properties"], "again": {"$ref": "#"}}})
        assert list(held["properties"]) == ["evidence", "answer"]
        validator = Draft202012Validator(held)
        inner: dict[str, Any] = {"covenants": [], "again": {"covenants": [{"name": "x", "threshold": 1}]}}
        assert validator.is_valid({"evidence": [claimed("/covenants")], "answer": inner})
        assert validator.is_valid({"evidence": [], "answer": None})
        inner["again"]["covenants"][0]["threshold"] = "high"
        assert not validator.is_valid({"evidence": [], "answer": inner})
        assert not validator.is_valid({"answer": None})
        assert not validator.is_valid({"evidence": [claimed("", document="a.md")], "answer": None})

    @pytest.mark.parametrize(
        "schema",
        [
            {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}},
            {"properties": {"n": {"type": "integer"}, "next": {"properties": {"n": {"$ref": "#/properties/n"}}}}},
            {
                "$ref": "#/$defs/answer",
                "$defs": {"answer": {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}}},
            },
            {
                "$ref": "#/definitions/a",
                "definitions": {"a": {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}}},
            },
        ],
    )
    def test_no_reference_leads_into_a_list(self, schema: dict[str, Any]) -> None:
        """Which the grammars of some servers do not follow."""
        held = wrapped(schema)
        assert not re.search(r'"\$ref": "[^"]*/\d', json.dumps(held))
        Draft202012Validator.check_schema(held)
        obeys = Draft202012Validator(held).is_valid
        assert obeys({"evidence": [], "answer": {"n": 1, "next": {"n": 2}}})
        assert not obeys({"evidence": [], "answer": {"n": 1, "next": {"n": "x"}}})

    def test_the_schema_that_was_given_is_left_as_it_is(self) -> None:
        before = text_of(COVENANTS)
        wrapped(COVENANTS)
        assert text_of(COVENANTS) == before

    def test_what_an_engine_is_told_can_be_encoded(self) -> None:
        assert json.loads(text_of({"title": "\ud800é"}).encode()) == {"title": "\ufffdé"}


class TestParse:
    @pytest.mark.parametrize(
        "around",
        [
            "{}",
            "```json\n{}\n```",
            "```\n{}\n```\n",
            "Sure {here}:\n\n{}\n\nThat is all {{}}.",
            "<think>\n{{\n</think>\n{}",
        ],
    )
    def test_a_fence_and_words_around_it_are_left_out(self, around: str) -> None:
        raw = around.replace("{}", written(VALUE, [claimed("/date")])).replace("{{", "{")
        assert parse(raw, COVENANTS) == Structured(value=VALUE, claims=(Claim("d1", "some words", "/date"),))

    @pytest.mark.parametrize(
        ("raw", "problem"),
        [
            ("There is none.", "not JSON: there is no object in it"),
            ('{"evidence": [], "answer": {"coven', "not JSON: Unterminated string"),
            (written({"covenants": [{"name": "x", "threshold": "x"}]}), "answer/covenants/0/threshold: 'x' is not"),
            (written({}), "answer: 'covenants' is a required property"),
            (json.dumps(VALUE), "'answer' is missing"),
            ('{"evidence": {}, "answer": null}', "evidence: is no list"),
            ('{"evidence": [], "answer": NaN}', "NaN is no JSON"),
            ('{"evidence": [], "answer": -Infinity}', "-Infinity is no JSON"),
            ('{"evidence": [], "answer": 1e400}', "too large"),
            ('{"evidence": [], "answer": ' + "9" * 5000 + "}", "5,000 digits"),
            ('{"evidence": [], "answer": {"covenants": [], "covenants": []}}', "'covenants' stands twice"),
            ('{"a":' * 90 + "1" + "}" * 90, "more than 64 levels"),
            ('{"a":' * 100_000, "more than 64 levels"),
        ],
    )
    def test_what_is_no_answer_is_said_in_one_line(self, raw: str, problem: str) -> None:
        read = parse(raw, COVENANTS)
        assert problem in read.problem
        assert (read.value, read.claims) == (None, ())
        assert "\n" not in read.problem and len(read.problem) <= 300

    def test_a_hostile_name_is_shown_in_one_printable_line(self) -> None:
        problem = parse(
            written({"covenants": [{"name": "\x1b[2J\n" + "x" * 5000, "threshold": "\u202e"}]}), COVENANTS
        ).problem
        assert problem.isprintable() and len(problem) <= 300

    def test_null_is_the_word_that_there_is_none(self) -> None:
        assert parse(written(None), COVENANTS) == Structured()

    def test_halves_of_characters_can_be_written(self) -> None:
        read = parse('{"evidence": [], "answer": {"covenants": [], "\\ud800": "\\udfff"}}', COVENANTS)
        assert read.value == {"covenants": [], "\ufffd": "\ufffd"}

    @pytest.mark.parametrize("name", ["x", "answer"])
    @pytest.mark.parametrize(
        ("given", "leads_to"),
        [
            ("/x/0/a~1b", "/x/0/a~1b"),
            ("#/x/0/a~1b", "/x/0/a~1b"),
            ("x/0/a~1b", "/x/0/a~1b"),
            ("/answer/x/0/a~1b", "/x/0/a~1b"),
            ("x[0]", "/x/0"),
            ("answer.x[0].none", "/x/0"),
            ("/x/7", "/x"),
            ("/x/-1", "/x"),
            ("/x/٣", "/x"),
            ("/y/0", ""),
            ("", ""),
            ("/", ""),
        ],
    )
    def test_a_pointer_leads_as_far_as_there_is_something(self, given: str, leads_to: str, name: str) -> None:
        value = {name: [{"a/b": 1}]}
        given, leads_to = (re.sub(r"\bx\b", name, each) for each in (given, leads_to))
        if name == "answer":
            given = given.replace("answer/answer", "answer").replace("answer.answer", "answer")
        claim = parse(written(value, [claimed(given)]), {}).claims[0]
        assert claim.supports == leads_to
        at(value, claim.supports)

    @pytest.mark.parametrize(("given", "id_"), [("d07", "d7"), ("[D12]", "d12"), ("12", "d12"), ("a.md", "a.md")])
    def test_ids_as_models_write_them(self, given: str, id_: str) -> None:
        assert parse(written(1, [claimed("", document=given)]), {}).claims[0].document_id == id_

    def test_evidence_of_another_form_is_counted_and_left_out(self) -> None:
        wrong = [None, "d1", {}, claimed("", quote=" "), claimed("") | {"quote": 3}, claimed("", quote="x" * 9999)]
        read = parse(written(1, [*wrong, claimed("")]), {})
        assert (len(read.claims), read.lost) == (1, len(wrong))
        assert parse(written(1, [claimed("")] * (CLAIMS_MOST + 5)), {}).lost == 5

    @given(st.text(alphabet='{}[]":,\\ntrue0-.eE \ud800', max_size=60))
    def test_whatever_comes_is_an_answer_or_a_problem(self, raw: str) -> None:
        for text in (raw, '{"evidence": [], "answer": ' + raw, '{"evidence": ' + raw + ', "answer": 1}'):
            read = parse(text, COVENANTS)
            assert isinstance(read.problem, str)
            json.dumps(read.value, allow_nan=False, ensure_ascii=False).encode()


def test_a_pipe_that_nobody_writes_to_is_no_schema(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "schema.json")
    with pytest.raises(UsageError, match="not a regular file"):
        read_schema(tmp_path / "schema.json")
