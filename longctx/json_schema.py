"""JSON schemas that come with documents: which are taken, and what in a value does not obey one.

Nothing is ever fetched: a schema that refers to another file or address is refused, as is one that grows without end
when its references are followed.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from longctx.schema_keywords import TooLong, validator
from longctx.schema_patterns import compiled
from longctx.strict_json import DEEPEST, clean, said, short_line

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Schema = Mapping[str, Any]

LARGEST = 256 << 10  # bytes
UNFOLDED_MOST = 10_000  # schemas that one value is held against where references are followed
LONGEST_VALUE = 100  # characters of a wrong value that are shown
DEFINITIONS = ("$defs", "definitions")
NAMED = ("properties", "patternProperties", "dependentSchemas", "dependencies", *DEFINITIONS)  # schemas by name
DATA = ("const", "enum", "default", "examples", "example")  # in which nothing is a schema
IDS = ("$id", "id")  # the second in draft 4
NOT_TAKEN = "http://json-schema.org/draft-03/schema"  # types that are schemas have no place in what is told of errors
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords whose schemas the same value is held against.
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")


def check_schema(schema: object) -> str:
    """Why this can't be the schema of an answer, in one line; "" where it can."""
    if not isinstance(schema, Mapping):
        return "a JSON schema is an object"
    try:
        if len(json.dumps(schema, allow_nan=False)) > LARGEST:
            return f"larger than {LARGEST >> 10} KiB"
        clean(schema)
    except (TypeError, ValueError, RecursionError) as error:
        return f"not JSON: {said(error)}"
    try:
        return next(_faults(schema), "")
    except TooLong as error:
        return f"not checked: {error}"


def problem(value: Any, schema: Schema) -> str:
    """What is wrong with a value, in one line; "" where nothing is. The schema is one that `check_schema` takes."""
    from jsonschema.exceptions import UnknownType, best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator(_draft(schema), _nameless(schema)).iter_errors(value))
    except RecursionError:
        return "answer: nested too deeply to be checked"
    except TooLong as late:
        return f"answer: {late}"
    except (Unresolvable, UnknownType, TypeError, AttributeError, LookupError, ValueError) as fault:
        return short_line(f"answer: the schema cannot be applied: {fault}")
    if error is None:
        return ""
    place = "/".join(["answer", *map(str, error.absolute_path)])
    return short_line(f"{place}: {_told(error)}")


def subschemas(schema: Schema) -> Iterator[Any]:
    """A schema and all that stand in it."""
    waiting = deque([schema])
    while waiting:
        each = waiting.popleft()
        yield each
        for name, value in each.items():
            if name not in DATA:
                waiting.extend(_held(name, value))


def _told(error: "ValidationError") -> str:
    """The library's words, which begin with the value however long it is."""
    value = repr(error.instance)
    is_long = len(value) > LONGEST_VALUE and error.message.startswith(value)
    return f"{value[:LONGEST_VALUE]}…{error.message[len(value) :]}" if is_long else error.message


def _held(name: str, value: Any) -> Iterator[Any]:
    """The schemas in a keyword's value."""
    by_name = value.values() if name in NAMED and isinstance(value, Mapping) else ()
    held = value if isinstance(value, list) else [value] * (name not in NAMED)
    return (part for part in [*by_name, *held] if isinstance(part, Mapping))


