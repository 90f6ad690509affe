"""Answers as JSON that obeys a user's schema, with the evidence beside it: the schema, and the check of what comes.

What an engine gives is checked in every case, also where it was held to the schema. Nothing is ever fetched: a schema
that refers to another file or address is refused.
"""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.naming import safe_text, show
from longctx.errors import UsageError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = Mapping[str, Any]

LARGEST_SCHEMA = 256 << 10  # bytes
DEEPEST = 64
LONGEST_MATCHED = 1000  # characters of a string that a pattern of the schema is tried on: patterns can be slow
LONGEST_QUOTE = 2000  # characters
CLAIMS_MOST = 500
LONGEST_PROBLEM = 300  # characters
CANDIDATES = 8  # braces at which the object may begin, where there is text around it
HINT = "it must be JSON that is a JSON schema"
_WHOLE = {"type": "string"}
EVIDENCE: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"document": {"type": "string", "pattern": "^d[0-9]{1,7}$"}, "quote": _WHOLE, "supports": _WHOLE},
        "required": ["document", "quote", "supports"],
        "additionalProperties": False,
    },
}
ANSWER = "/properties/answer/anyOf/0"  # where the user's schema stands in ours
DEFINITIONS = ("$defs", "definitions")
NAMED = ("properties", "patternProperties", "dependentSchemas", "dependencies", *DEFINITIONS)  # schemas by name
DATA = ("const", "enum", "default", "examples", "example")  # in which nothing is a schema
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


@dataclass(frozen=True, slots=True)
class Claim:
    """A quote as a model gave it; `supports` is a JSON pointer to what there is in the value, "" being all of it."""

    document_id: str
    quote: str
    supports: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured:
    """What a model's JSON says. `problem` is why it is no answer, in one line; `value` and `claims` are empty then.

    A `value` of None without a problem is the model's word that the documents do not contain it. So many pieces of
    evidence were `lost`: they are not of the form that was asked for.
    """

    value: Any = None
    claims: tuple[Claim, ...] = ()
    problem: str = ""
    lost: int = 0


def read_schema(path: Path) -> dict[str, Any]:
    """The JSON schema in a file; raises UsageError, with the line where that is known."""
    shown = show(str(path))
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_SCHEMA + 1)
        schema = _DECODER.decode(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}", "name a file that holds a JSON schema") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{shown}:{error.lineno}: {_said(error)}", HINT) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: {_said(error)}", HINT) from error
    if problem := check_schema(schema):
        raise UsageError(f"{shown}: {problem}", HINT)
    return dict(schema)


def check_schema(schema: object) -> str:
    """Why this can't be the schema of an answer, in one line; "" where it can."""
    if not isinstance(schema, Mapping):
        return "a JSON schema is an object"
    try:
        if len(json.dumps(schema, allow_nan=False)) > LARGEST_SCHEMA:
            return f"larger than {LARGEST_SCHEMA >> 10} KiB"
        _clean(schema)
    except (TypeError, ValueError, RecursionError) as error:
        return f"not JSON: {_said(error)}"
    return next(_faults(schema), "")


def text_of(schema: Schema) -> str:
    """The schema as it is told to a model or an engine."""
    return json.dumps(_clean(schema), ensure_ascii=False, separators=(",", ":"))


def wrapped(schema: Schema) -> dict[str, Any]:
    """What an engine is held to: first the evidence, then the user's schema, or null where the documents lack it.

    Its definitions stand where references look for them; other references go on to where their target stands now.
    """
    copied = deepcopy(dict(schema))
    for each in _subschemas(copied):
        for name in REFERENCES:
            if isinstance(each.get(name), str):
                each[name] = _moved(each[name])
    definitions = {name: copied.pop(name) for name in DEFINITIONS if name in copied}
    answer = {name: value for name, value in copied.items() if name not in ("$schema", "$id")}
    return {
        "type": "object",
        "properties": {"evidence": EVIDENCE, "answer": {"anyOf": [answer, {"type": "null"}]}},
        "required": ["evidence", "answer"],
        "additionalProperties": False,
        **definitions,
    }


