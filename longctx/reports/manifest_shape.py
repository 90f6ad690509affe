"""What in a manifest's values is not as its JSON schema says: every fault of it, in words for people.

It knows the part of JSON schema that `manifest_schema` uses. What the values mean is for others to check.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from ingest.naming import show
from longctx.reports.manifest_values import Fault, Place

SHOWN = 40  # characters of a wrong value
LONGEST_NUMBER = 128  # bits of a wrong number that is shown
KINDS = {
    "object": "a table",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}
# What a manifest never says, since it comes with documents: where text is sent, with which key, what is loaded or run.
PERSONAL = frozenset(
    {"api_key", "base_url", "command", "device", "headers", "key", "model", "plugins", "threads", "timeout_s", "url"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def shape_faults(value: object, rule: Mapping[str, Any], place: Place = ()) -> Iterator[Fault]:
    """Everything that the rule does not allow."""
    kind = rule["type"]
    if not _is(kind, value):
        is_bare = kind == "string" and isinstance(value, bool | int | float | date | time)
        quotes = "; put it in quotes" if is_bare else ""
        yield Fault(place, f"expected {expected(rule)}, got {shown(value)}{quotes}")
    elif isinstance(value, dict):
        yield from _table_faults(value, rule, place)
    elif isinstance(value, list):
        yield from _list_faults(value, rule, place)
    elif problem := _text_problem(value, rule) if isinstance(value, str) else _number_problem(value, rule):
        yield Fault(place, problem)


def expected(rule: Mapping[str, Any]) -> str:
    """What a value should have been."""
    if "enum" in rule:
        return " or ".join(filter(None, [", ".join(rule["enum"][:-1]), rule["enum"][-1]]))
    if "minimum" in rule:
        return f"{KINDS[rule['type']]} from {rule['minimum']} to {rule['maximum']:,}"
    return str(rule.get("$comment", KINDS[rule["type"]]))


def shown(value: object) -> str:
    """A wrong value in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return KINDS["object" if isinstance(value, dict) else "array"]
    if isinstance(value, date | time):
        return str(value)
    if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
        return f"a number of {value.bit_length():,} bits"
    text = show(value[: SHOWN + 1]) if isinstance(value, str) else json.dumps(value)
    text = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def near(word: str, known: Sequence[str]) -> str:
    """`; did you mean …?`, where something known is like it."""
    found = get_close_matches(word[:100].lower().replace("-", "_"), known, n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def _is(kind: str, value: object) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value))
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    """1200.0 is a whole number, as in JSON schema."""
    return isinstance(value, float) and value.is_integer()


def _table_faults(table: Mapping[str, object], rule: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    keys = rule["properties"]
    for name in rule["required"]:
        if name not in table:
            yield Fault(place, f'"{name}" is missing')
    for name, value in table.items():
        if name in keys:
            yield from shape_faults(value, keys[name], (*place, name))
        else:
            yield Fault((*place, name), _unknown(name, list(keys)))


def _unknown(name: str, keys: Sequence[str]) -> str:
    if name.lower().replace("-", "_") in PERSONAL:
        return "not for manifests; set it in your own settings, the environment or a flag"
    return f"unknown key{near(name, keys)}"


def _list_faults(values: Sequence[object], rule: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    if not rule.get("minItems", 0) <= len(values) <= rule["maxItems"]:
        yield Fault(place, f"expected {rule.get('minItems', 0)} to {rule['maxItems']:,} of them, got {len(values):,}")
        return
    for i, value in enumerate(values):
        yield from shape_faults(value, rule["items"], (*place, i))


def _text_problem(value: str, rule: Mapping[str, Any]) -> str:
    if len(value) > rule.get("maxLength", len(value)):
        return f"expected {rule['maxLength']:,} characters at the most, got {len(value):,}"
    if found := _CONTROL.search(value):
        return f"has the character U+{ord(found[0]):04X}, which is not text"
    if ("enum" in rule and value not in rule["enum"]) or not _matches(rule.get("pattern", ""), value):
        return f"expected {expected(rule)}, got {shown(value)}"
    return ""


def _matches(pattern: str, value: str) -> bool:
    """In JSON schema $ is the end of a text; in Python a line end may follow."""
    return re.search(pattern.replace("$", r"\Z"), value) is not None


def _number_problem(value: object, rule: Mapping[str, Any]) -> str:
    """Not a number is in no range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or rule["minimum"] <= value <= rule["maximum"]:
        return ""
    return f"expected {expected(rule)}, got {shown(value)}"
