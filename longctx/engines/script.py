"""What the scripted engine is to say: a TOML file, read and checked.

    context = 100_000             # tokens of prompt and answer; without it as many as Scout takes
    report_cached = true          # false: cached tokens are not reported
    prefill_s = 2.0               # seconds for a prompt of which nothing is cached

    [[answer]]                    # the first whose `match` is found in the question, else the next that has none
    match = "checksum|sentence"   # a regular expression; case does not count
    text = 'It is an XOR [{id:tidewatch/readings.py}: "def checksum"].'
    cut = 3                       # characters in each piece, or "random" with `seed`; without it word by word
    as_ids = false                # true: token ids, as a model in this process gives them
    delay_s = 0.5                 # before the first piece
    tokens_per_s = 40             # 0: at once
    finish = "stop"               # or "length", as if cut short
    warn = "the disk is full"     # said before the first piece
    fail = "the server died"      # the engine fails with this after the text

`{id:PATH}` in a text becomes the id of the document at PATH in the prompt (the end of a path will do); where there is
none it stays as it is.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ingest.naming import show
from longctx.engines.base import Finish
from longctx.errors import EngineError

CONTEXT_TOKENS = 10_485_760
LARGEST_SCRIPT = 4 << 20
HINT = "docs/examples/tour.toml is a script to start from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer of a script."""

    text: str = ""
    match: re.Pattern[str] | None = None
    cut: int | str = 0
    seed: int = 0
    as_ids: bool = False
    delay_s: float = 0.0
    tokens_per_s: float = 0.0
    finish: Finish = Finish.STOP
    warn: str = ""
    fail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a script file says."""

    answers: tuple[Scripted, ...]
    context: int = CONTEXT_TOKENS
    report_cached: bool = True
    prefill_s: float = 0.0

    @property
    def digest(self) -> str:
        """Names what it answers; pace and pieces, and failures, make no other answer."""
        said = [[a.text, a.match.pattern if a.match else None, a.finish, a.warn] for a in self.answers]
        return hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()[:32]


def read_script(file: Path) -> Script:
    """The script in a file; raises EngineError that says which key of which answer is wrong."""
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_SCRIPT + 1)
        if len(content) > LARGEST_SCRIPT:
            raise EngineError(f"{show(str(file))}: larger than {LARGEST_SCRIPT >> 20} MiB, which no script is", HINT)
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise EngineError(f"{show(str(file))}: {error.strerror}", f"--model names the script; {HINT}") from error
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{show(str(file))}: is not valid TOML: {show(str(error))}", HINT) from error
    return _script(table, show(str(file)))


def _script(table: Mapping[str, Any], where: str) -> Script:
    given = dict(table)
    listed = given.pop("answer", None)
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise EngineError(f"{where}: has no [[answer]]", HINT)
    answers = tuple(
        Scripted(**_checked(entry, Scripted, f"{where}: answer {number}"))
        for number, entry in enumerate(listed, start=1)
    )
    return Script(answers=answers, **_checked(given, Script, where))


def _checked(given: Mapping[str, Any], kind: type[Script] | type[Scripted], where: str) -> dict[str, Any]:
    known = {field.name for field in fields(kind)} - {"answers"}
    for key in given:
        if key not in known:
            raise EngineError(f"{where}: unknown key {key!r}", f"it may have {', '.join(sorted(known))}")
    return {key: _value(key, value, where) for key, value in given.items()}


def _value(key: str, value: Any, where: str) -> Any:
    try:
        return CHECKS[key](value)
    except (ValueError, re.error) as error:
        raise EngineError(f"{where}: {key!r} {error}", HINT) from error


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _pattern(value: object) -> re.Pattern[str]:
    try:
        return re.compile(_words(value), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error


def _cut(value: object) -> int | str:
    if value == "random":
        return "random"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError('must be a number of characters, or "random"')


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError("must be a number, 0 or more")
    return float(value)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _finish(value: object) -> Finish:
    if value not in list(Finish):
        raise ValueError(f"must be one of {', '.join(Finish)}")
    return Finish(str(value))


CHECKS: Mapping[str, Callable[[Any], object]] = {
    **dict.fromkeys(("text", "warn", "fail"), _words),
    **dict.fromkeys(("delay_s", "tokens_per_s", "prefill_s"), _number),
    **dict.fromkeys(("as_ids", "report_cached"), _switch),
    **dict.fromkeys(("seed", "context"), _whole),
    "match": _pattern,
    "cut": _cut,
    "finish": _finish,
}
