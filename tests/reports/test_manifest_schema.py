"""The published schema says what the reader says, and the manifest to begin with is one."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longctx
from longctx.reports import manifest, manifest_schema
from longctx.reports.manifest import Manifest
from longctx.reports.manifest_file import read, with_whole_numbers
from longctx.reports.manifest_first import ABOUT, FIGURES, FORMS, WITHOUT_CORPUS
from longctx.reports.manifest_questions import question_faults
from longctx.reports.manifest_shape import shape_faults

PUBLISHED = Path(longctx.__file__).parent.parent / "docs" / "manifest.schema.json"
SCHEMA = manifest_schema.schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EXAMPLES: list[dict[str, Any]] = [
    {"summary": {}},
    {"question": [{"id": "a", "text": "x"}]},
    {
        "schema": "longctx.manifest/1",
        "title": "T",
        "description": "a\nb",
        "corpus": {
            "paths": ["a", "b/**", " -x"],
            "include": [],
            "exclude": ["x"],
            "only": ["*.py"],
            "gitignore": False,
        },
        "engine": {"name": "vllm", "mode": "full", "max_tokens": 5, "temperature": 0.5, "seed": 0, "jobs": 2},
        "summary": {"corpus": False, "per_document": True, "length": "long", "style": "prose", "sections": ["s"]},
        "question": [
            {"id": "a.b-c_9", "text": "x", "require_verified": True, "depends_on": []},
            {"id": "b", "text": "{{answers.a.b-c_9}}\n"},
        ],
        "output": {"folder": "out", "formats": ["html"], "pictures": False},
    },
]


def test_the_published_schema_is_this_one() -> None:
    assert PUBLISHED.read_text("utf-8") == manifest_schema.published(), "write manifest_schema.published() there"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("example", EXAMPLES)
def test_valid_manifests_obey_the_schema_and_are_read(example: dict[str, Any]) -> None:
    VALIDATOR.validate(example)
    assert not list(shape_faults(example, SCHEMA))
    assert not list(question_faults(example.get("question")))
    msgspec.convert(example, Manifest)


def test_the_schema_has_the_keys_and_the_defaults_of_the_values() -> None:
    tables = {
        "corpus": manifest.CorpusPart,
        "engine": manifest.EnginePart,
        "summary": manifest.SummaryPart,
        "output": manifest.OutputPart,
    }
    rules = SCHEMA["properties"]
    assert list(rules) == [each.encode_name for each in msgspec.structs.fields(Manifest)]
    for kind, rule in [
        (manifest.Question, rules["question"]["items"]),
        *((kind, rules[name]) for name, kind in tables.items()),
    ]:
        fields = msgspec.structs.fields(kind)
        assert list(rule["properties"]) == [each.name for each in fields]
        assert rule["required"] == [each.name for each in fields if each.required]
        defaults = msgspec.json.decode(
            msgspec.json.encode({each.name: each.default for each in fields if not each.required})
        )
        said = {name: each["default"] for name, each in rule["properties"].items() if "default" in each}
        assert said == {name: default for name, default in defaults.items() if default is not None}


def test_every_key_says_what_it_is_for() -> None:
    def told(rule: dict[str, Any]) -> None:
        assert rule["description"].endswith(".")
        for each in rule.get("properties", {}).values():
            told(each)
        if "items" in rule:
            told(rule["items"])

    told(SCHEMA)


@pytest.mark.parametrize("ending", FORMS)
def test_the_manifests_to_begin_with_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"report{ending}"
    path.write_text(FORMS[ending], "utf-8")
    loaded = read(path)
    assert loaded.manifest.corpus.paths == (() if ending in WITHOUT_CORPUS else (".",))
    assert [each.text for each in loaded.manifest.question] == [ABOUT, FIGURES]


def test_what_is_commented_out_in_them_is_right_too_and_the_same(tmp_path: Path) -> None:
    (tmp_path / "numbers.schema.json").write_text("{}")
    found = []
    for ending, key in ((".toml", " ="), (".yaml", ":")):
        path = tmp_path / f"report{ending}"
        commented = rf"(?m)^( *)# ( *)(?=[a-z_]+{key}(?! `))"
        path.write_text(re.sub(commented, r"\1\2", FORMS[ending]), "utf-8")
        found.append(read(path).manifest)
    assert found[0] == found[1]
    assert found[0].engine.name == "vllm"
    assert found[0].output.folder == "report"
    assert found[0].question[1].require_verified


TEXTS = st.sampled_from(
    ["", " ", "a", "b.c", "-", " - ", "two\nlines", "a" * 65, "-x", "x" * 301, "longctx.manifest/1", "full", "md"]
)
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(-1, 2000), st.sampled_from([0.5, -1.5, 101.5, 1.0]), st.none())


def near(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that are often, and not always, as a rule says."""
    kind = rule["type"]
    if kind == "object":
        right: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {name: near(rule["properties"][name]) for name in rule["required"]},
            optional={
                **{name: near(each) for name, each in rule["properties"].items() if name not in rule["required"]},
                "extra": SCALARS,
            },
        )
    elif kind == "array":
        right = st.lists(near(rule["items"]), max_size=3)
    elif "enum" in rule:
        right = st.sampled_from(rule["enum"])
    else:
        right = {"string": TEXTS, "boolean": st.booleans()}.get(kind, st.integers(-1, 200))
    return st.integers(0, 30).flatmap(lambda number: SCALARS if number == 30 else right)


@given(near(SCHEMA))
def test_the_reader_and_the_schema_agree_on_every_shape(tree: Any) -> None:
    faults = list(shape_faults(tree, SCHEMA))
    valid = jsonschema.Draft202012Validator({**SCHEMA, "anyOf": [{}]}).is_valid(tree)
    assert valid == (not faults), faults
    if valid:
        msgspec.convert(with_whole_numbers(tree), Manifest)
