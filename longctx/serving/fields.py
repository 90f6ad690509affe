"""The fields of a JSON request, read one by one; a value of another kind is refused by the name of its field."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from ingest.naming import show
from longctx.serving.refusal import Refused
from longctx.serving.structure import check_structure

LONGEST_SHOWN = 60


def parse(body: bytes | bytearray, most_values: int) -> "Fields":
    """The fields of a body; raises Refused for what is no JSON object, or holds more than a request can."""
    check_structure(body, most_values)
    try:
        parsed = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "it is not JSON in UTF-8"
        raise Refused(f"the body can't be read: {reason}") from error
    if not isinstance(parsed, dict):
        raise Refused("the body is not a JSON object")
    return Fields(parsed)


def _no_constant(name: str) -> float:
    raise ValueError(name)


class Fields:
    """A JSON object; a field that is null counts as absent."""

    def __init__(self, values: Mapping[str, Any], within: str = "") -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._within = within

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> Any:
        """The value as it came, None where it is absent."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.refused(name, "must be a string")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.refused(name, "must be true or false")
        return value

    def count(self, name: str, *, least: int = 0, most: int = 2**63 - 1) -> int | None:
        """A whole number within bounds."""
        value = self.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            raise self.refused(name, f"must be a whole number, {least} or more")
        return value

    def number(self, name: str, *, default: float, most: float, above: float | None = None) -> float:
        """A number from 0 to `most`, or above `above`."""
        value = self._values.get(name, default)
        is_number = isinstance(value, float) and math.isfinite(value)  # an int may be too large to be asked for that
        if not is_number and type(value) is not int:
            raise self.refused(name, "must be a number")
        if not (0 if above is None else above) <= value <= most or value == above:
            bounds = f"from 0 to {most:g}" if above is None else f"above {above:g}, and at most {most:g}"
            raise self.refused(name, f"must be a number {bounds}")
        return float(value)

    def check_known(self, known: Collection[str], neutral: Mapping[str, Collection[object]]) -> None:
        """Refuse what is not `known`, unless it has a value that is `neutral`: one that asks for nothing."""
        for name, value in self._values.items():
            if name in known:
                continue
            if name not in neutral:
                raise self.refused(name, "is not supported by this server", code="unsupported_parameter")
            if not any(value == each and type(value) is type(each) for each in neutral[name]):
                raise self.refused(name, "is not supported with this value", code="unsupported_value")

    def refused(self, name: str, what: str, code: str | None = None) -> Refused:
        """The error that a field deserves."""
        shown = show(self._within + name[:LONGEST_SHOWN])
        return Refused(f"{shown} {what}", param=shown, code=code)