def _draft(schema: Schema) -> "type[Validator]":
    """The draft that it names, else the last one."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


def _nameless(schema: Schema) -> dict[str, Any]:
    """The schema without what it is called, so that its references start at its top."""
    return {name: value for name, value in schema.items() if name not in IDS}


def _is_known(named: object) -> bool:
    """Whether there is a draft of that name: then it does not matter what is taken otherwise."""
    from jsonschema import Draft7Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    others = (Draft7Validator, Draft202012Validator)
    return named == "" or (
        isinstance(named, str) and len({validator_for({"$schema": named}, default=other) for other in others}) == 1
    )


def _faults(schema: Schema) -> Iterator[str]:
    """What is wrong with a schema that is JSON."""
    if not _is_known(named := schema.get("$schema", "")):
        yield short_line(f"$schema: {named!r} is not known")
        return
    if named.removesuffix("#") == NOT_TAKEN:
        yield "$schema: draft 3 is not taken, but all later ones are"
        return
    kind = _draft(schema)
    of_form = validator(kind, kind.META_SCHEMA)
    yield from _form_faults(of_form, schema)
    parts = list(subschemas(schema))
    references = _References(schema, parts, kind.META_SCHEMA["$schema"])
    for part in parts:
        yield from _local_faults(part, schema, references)
    for ref, target in _targets(parts, references).items():
        yield from _form_faults(of_form, target, ref)
    keywords = {name for part in parts for name in part}
    if {"unevaluatedProperties", "patternProperties"} <= keywords:
        yield "unevaluatedProperties is not taken in a schema with patternProperties; write additionalProperties"
    yield from _unfolding_faults(parts, references)


def _form_faults(of_form: "Validator", schema: Any, at: str = "") -> Iterator[str]:
    for error in of_form.iter_errors(schema):
        yield short_line(": ".join(filter(None, [at, "/".join(map(str, error.absolute_path)), _told(error)])))


def _targets(parts: list[Any], references: "_References") -> dict[str, Any]:
    """The schemas that are referred to: they may stand where none is expected, and so none was looked for."""
    refs = {part[name] for part in parts for name in REFERENCES if isinstance(part.get(name), str)}
    return {ref: references.target(ref) for ref in sorted(refs) if ref != "#"}


def _local_faults(part: Schema, schema: Schema, references: "_References") -> Iterator[str]:
    """What is wrong with one part of it, looked at alone."""
    for name in ("$schema", references.id_name):
        if isinstance(part.get(name), str) and part is not schema:
            yield f"{name} may stand at its top only"
    for name in filter(part.__contains__, REFERENCES):
        if references.target(part[name]) is None:
            yield short_line(f"{name}: {part[name]!r} is not in this schema, and nothing is fetched")
    patterns = part.get("patternProperties")
    for pattern in [part.get("pattern"), *(patterns if isinstance(patterns, Mapping) else ())]:
        yield from _pattern_faults(pattern)


def _pattern_faults(pattern: object) -> Iterator[str]:
    if not isinstance(pattern, str):
        return
    try:
        compiled(pattern)
    except ValueError as error:
        yield short_line(f"pattern: {error}: {pattern!r}")


class _References:
    """Where the references of a schema lead; nowhere but to a part of it that is checked too."""

    def __init__(self, schema: Schema, parts: list[Any], draft: str) -> None:
        from referencing import Registry
        from referencing.jsonschema import DRAFT4, specification_with

        kind = specification_with(draft)
        self.id_name = IDS[kind is DRAFT4]
        self._schema = schema
        self._parts = {id(part) for part in parts}
        self._whole = _nameless(schema)
        resource = kind.create_resource(self._whole)
        self._resolver = Registry().with_resource("", resource).crawl().resolver()

    def target(self, ref: object) -> Any:
        """The schema that is meant; None where it is none."""
        from referencing.exceptions import Unresolvable

        if not isinstance(ref, str) or not ref.startswith("#"):
            return None
        try:
            found: Any = self._resolver.lookup(ref).contents
        except (Unresolvable, ValueError, TypeError, AttributeError):  # what a pointer into no table or list raises
            return None
        if found is self._whole:
            return self._schema
        return found if isinstance(found, bool) or id(found) in self._parts else None


def _unfolding_faults(parts: list[Any], references: _References) -> Iterator[str]:
    """Whether there is a value for which following the references would go on for ever, or for very long."""
    known: dict[int, tuple[int, int]] = {}  # how many schemas, and how many of them below each other
    above: set[int] = set()

    def unfolded(part: Any) -> tuple[int, int]:
        if not isinstance(part, Mapping):
            return 1, 1
        if id(part) in above:
            raise ValueError("refers to itself without an end")
        if id(part) not in known:
            above.add(id(part))
            below = [unfolded(each) for each in _in_place(part, references)]
            above.discard(id(part))
            known[id(part)] = 1 + sum(size for size, _ in below), 1 + max((depth for _, depth in below), default=0)
        return known[id(part)]

    try:
        size, depth = (max(each) for each in zip(*map(unfolded, parts), strict=True))
    except RecursionError:
        size, depth = 0, DEEPEST + 1
    except ValueError as error:
        yield str(error)
        return
    if depth > DEEPEST:
        yield f"more than {DEEPEST} levels deep where its references are followed"
    elif size > UNFOLDED_MOST:
        yield f"more than {UNFOLDED_MOST:,} schemas where its references are followed"


def _in_place(part: Schema, references: _References) -> Iterator[Any]:
    """The schemas that a value is held against because it is held against this one."""
    for name in IN_PLACE:
        yield from _held(name, part.get(name))
    for name in REFERENCES:
        if isinstance(ref := part.get(name), str):
            yield references.target(ref)
