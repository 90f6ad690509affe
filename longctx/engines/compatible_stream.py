"""The reply to a streamed completion, in pieces of bytes as they come, as chunks of an answer.

What a server sends is not trusted: lines are bounded, values of a wrong type count as absent, and a stream that ends
without a reason or breaks off is an error that says the answer is not whole.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from longctx.engines.compatible_http import error_text
from longctx.errors import EngineError

LONGEST_LINE = 8 << 20
NOT_WHOLE = "the answer is not whole"
_SURROGATE = re.compile("[\ud800-\udfff]")
_LISTED = "token_id:"  # how vLLM names a token under return_tokens_as_token_ids


class ServerSaid(Exception):
    """An error object that a server sent in place of the rest of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a server counted; `cached_tokens` is None where it does not say."""

    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a prompt has been read."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """More of an answer. `ids` is None where a server gives text only; `reason` is its word for why it ended.

    `is_end` is the stream's own mark that nothing more comes.
    """

    text: str = ""
    ids: tuple[int, ...] | None = None
    reason: str = ""
    usage: Usage | None = None
    progress: Progress | None = None
    is_reasoning: bool = False
    is_end: bool = False

    @property
    def has_content(self) -> bool:
        """Whether a model said something."""
        return bool(self.text or self.ids or self.is_reasoning)


def chunks(pieces: Iterable[bytes], url: str) -> Iterator[Chunk]:
    """The chunks of an event stream; raises ServerSaid, and EngineError where it is no stream of answers.

    A stream that just stops is left to the caller, who knows whether a reason came.
    """
    for data in _data(_lines(pieces, url)):
        if data.strip() == b"[DONE]":
            yield Chunk(is_end=True)
            return
        yield chunk(_object(data, url))


def chunk(document: Any) -> Chunk:
    """One chunk of a stream, or a whole completion that came at once; raises ServerSaid for an error object."""
    fields = _table(document)
    if said := _error(fields):
        raise ServerSaid(said)
    choice = _table(next(iter(_list(fields.get("choices"))), None))
    message = _table(choice.get("delta") or choice.get("message"))
    return Chunk(
        text=_text(message.get("content")) or _text(choice.get("text")),
        ids=_ids(choice),
        reason=_text(choice.get("finish_reason")),
        usage=_usage(fields),
        progress=_progress(_table(fields.get("prompt_progress"))),
        is_reasoning=bool(_text(message.get("reasoning_content")) or _text(message.get("reasoning"))),
    )


def _lines(pieces: Iterable[bytes], url: str) -> Iterator[bytes]:
    """Lines without their ends; LF, CRLF and CR end one."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if b"\n" in piece or b"\r" in piece:
            *whole, rest = re.split(rb"\r\n|\n|\r(?!\Z)", waiting)
            yield from whole
            waiting = bytearray(rest)
        if len(waiting) > LONGEST_LINE:
            raise EngineError(f"{url}: a line of more than {LONGEST_LINE >> 20} MiB; {NOT_WHOLE}")
    yield bytes(waiting).rstrip(b"\r")


def _data(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event; comments (a server's heartbeat) and other fields are left out."""
    for line in lines:
        if line.startswith(b"data:"):
            yield line[5:]


def _object(data: bytes, url: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{url}: the stream holds what is no JSON; {NOT_WHOLE}") from error


def _error(fields: dict[str, Any]) -> str:
    """What an error says: in a field of that name, or in an object that is one."""
    if fields.get("error"):
        return error_text(fields) or "an error without a word"
    return error_text(fields) or "an error" if fields.get("object") == "error" else ""


def _ids(choice: dict[str, Any]) -> tuple[int, ...] | None:
    listed = choice.get("token_ids")
    if isinstance(listed, list):
        return tuple(token for token in listed if _is_count(token))
    names = _table(choice.get("logprobs")).get("tokens")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.startswith(_LISTED) for name in names):
        return None
    digits = [name.removeprefix(_LISTED) for name in names]
    return tuple(int(found) for found in digits if re.fullmatch("[0-9]{1,15}", found))


def _usage(fields: dict[str, Any]) -> Usage | None:
    usage, timings = _table(fields.get("usage")), _table(fields.get("timings"))
    details = _table(usage.get("prompt_tokens_details"))
    told = (details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), timings.get("cache_n"))
    counted = Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        answer_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=next((count for count in map(_count, told) if count is not None), None),
    )
    return counted if counted != Usage() else None


def _progress(fields: dict[str, Any]) -> Progress | None:
    done, total = _count(fields.get("processed")), _count(fields.get("total"))
    if done is None or total is None:
        return None
    return Progress(done=min(done, total), total=total, cached=min(_count(fields.get("cache")) or 0, total))


def _text(value: Any) -> str:
    """A string that can be encoded; a surrogate without its other half becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else ""


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if _is_count(value) else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
