"""A validator for JSON schemas whose work has a bound, whatever the schema and the value.

Patterns are tried for a short time only, equal items are found in one go, and all of it has a deadline.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from longctx.schema_patterns import compiled
from longctx.strict_json import short_line

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

LONGEST_MATCHED = 50_000  # characters of a string that a pattern of the schema is tried on
PATTERN_S = 0.5  # for one pattern on one string
VALIDATION_S = 5.0  # of this thread's time, for all of a value
Check = Callable[..., Iterator[Any] | None]


class TooLong(Exception):
    """A check that was given up."""


def validator(kind: "type[Validator]", schema: Mapping[str, Any]) -> "Validator":
    """One that raises TooLong. Schemas that name their draft again below would be checked without a bound."""
    from jsonschema.validators import extend
    from referencing import Registry

    deadline = time.thread_time() + VALIDATION_S
    checks = {name: _OWN[name](check) if name in _OWN else check for name, check in kind.VALIDATORS.items()}
    timed = {name: _until(deadline, check) for name, check in checks.items()}
    unnamed = {name: value for name, value in schema.items() if name != "$schema"}
    bounded: type[Validator] = extend(kind, timed)  # type: ignore[no-untyped-call] # it has no annotations
    made: Validator = bounded(unnamed, registry=Registry())
    return made


def _until(deadline: float, check: Check) -> Check:
    """A check that is not begun after the deadline. It hands on what the check gives, so that no frame is added."""

    def checked(*given: Any) -> Iterator[Any] | None:
        if time.thread_time() > deadline:
            raise TooLong(f"the schema takes more than {VALIDATION_S:g} seconds to check it")
        return check(*given)

    return checked


def _matches(pattern: str, text: str) -> bool:
    try:
        return compiled(pattern).search(text, timeout=PATTERN_S) is not None
    except TimeoutError as error:
        shown = pattern if len(pattern) <= 60 else pattern[:60] + "…"
        raise TooLong(short_line(f"the pattern {shown!r} takes too long to be tried")) from error


def _pattern(_: Check) -> Check:
    def check(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 # its form
        from jsonschema import ValidationError

        if isinstance(instance, str):
            if problem := _too_long(instance):
                yield ValidationError(problem)
            elif not _matches(pattern, instance):
                yield ValidationError(f"{instance!r} does not match {pattern!r}")

    return check


def _pattern_properties(_: Check) -> Check:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 # its form
        from jsonschema import ValidationError

        names = instance if isinstance(instance, dict) else {}
        if problem := next(filter(None, map(_too_long, names)), ""):
            yield ValidationError(problem)
            return
        for pattern, below in wanted.items():
            for name in names:
                if _matches(pattern, name):
                    yield from validator.descend(instance[name], below, path=name, schema_path=pattern)

    return check


def _additional_properties(given: Check) -> Check:
    """The check as it is, told of the names that patterns match, so that it tries none."""

    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        patterns, known = schema.get("patternProperties", {}), schema.get("properties", {})
        if not patterns or not isinstance(instance, dict):
            return given(validator, wanted, instance, schema)
        matched = [name for name in instance if not _too_long(name) and any(_matches(each, name) for each in patterns)]
        return given(validator, wanted, instance, {"properties": {**dict.fromkeys(matched, True), **known}})

    return check


def _unique_items(_: Check) -> Check:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 # its form
        from jsonschema import ValidationError

        if wanted and isinstance(instance, list) and len(set(map(_canonical, instance))) < len(instance):
            yield ValidationError(f"{instance!r} has non-unique elements")

    return check


def _multiple_of(_: Check) -> Check:
    """As the numbers are written: 19.99 is a multiple of 0.01, whatever is left of them as floats."""

    def check(validator: Any, wanted: float, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001 # its form
        from jsonschema import ValidationError

        if validator.is_type(instance, "number") and Fraction(str(instance)) % Fraction(str(wanted)):
            yield ValidationError(f"{instance!r} is not a multiple of {wanted}")

    return check


def _too_long(text: str) -> str:
    return f"more than {LONGEST_MATCHED:,} characters are not matched with a pattern" * (len(text) > LONGEST_MATCHED)


def _canonical(value: Any) -> str:
    """The same text for values that JSON schema takes for equal: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_OWN: dict[str, Callable[[Check], Check]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
}
