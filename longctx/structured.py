"""Answers as JSON that obeys a user's schema, with the evidence beside it: the schema, and the check of what comes.

What an engine gives is checked in every case, also where it was held to the schema. Nothing is ever fetched: a schema
that refers to another file or address is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ingest.naming import show
from longctx.errors import UsageError
from longctx.json_schema import DEFINITIONS, LARGEST, REFERENCES, check_schema, problem, subschemas
from longctx.json_schema import Schema as Schema
from longctx.regular_file import NotRead, regular_beginning
from longctx.strict_json import DECODER, clean, said

LONGEST_QUOTE = 2000  # characters
CLAIMS_MOST = 500
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
        schema = DECODER.decode(regular_beginning(path, LARGEST + 1).decode("utf-8-sig"))
    except NotRead as error:
        raise UsageError(f"{shown}: {error}", "name a file that holds a JSON schema") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{shown}:{error.lineno}: {said(error)}, column {error.colno}", HINT) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: {said(error)}", HINT) from error
    if fault := check_schema(schema):
        raise UsageError(f"{shown}: {fault}", HINT)
    return dict(schema)


def text_of(schema: Schema) -> str:
    """The schema as it is told to a model or an engine."""
    return json.dumps(clean(schema), ensure_ascii=False, separators=(",", ":"))


def wrapped(schema: Schema) -> dict[str, Any]:
    """What an engine is held to: first the evidence, then the user's schema, or null where the documents lack it.

    Its definitions stand where references look for them. Where other references lead into it, it is a definition
    itself: not every engine follows a reference into a list.
    """
    copied = deepcopy(dict(schema))
    definitions = {name: copied.pop(name) for name in DEFINITIONS if name in copied}
    answer: dict[str, Any] = {name: value for name, value in copied.items() if name not in ("$schema", "$id")}
    own = dict(_mapping(definitions.get("$defs")))
    name = next(name for name in _names() if name not in own)
    if _move([answer, definitions], f"#/$defs/{name}"):
        definitions["$defs"] = own | {name: answer}
        answer = {"$ref": f"#/$defs/{name}"}
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
        found = clean(_object_in(raw))
    except (ValueError, RecursionError) as error:
        return Structured(problem=f"not JSON: {said(error)}")
    missing = [name for name in ("evidence", "answer") if name not in found]
    if "answer" in missing or not isinstance(found.get("evidence", []), list):
        return Structured(problem=f"{missing[-1]!r} is missing" if missing else "evidence: is no list")
    value = found["answer"]
    if value is not None and (fault := problem(value, schema)):
        return Structured(problem=fault)
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


def _names() -> Iterator[str]:
    """Names for a definition."""
    yield "answer"
    yield from map("answer{}".format, count(2))


def _move(schemas: Sequence[Any], to: str) -> bool:
    """Write the references in these that go from the top so that they go from there; whether there were any."""
    moved = False
    for each in (part for schema in schemas for part in subschemas(schema)):
        for name in REFERENCES:
            if isinstance(ref := each.get(name), str) and _is_moved(ref):
                each[name], moved = to + ref[1:], True
    return moved


def _is_moved(ref: str) -> bool:
    return (ref == "#" or ref.startswith("#/")) and ref.split("/")[1:2] not in [[name] for name in DEFINITIONS]


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
            found, _ = DECODER.raw_decode(raw, start)
            return dict(found)
        except ValueError as error:
            failed.append(error)
    raise failed[0]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
