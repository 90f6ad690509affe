"""A manifest in TOML: its values, and the line on which each statement begins.

`tomllib` says what a text means and keeps no lines. Once it has taken the whole, statements are cut apart where no
string and no bracket is open, and each is read alone.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping

from longctx.regular_file import NotRead
from longctx.reports.manifest_values import Lines, Place, Values

# A string that nothing ends goes to the end of its line, a long one to that of the text. Nothing is read twice.
_TOKEN = re.compile(
    r"""
    "{3} (?: [^"\\] | \\. | "(?!"") )*+ (?: "{3,5} | \\?\Z )
    | '{3} (?: [^'] | '(?!'') )*+ (?: '{3,5} | \Z )
    | " (?: [^"\\\n] | \\[^\n] )*+ "?
    | ' [^'\n]*+ '?
    | \# [^\n]*+
    | [\[\]{}\n]
    """,
    re.DOTALL | re.VERBOSE,
)
DEPTH_MOST = 20  # of a dotted key; reading one costs the square of its length
_KEY = re.compile(r"[\w.\t -]+")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"


def read_toml(text: str) -> Values:
    """The values of a TOML text; raises NotRead."""
    if any(key.count(".") > DEPTH_MOST for key in _KEY.findall(_TOKEN.sub(_without_strings, text))):
        raise NotRead("nested too deeply")
    try:
        return Values(tomllib.loads(text), lambda: toml_lines(text))
    except RecursionError:
        raise NotRead("nested too deeply") from None
    except ValueError as error:  # also a number with more digits than Python reads
        raise _not_read(str(error), text) from error


def toml_lines(text: str) -> Lines:
    """The line of each key, table and list element of a valid TOML text."""
    lines: dict[Place, int] = {}
    table: Place = ()
    counts: dict[Place, int] = {}
    for line, statement in statements(text):
        values = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _opened(values, counts)
            places = [table[:length] for length in range(1, len(table) + 1)]
        else:
            places = [table + place for place in _places(values, ())]
        for place in places:
            lines.setdefault(place, line)
    return lines


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with its first line; blank lines and comments are none."""
    depth = begin = 0
    line = begun = 1
    for token in _TOKEN.finditer(text + "\n"):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        line += token[0].count("\n")
        if token[0] == "\n" and depth <= 0:
            statement = text[begin : token.start()]
            if statement.strip() and not statement.lstrip().startswith("#"):
                yield begun, statement
            depth, begin, begun = 0, token.end(), line
    if text[begin:].strip():
        yield begun, text[begin:]


def _without_strings(token: re.Match[str]) -> str:
    return token[0] if len(token[0]) == 1 else "_"


def _opened(values: Mapping[str, object], counts: dict[Place, int]) -> Place:
    """The place of a table from its header, read alone; `counts` holds how many elements each list of tables has."""
    place: Place = ()
    value: object = values
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        place = (*place, name)
        if isinstance(value, list):
            counts[place] = counts.get(place, 0) + 1
            value = value[0]
        if place in counts:
            place = (*place, counts[place] - 1)
    return place


def _places(value: object, place: Place) -> Iterator[Place]:
    if place:
        yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in parts:
        yield from _places(inner, (*place, part))


def _not_read(message: str, text: str) -> NotRead:
    if found := _AT_LINE.search(message):
        return NotRead(message[: found.start()], int(found[1]))
    if message.endswith(_AT_END):
        last = max((line for line, _ in statements(text)), default=1)
        return NotRead(message.removesuffix(_AT_END), last)
    return NotRead("a number has too many digits" if "digits" in message else message)