def parse(raw: str, schema: Schema) -> Structured:
    """What a model wrote, as a value that obeys the schema; a fence and words around the object are left out."""
    try:
        found = _clean(_object_in(raw))
    except (ValueError, RecursionError) as error:
        return Structured(problem=f"not JSON: {_said(error)}")
    missing = [name for name in ("evidence", "answer") if name not in found]
    if "answer" in missing or not isinstance(found.get("evidence", []), list):
        return Structured(problem=f"{missing[-1]!r} is missing" if missing else "evidence: is no list")
    value = found["answer"]
    if value is not None and (problem := _problem(value, schema)):
        return Structured(problem=problem)
    claims = [_claim(each, value) for each in found.get("evidence", [])]
    kept = tuple(claim for claim in claims if claim)[:CLAIMS_MOST]
    return Structured(value=value, claims=kept, lost=len(claims) - len(kept))


def at(value: Any, pointer: str) -> Any:
    """What stands at a pointer that `parse` gave."""
    for part in _parts(pointer):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def step(pointer: str, name: str | int) -> str:
    """The pointer to a member of what another points to."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def _problem(value: Any, schema: Schema) -> str:
    """What is wrong with a value, "" where nothing is."""
    from jsonschema.exceptions import best_match

    try:
        error = best_match(_validator(schema).iter_errors(value))
    except RecursionError:
        return "answer: the schema refers to itself without an end"
    if error is None:
        return ""
    place = "/".join(["answer", *map(str, error.absolute_path)])
    return _line(f"{place}: {error.message}")


def _validator(schema: Schema) -> "Validator":
    """The draft that the schema names, with patterns that are tried on short strings only."""
    from jsonschema.validators import extend
    from referencing import Registry

    kind = _draft(schema)
    bounded = {name: _bounded(kind.VALIDATORS[name]) for name in ("pattern", "patternProperties")}
    made: Validator = extend(kind, bounded)(schema, registry=Registry())  # type: ignore[no-untyped-call] # it has none
    return made


def _draft(schema: Schema) -> "type[Validator]":
    """The draft that it names, else the last one."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


def _is_known(named: object) -> bool:
    """Whether there is a draft of that name: then it does not matter what is taken otherwise."""
    from jsonschema import Draft7Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    others = (Draft7Validator, Draft202012Validator)
    return named == "" or (
        isinstance(named, str) and len({validator_for({"$schema": named}, default=other) for other in others}) == 1
    )


def _bounded(check: Callable[..., Iterator[Any] | None]) -> Callable[..., Iterator[Any]]:
    """A check that refuses what is too long to be matched."""
    from jsonschema import ValidationError

    def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        matched = instance if isinstance(instance, dict) else [instance]
        if any(isinstance(each, str) and len(each) > LONGEST_MATCHED for each in matched):
            yield ValidationError(f"more than {LONGEST_MATCHED:,} characters are not matched with a pattern")
        else:
            yield from check(validator, wanted, instance, schema) or ()

    return checked


def _faults(schema: Schema) -> Iterator[str]:
    """What is wrong with a schema that is JSON."""
    from jsonschema import SchemaError

    if not _is_known(named := schema.get("$schema", "")):
        yield _line(f"$schema: {named!r} is not known")
        return
    try:
        _draft(schema).check_schema(dict(schema))
    except SchemaError as error:
        yield _line(": ".join(filter(None, ["/".join(map(str, error.absolute_path)), error.message])))
        return
    for each in _subschemas(schema):
        yield from _local_faults(each, schema)
    try:
        _validator(schema).is_valid(None)
    except RecursionError:
        yield "refers to itself without an end"


def _local_faults(part: Schema, schema: Schema) -> Iterator[str]:
    """What is wrong with one part of it, looked at alone."""
    for name in ("$id", "$schema"):
        if name in part and part is not schema:
            yield f"{name} may stand at its top only"
    for name in REFERENCES:
        if isinstance(ref := part.get(name), str) and not _resolves(ref, schema):
            yield _line(f"{name}: {ref!r} is not in this schema, and nothing is fetched")
    for pattern in [part.get("pattern"), *_mapping(part.get("patternProperties"))]:
        try:
            re.compile(pattern or "")
        except (re.error, RecursionError, OverflowError) as error:
            yield _line(f"pattern: {pattern!r}: {error}")


