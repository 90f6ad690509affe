"""/tokenize and /detokenize in vLLM's form; text never becomes a control token here."""

from collections.abc import Iterable

from longctx import vocabulary as llama4
from longctx.serving.asked import check_model, dialogue_ids, messages, packed_ids, text_ids
from longctx.serving.fields import Fields
from longctx.serving.served import Served
from longctx.streaming import TextStream
from longctx.vocabulary import Vocabulary

NEUTRAL = {"return_token_strs": (False,), "add_generation_prompt": (True,), "continue_final_message": (False,)}


def tokenized(fields: Fields, served: Served) -> dict[str, object]:
    """The ids of a text or of a dialogue; raises Refused."""
    fields.check_known({"model", "prompt", "messages", "add_special_tokens"}, NEUTRAL)
    check_model(fields, served)
    text = fields.text("prompt")
    if "messages" in fields:
        ids = dialogue_ids(messages(fields), served.vocabulary)
    elif text is not None:
        ids = text_ids(fields, text, served.vocabulary)
    else:
        raise fields.refused("prompt", "is missing")
    return {"count": len(ids), "max_model_len": served.context_tokens, "tokens": ids.tolist(), "token_strs": None}


def detokenized(fields: Fields, served: Served) -> dict[str, object]:
    """The text of ids; raises Refused."""
    fields.check_known({"model", "tokens"}, {})
    check_model(fields, served)
    given = fields.get("tokens")
    if not isinstance(given, list):
        raise fields.refused("tokens", "must be a list of token ids")
    return {"prompt": text_of(packed_ids(fields, "tokens", given), served.vocabulary)}


def text_of(ids: Iterable[int], vocabulary: Vocabulary) -> str:
    """The text of ids; a special token stands as its name, one without a name as U+FFFD."""
    names = {vocabulary.special(number): name for name, number in llama4.SPECIALS.items()}
    size, stream, parts = vocabulary.ordinary_tokens, TextStream(vocabulary), list[str]()
    for each in ids:
        if each < size:
            parts.append(stream.feed(each))
        else:
            parts.extend((stream.finish(), names.get(each, "\ufffd")))
    return "".join([*parts, stream.finish()])
