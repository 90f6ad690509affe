"""What is asked of a server for one prompt: a completion of token ids, or of a chat where only text is taken.

A prompt of ten million ids is 70 MB of JSON, so a body is made and kept in pieces.
"""

import json
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from longctx.engines.base import Prompt, Sampling
from longctx.engines.compatible_server import Kind, Server
from longctx.rendering import Message, messages, plain
from longctx.vocabulary import llama4

BLOCK_IDS = 1 << 16
CHAT, COMPLETION = "/chat/completions", "/completions"
LARGEST_SEED = 2**63 - 1  # vLLM takes no larger one
# What an answer can do without, where a server refuses the field.
OPTIONAL = (
    *("stream_options", "seed", "top_p", "temperature", "stop_token_ids", "stop"),
    *("return_token_ids", "logprobs", "return_tokens_as_token_ids", "return_progress", "cache_prompt", "window_starts"),
)
GUIDES = ("response_format", "structured_outputs", "guided_json", "json_schema")  # what holds an answer to a schema
_ABOUT_GUIDES = re.compile(r"response.?format|structured.?output|guided|json.?schema|grammar", re.IGNORECASE)
UNGUIDED = "the server does not hold answers to this schema; that was left out, so the answer is only checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST: `fields` of its JSON and either the ids or the turns of the prompt."""

    path: str
    fields: Mapping[str, Any]
    ids: "array[int] | None" = None
    turns: tuple[Message, ...] = ()

    def pieces(self) -> list[bytes]:
        """The JSON, piece by piece."""
        head = json.dumps(self.fields).encode()[:-1]
        if self.ids is not None:
            return [head + b', "prompt": [', *_numbers(self.ids), b"]}"]
        if self.path == COMPLETION:
            return [head + b', "prompt": ', json.dumps(plain(self.turns)).encode(), b"}"]
        turns = [{"role": turn.role, "content": turn.content} for turn in self.turns]
        return [head + b', "messages": ', json.dumps(turns, ensure_ascii=False).encode(), b"}"]


def request(server: Server, prompt: Prompt, sampling: Sampling) -> Request:
    """The best way to ask this server; ids where it takes them."""
    fields = _fields(server, sampling) | _guide(server, sampling.schema)
    if not server.takes_ids:
        return Request(path=CHAT, fields=fields, turns=messages(prompt.ids, llama4()))
    if sampling.stop_ids:
        fields["stop_token_ids"] = sorted(sampling.stop_ids)
    return Request(path=COMPLETION, fields=fields | _extensions(server, prompt), ids=prompt.ids)


def adapted(asked: Request, status: int, said: str) -> tuple[Request, str] | None:
    """The request without what the server has just refused, and what that changes; None where nothing helps."""
    if asked.path == CHAT and _lacks_chat(status, said):
        stop = {"stop": ["\n\nUser:"]}
        changed = "no chat is served there; the model gets the conversation as one text"
        return replace(asked, path=COMPLETION, fields={**asked.fields, **stop}), changed
    if status not in (400, 422):
        return None
    if "max_tokens" in asked.fields and "max_completion_tokens" in said:
        fields = {name: value for name, value in asked.fields.items() if name != "max_tokens"}
        return replace(asked, fields={**fields, "max_completion_tokens": asked.fields["max_tokens"]}), ""
    guide = _ABOUT_GUIDES.search(said) if asked.fields.keys() & set(GUIDES) else None
    before = said[: guide.start()] if guide else said  # behind it stand names out of the schema
    for name in OPTIONAL:
        if name in asked.fields and re.search(rf"\b{name}\b", before):
            fields = {key: value for key, value in asked.fields.items() if key != name}
            return replace(asked, fields=fields), f"the server does not take {name!r}; it was left out"
    return _less_guided(asked) if guide else None


def _less_guided(asked: Request) -> tuple[Request, str]:
    """Without the strictness that takes a part of JSON schema only; where that is gone already, without a schema."""
    form = asked.fields.get("response_format", {}).get("json_schema", {})
    if form.get("strict"):
        loose = {"type": "json_schema", "json_schema": {**form, "strict": False}}
        return replace(asked, fields={**asked.fields, "response_format": loose}), ""
    return replace(asked, fields={name: each for name, each in asked.fields.items() if name not in GUIDES}), UNGUIDED


def _fields(server: Server, sampling: Sampling) -> dict[str, Any]:
    """What every server is told; top_p too, for a checkpoint may come with another default."""
    fields: dict[str, Any] = {
        "model": server.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": max(sampling.max_tokens, 1),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    if sampling.seed is not None and sampling.temperature > 0:
        fields["seed"] = sampling.seed & LARGEST_SEED
    return fields


def _guide(server: Server, schema: str) -> dict[str, Any]:
    """What holds the answer to a schema in this kind of server; nothing where none is asked for, or it has none."""
    if not schema or server.kind is Kind.LONGCTX:
        return {}
    document = json.loads(schema)
    match server.kind if server.takes_ids else None:
        case Kind.VLLM:
            named = {"guided_json": document} if _is_before(server.version, (0, 11)) else None
            return named or {"structured_outputs": {"json": document}}
        case Kind.SGLANG:
            return {"json_schema": schema}
        case Kind.LLAMA_CPP:
            return {"json_schema": document}
        case _:
            form = {"name": "answer", "schema": document, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": form}}


def _is_before(version: str, first: tuple[int, int]) -> bool:
    found = re.match(r"v?(\d{1,6})\.(\d{1,6})", version)
    return found is not None and (int(found[1]), int(found[2])) < first


def _extensions(server: Server, prompt: Prompt) -> dict[str, Any]:
    """What only this kind of server understands.

    vLLM names each token of the answer in its logprobs; its `return_token_ids` would send the whole prompt back.
    """
    match server.kind:
        case Kind.LONGCTX:
            return {"window_starts": list(prompt.starts), "return_progress": True, "return_token_ids": True}
        case Kind.VLLM:
            return {"logprobs": 0, "return_tokens_as_token_ids": True}
        case Kind.LLAMA_CPP:
            return {"return_progress": True, "cache_prompt": True}
        case _:
            return {}


def _lacks_chat(status: int, said: str) -> bool:
    """No such path (as against no such model), or a model without a chat template."""
    return (status in (404, 405, 501) and "model" not in said.lower()) or "chat template" in said.lower()


def _numbers(ids: "array[int]") -> Iterator[bytes]:
    for start in range(0, len(ids), BLOCK_IDS):
        block = ",".join(map(str, ids[start : start + BLOCK_IDS])).encode()
        yield block if start == 0 else b"," + block