def _resolves(ref: str, schema: Schema) -> bool:
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if not ref.startswith("#"):
        return False
    whole = Resource.from_contents({k: v for k, v in schema.items() if k != "$id"}, DRAFT202012)
    try:
        Registry().with_resource("", whole).resolver().lookup(ref)
    except (Unresolvable, ValueError, TypeError, AttributeError):  # what a pointer into no table or list raises
        return False
    return True


def _subschemas(schema: Schema) -> Iterator[Any]:
    """A schema and all that stand in it."""
    waiting = deque([schema])
    while waiting:
        each = waiting.popleft()
        yield each
        for name, value in each.items():
            if name not in DATA:
                held = _mapping(value).values() if name in NAMED else value if isinstance(value, list) else [value]
                waiting.extend(part for part in held if isinstance(part, Mapping))


def _moved(ref: str) -> str:
    stays = not (ref == "#" or ref.startswith("#/")) or ref.split("/")[1:2] in [[name] for name in DEFINITIONS]
    return ref if stays else f"#{ANSWER}{ref[1:]}"


def _claim(given: Any, value: Any) -> Claim | None:
    """A piece of evidence; None where it has not the form that was asked for."""
    fields = _mapping(given)
    document, quote, supports = (fields.get(name, "") for name in ("document", "quote", "supports"))
    if not all(isinstance(each, str) for each in (document, quote, supports)):
        return None
    if not quote.strip() or len(quote) > LONGEST_QUOTE:
        return None
    numbered = _DOCUMENT.fullmatch(document)
    return Claim(f"d{int(numbered[1])}" if numbered else document[:100], quote.strip(), _existing(supports, value))


def _existing(given: str, value: Any) -> str:
    """A pointer to what is there: as far as the given one leads, which may be written in other ways."""
    parts = _parts(given.lstrip("#")) if "/" in given else _WORDS.findall(given)
    if parts[:1] == ["answer"] and "answer" not in _mapping(value):
        parts = parts[1:]
    pointer = ""
    for part in parts:
        if isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            break
        pointer = step(pointer, part)
    return pointer


def _parts(pointer: str) -> list[str]:
    """The names in a pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/") if pointer]


_DOCUMENT = re.compile(r"[^\w]*[dD]?(\d{1,9})[^\w]*", re.ASCII)
_WORDS = re.compile(r"[^.\[\]#]+")
_INDEX = re.compile(r"\d{1,9}", re.ASCII)
_LINE_STARTS = re.compile(r"^[ \t]*(?=\{)", re.MULTILINE)


def _object_in(raw: str) -> dict[str, Any]:
    """The object that a text holds; raises ValueError."""
    first = raw.find("{")
    if first < 0:
        raise ValueError("there is no object in it")
    starts = [first, *(found.end() for found in _LINE_STARTS.finditer(raw, first + 1))][:CANDIDATES]
    failed: list[ValueError] = []
    for start in starts:
        try:
            found, _ = _DECODER.raw_decode(raw, start)
            return dict(found)
        except ValueError as error:
            failed.append(error)
    raise failed[0]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name in made if [each for each, _ in pairs].count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return made


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int:
    """A whole number that others can read too: many take no more than 64 bits."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(float(digits)):
        raise ValueError("a number that is too large")
    return float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_whole, parse_float=_finite)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _clean(value: Any, depth: int = 0) -> Any:
    """The same with strings that can be encoded; raises ValueError where it is too deep."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels deep")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_clean(str(name)): _clean(each, depth + 1) for name, each in value.items()}
    return [_clean(each, depth + 1) for each in value] if isinstance(value, list | tuple) else value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"more than {DEEPEST} levels deep"
    return _line(str(error))


def _line(text: str) -> str:
    """One short line that is safe to show."""
    line = show(" ".join(safe_text(text).split()))
    return line if len(line) <= LONGEST_PROBLEM else line[: LONGEST_PROBLEM - 1] + "…"
