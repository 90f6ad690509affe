"""Patterns of a JSON schema: those that a schema shares with all languages, and none that takes much memory.

A pattern that repeats repetitions by exact counts is unfolded before it is tried, and no time limit holds then.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from longctx.strict_json import short_line

LONGEST_PATTERN = 10_000  # characters
UNFOLDED_MOST = 10_000  # characters that a pattern is as long as where its counts are written out
_TOKEN = re.compile(
    r"""
    \\[pP]\{[^}]*\} | \\.                                   # a character, or one of a property
    | \[ \^? \]? (?: \\. | [^\]\\] )* \]                    # one of a set
    | \( (?P<group> (?!\?) | \?: | \?<?[=!] | \?P?<\w+> | \?P=\w+ | \?[aimsu]+ (?: : | (?=\)) ) ) | (?P<end> \) )
    | (?P<other> \( \?.? )
    | \{ (?P<count> [0-9]* ) ,? [0-9]* \} | (?P<brace> \{ )
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, to be tried with a limit of time; raises ValueError."""
    import regex

    if fault := next(_faults(pattern), ""):
        raise ValueError(fault)
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(short_line(str(error))) from error


def _faults(pattern: str) -> Iterator[str]:
    if len(pattern) > LONGEST_PATTERN:
        yield f"more than {LONGEST_PATTERN:,} characters"
        return
    for token in _TOKEN.finditer(pattern):
        if token["other"]:
            yield f"a group that begins {token[0]!r} is not taken"
        elif token["brace"]:
            yield "a brace that is no count is written \\{"
        elif token[0].startswith("[") and "[:" in token[0]:
            yield "a set with [: is not taken; write \\[:"
    if _unfolded(pattern) > UNFOLDED_MOST:
        yield f"more than {UNFOLDED_MOST:,} characters where its counts are written out"


def _unfolded(pattern: str) -> int:
    """How long a pattern is where its counts are written out."""
    open_, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        if token["count"] is not None:
            times = max(int(token["count"][:6] or 1), 1)
            open_[-1] += last * (times - 1)
            last *= times
        elif token["group"] is not None:
            open_.append(0)
        else:
            last = open_.pop() if token["end"] and len(open_) > 1 else 1
            open_[-1] += last
    return sum(open_)
