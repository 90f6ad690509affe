"""Answers in OpenAI's form, whole and in chunks, with what vLLM and llama.cpp add to it: ids, progress."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from longctx.engines.base import Finished, Prefilled
from longctx.serving.asked import Asked
from longctx.serving.refusal import error_body
from longctx.serving.served import Served

OWNER = "longctx"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The form of one request's answer."""

    asked: Asked
    model: str
    version: str
    created: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def whole(self, text: str, ids: Sequence[int], finished: Finished) -> dict[str, Any]:
        """The answer in one object."""
        said: dict[str, Any] = {"text": text}
        if self.asked.is_chat:
            said = {"message": {"role": "assistant", "content": text}}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": str(finished.reason)}
        return {
            **self._head("chat.completion" if self.asked.is_chat else "text_completion"),
            **(self._prompt_ids() if self.asked.is_chat else {}),
            "choices": [{**choice, **self._ids(ids), **({} if self.asked.is_chat else self._prompt_ids())}],
            "usage": usage(finished),
        }

    def opening(self) -> list[bytes]:
        """The chunk that comes before the first text of a chat's answer; a completion has none."""
        if not self.asked.is_chat:
            return []
        return [self._chunk({"delta": {"role": "assistant", "content": ""}}, **self._prompt_ids())]

    def piece(self, text: str, ids: Sequence[int], *, is_first: bool) -> bytes:
        """More of the answer."""
        if self.asked.is_chat:
            return self._chunk({"delta": {"content": text}, **self._ids(ids)})
        return self._chunk({"text": text, **self._ids(ids), **(self._prompt_ids() if is_first else {})})

    def closing(self, finished: Finished) -> list[bytes]:
        """The chunks that end an answer."""
        end: dict[str, Any] = {"delta": {}} if self.asked.is_chat else {"text": ""}
        chunks = [self._chunk(end, finish_reason=str(finished.reason))]
        if self.asked.include_usage:
            chunks.append(_event({**self._head(), "choices": [], "usage": usage(finished)}))
        return [*chunks, DONE]

    def progress(self, prefilled: Prefilled, seconds: float) -> bytes:
        """How far the prompt is, as llama.cpp says it: `processed` holds what came from the store."""
        told = {
            "total": prefilled.total,
            "cache": prefilled.cached,
            "processed": prefilled.done,
            "time_ms": round(seconds * 1000),
        }
        return _event({**self._head(), "choices": [], "prompt_progress": told})

    def _chunk(self, said: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._head(), **more, "choices": [choice]})

    def _head(self, kind: str | None = None) -> dict[str, Any]:
        chunk = "chat.completion.chunk" if self.asked.is_chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if self.asked.is_chat else 'cmpl'}-{self.id}",
            "object": kind or chunk,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.version,
        }

    def _ids(self, ids: Sequence[int]) -> dict[str, Any]:
        return {"token_ids": list(ids)} if self.asked.token_ids else {}

    def _prompt_ids(self) -> dict[str, Any]:
        """The ids of a prompt that came as text; who sent ids has them."""
        shown = self.asked.token_ids and self.asked.from_text
        return {"prompt_token_ids": self.asked.prompt.ids.tolist()} if shown else {}


def usage(finished: Finished) -> dict[str, Any]:
    """The tokens of an answer; a stop token that ended it does not count."""
    return {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.answer_tokens,
        "total_tokens": finished.prompt_tokens + finished.answer_tokens,
        "prompt_tokens_details": {"cached_tokens": finished.cached_tokens or 0},
    }


def model_card(served: Served, created: int) -> dict[str, Any]:
    """The one entry of /v1/models."""
    return {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": OWNER,
        "root": served.root,
        "parent": None,
        "max_model_len": served.context_tokens,
        "window_tokens": served.window_tokens,
    }


def comment(text: str) -> bytes:
    """A line that a reader of events skips: it only shows that the server is alive."""
    return f": {text}\n\n".encode()


def error_event(message: str) -> bytes:
    """What ended a stream that had begun."""
    return _event(error_body(message, kind="server_error"))


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"
