"""What a request asks for: OpenAI's fields, checked. What would change an answer and can't be done is refused."""

from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from longctx import vocabulary as llama4
from longctx.completion import plain_ids
from longctx.engines.base import Prompt, Sampling, contiguous
from longctx.serving.fields import Fields
from longctx.serving.refusal import Refused
from longctx.serving.served import Served
from longctx.tokens import Tokenizer
from longctx.vocabulary import Vocabulary

COMPLETION_TOKENS = 16  # where nothing is said, as OpenAI and vLLM have it
CHAT_TOKENS = 1024
MOST_STOPS, LONGEST_STOP = 16, 1000
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

SHARED = frozenset(
    {
        *("model", "stream", "stream_options", "stop", "stop_token_ids", "temperature", "top_p", "seed", "max_tokens"),
        *("return_token_ids", "return_progress"),
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),  # change no answer
        *("request_id", "priority", "cache_prompt"),
    }
)
COMPLETION = SHARED | {"prompt", "window_starts", "add_special_tokens"}
CHAT = SHARED | {"messages", "max_completion_tokens"}
# What other servers can do and this one can't, with the values that ask for nothing.
NEUTRAL: Mapping[str, Collection[object]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "repetition_penalty": (1, 1.0),
    "top_k": (0, -1),
    "min_p": (0, 0.0),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "skip_special_tokens": (True,),
    "include_stop_str_in_output": (False,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "add_special_tokens": (False,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that can be carried out; `from_text` says that its ids were made here."""

    prompt: Prompt
    sampling: Sampling
    stops: tuple[str, ...]
    from_text: bool
    is_chat: bool = False
    stream: bool = False
    include_usage: bool = False
    token_ids: bool = False
    progress: bool = False


def completion(fields: Fields, served: Served) -> Asked:
    """A request for a completion; raises Refused."""
    fields.check_known(COMPLETION, NEUTRAL)
    given = _one(fields)
    prompt = _prompt(fields, _ids(fields, given, served.vocabulary), served.window_tokens)
    answer_tokens = fields.count("max_tokens")
    return _asked(
        fields, served, prompt, COMPLETION_TOKENS if answer_tokens is None else answer_tokens, isinstance(given, str)
    )


def chat(fields: Fields, served: Served) -> Asked:
    """A request for the next message of a dialogue; raises Refused."""
    fields.check_known(CHAT, NEUTRAL)
    ids = dialogue_ids(messages(fields), served.vocabulary)
    limits = [fields.count(name) for name in ("max_completion_tokens", "max_tokens")]
    answer_tokens = next((limit for limit in limits if limit is not None), CHAT_TOKENS)
    return _asked(fields, served, contiguous(ids, served.window_tokens), answer_tokens, from_text=True, is_chat=True)


def _asked(
    fields: Fields, served: Served, prompt: Prompt, answer_tokens: int, from_text: bool, is_chat: bool = False
) -> Asked:
    check_model(fields, served)
    served.check(prompt, answer_tokens, "messages" if is_chat else "prompt")
    stream = fields.flag("stream")
    return Asked(
        prompt=prompt,
        sampling=_sampling(fields, served, answer_tokens),
        stops=_stops(fields),
        from_text=from_text,
        is_chat=is_chat,
        stream=stream,
        include_usage=_include_usage(fields, stream=stream),
        token_ids=fields.flag("return_token_ids"),
        progress=fields.flag("return_progress"),
    )


def check_model(fields: Fields, served: Served) -> None:
    """Refuse the name of another model; none is needed, as there is only one."""
    name = fields.text("model")
    if name is not None and name != served.name:
        raise Refused(
            f"the model {name[:200]!a} is not served here; {served.name!a} is",
            status=404,
            param="model",
            code="model_not_found",
        )


def messages(fields: Fields) -> list[tuple[str, str]]:
    """The role and the text of each message; raises Refused."""
    given = fields.get("messages")
    if not isinstance(given, list) or not given:
        raise fields.refused("messages", "must be a list of messages, one or more")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(given)]


def dialogue_ids(said: "list[tuple[str, str]]", vocabulary: Vocabulary) -> "array[int]":
    """A dialogue as Llama 4's chat models have it, up to the head of the answer; no text becomes a control token."""
    encode, special = Tokenizer(vocabulary).encode, vocabulary.special
    ids = array("I", [special(llama4.BEGIN_OF_TEXT)])
    for role, text in said:
        shown = text.strip() if role == "system" else text  # so Llama 4's own template has it
        ids.extend([*llama4.message_head(role, encode, special), *encode(shown), special(llama4.END_OF_TURN)])
    ids.extend(llama4.message_head("assistant", encode, special))
    return ids


def text_ids(fields: Fields, text: str, vocabulary: Vocabulary) -> "array[int]":
    """The ids of a text, after the begin of text unless add_special_tokens is false."""
    return plain_ids(
        sound(fields, "prompt", text), vocabulary, begun=not fields.flag("add_special_tokens", default=True)
    )


def sound(fields: Fields, name: str, text: str) -> str:
    """The text, which JSON allows to hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise fields.refused(name, f"holds half a character at {error.start:,}") from error
    return text


def packed_ids(fields: Fields, name: str, given: "list[Any]") -> "array[int]":
    """Token ids; raises Refused for what is none."""
    try:
        return array("I", given)
    except (TypeError, OverflowError) as error:
        raise fields.refused(name, "must hold token ids, whole numbers from 0 on") from error


def _one(fields: Fields) -> "str | list[Any]":
    """The one prompt of a request."""
    given = fields.get("prompt")
    if isinstance(given, list) and given and isinstance(given[0], str | list):
        if len(given) > 1:
            raise fields.refused("prompt", "must be one prompt: this server takes one at a time")
        given = given[0]
    if not isinstance(given, str | list):
        raise fields.refused("prompt", "must be a string or a list of token ids")
    return given


def _ids(fields: Fields, given: "str | list[Any]", vocabulary: Vocabulary) -> "array[int]":
    ids = text_ids(fields, given, vocabulary) if isinstance(given, str) else packed_ids(fields, "prompt", given)
    if not ids:
        raise fields.refused("prompt", "is empty")
    return ids


def _prompt(fields: Fields, ids: "array[int]", window_tokens: int) -> Prompt:
    starts = fields.get("window_starts")
    if starts is None:
        return contiguous(ids, window_tokens)
    if not isinstance(starts, list):
        raise fields.refused("window_starts", "must be a list of whole numbers")
    try:
        return Prompt(ids, tuple(packed_ids(fields, "window_starts", starts)), window_tokens)
    except ValueError as error:
        cut = f"must cut {len(ids):,} ids into windows of 1 to {window_tokens:,}, the first from 0 on"
        raise fields.refused("window_starts", cut) from error


def _message(given: object, where: str) -> tuple[str, str]:
    if not isinstance(given, dict):
        raise Refused(f"{where} must be an object with role and content", param=where)
    fields = Fields(given, f"{where}.")
    fields.check_known({"role", "content", "name"}, {"tool_calls": ([],), "refusal": (), "annotations": ([],)})
    role = fields.text("role")
    if role not in ROLES:
        raise fields.refused("role", f"must be one of {', '.join(ROLES)}")
    return ROLES[role], sound(fields, "content", _content(fields))


def _content(fields: Fields) -> str:
    content = fields.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise fields.refused("content", "must be a string or a list of parts")
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise fields.refused("content", 'must hold text only, as in {"type": "text", "text": "…"}')
    return "".join(part["text"] for part in parts)


def _sampling(fields: Fields, served: Served, answer_tokens: int) -> Sampling:
    stops = fields.get("stop_token_ids") or []
    if not isinstance(stops, list):
        raise fields.refused("stop_token_ids", "must be a list of token ids")
    return Sampling(
        max_tokens=answer_tokens,
        temperature=fields.number("temperature", default=1.0, most=100.0),
        top_p=fields.number("top_p", default=1.0, most=1.0, above=0.0),
        seed=fields.count("seed", least=-(2**63)),
        stop_ids=served.stop_ids | set(packed_ids(fields, "stop_token_ids", stops)),
    )


def _stops(fields: Fields) -> tuple[str, ...]:
    given = fields.get("stop")
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise fields.refused("stop", "must be a string or a list of strings, none of them empty")
    if len(stops) > MOST_STOPS or max(map(len, stops), default=0) > LONGEST_STOP:
        raise fields.refused("stop", f"must be at most {MOST_STOPS} strings of at most {LONGEST_STOP:,} characters")
    return tuple(stops)


def _include_usage(fields: Fields, *, stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        raise fields.refused("stream_options", "must be an object, and only with stream")
    inner = Fields(options, "stream_options.")
    inner.check_known({"include_usage"}, {"continuous_usage_stats": (False,), "include_obfuscation": (True, False)})
    return inner.flag("include_usage")
