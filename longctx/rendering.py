"""A prompt of token ids as chat messages, for servers that take only text; nowhere else do ids become a prompt's text.

Documents may hold the spelling of a control token, and most servers read control tokens out of text. So each spelling
of the model families in use is broken: U+200B ZERO WIDTH SPACE goes in after its first character (`<|eot|>` becomes
`<`U+200B`|eot|>`). Nothing else is changed or lost, and the folding of citations leaves such characters out of account.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from longctx import vocabulary as llama4
from longctx.vocabulary import Vocabulary

ZERO_WIDTH = "\u200b"
ROLES = ("system", "user", "assistant")

# Names that stand between < and >, </ and >: Llama 2, Mistral, Gemma, T5, Qwen, GLM, StarCoder, CodeLlama, Phi, Seed,
# Kimi, InternLM, Baichuan, Nemotron, TeleChat, LongCat, vision models.
_ANGLED = "|".join(
    [
        *("s", "bos", "eos", "unk", "pad", "mask", "cls", "sep", "sop", "eop", "eot", "eod", "eoa", "eoh", "eom"),
        *("pre", "mid", "suf", "think", "tools", "image", "video", "audio", "endoftext"),
        *(r"(?:start|end)_of_[a-z_]+", r"(?:bo|eo)[a-z]_token", r"tool_[a-z_]+", r"fim_[a-z_]+", r"fake_token_[a-z_]+"),
        *(r"extra_id_\d+", r"unused_?\d+", r"reserved_?\d+", r"special_\d+", r"ctrl_?\d+", r"tokens_unused_\d+"),
        *(r"arg_(?:key|value)", r"repo_?name", "filename", "file_sep", "gh_stars", "empty_output", "commit_[a-z]+"),
        *(r"_(?:user|bot|system|observation|start|end|pad)", r"longcat_[a-z_0-9]+"),
        *(r"issue_[a-z]+", r"jupyter_[a-z]+", r"[a-z]+_soft_token", r"(?:seed|minimax):[a-z_:]+"),
    ]
)
# Names that stand between [ and ]: Llama 2, Mistral, Kimi, GLM, BERT, InternLM.
_BRACKETED = "|".join(
    [
        *("INST", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "MODEL_SETTINGS", r"TOOL_[A-Z]+", "ARGS", "CALL_ID", "THINK"),
        *(
            r"IMG(?:_[A-Z]+)?",
            "PREFIX",
            "MIDDLE",
            "SUFFIX",
            "AUDIO",
            "BEGIN_AUDIO",
            "TRANSCRIBE",
            "REF",
            r"control_\d+",
        ),
        *(
            "BOS",
            "EOS",
            "UNK",
            "PAD",
            "EOT",
            "CLS",
            "SEP",
            "[gs]?MASK",
            r"extra_id_\d+",
            r"(?i:unused(?:_token)?_?\d+)",
        ),
    ]
)
_SPELLING = re.compile(
    "|".join(
        [
            r"[<＜](?=[|｜])",  # <|…|> of Llama 3 and 4, Qwen, Phi, GLM, gpt-oss; <｜…｜> of DeepSeek; <|…> of Gemma 4
            r"[<＜](?=[^\s<>|｜]{1,64}[|｜][>＞])",  # <…|> of Gemma 4
            rf"[<＜](?=/?(?i:{_ANGLED})[>＞])",
            r"[<＜](?=(?i:function|parameter)=)",  # <function=…> of Llama 3.1 and Qwen's coders
            r"[◁◀](?=[^\s◁▷◀▶]{1,64}[▷▶])",  # ◁think▷ of Kimi's vision models
            r">(?=>[A-Z]{2,24}<<)",  # >>QUESTION<< of Falcon
            r"<(?=</?SYS>>)",
            rf"\[(?=/?(?:{_BRACKETED})\])",
            r"\[(?=\|)",  # [|…|] of EXAONE
            r"\](?=[~!])|\[(?=e~\[)",  # ]~b], ]~!b[ and [e~[ of MiniMax
        ]
    )
)
# The head of a turn as `plain` writes it, at the beginning of what a model may take for a line.
_LINE_ENDS = r"\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
_TURN = re.compile(
    rf"(?i)(?:\A|(?<=[{_LINE_ENDS}]))[^\S{_LINE_ENDS}]*"
    r"(?:s(?=ystem\s{0,8}[:：])|u(?=ser\s{0,8}[:：])|a(?=ssistant\s{0,8}[:：]))"
)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat; no spelling of a control token is left in its content."""

    role: str
    content: str


def messages(ids: "array[int]", vocabulary: Vocabulary) -> tuple[Message, ...]:
    """The turns of a prompt in Llama 4's chat format, without the empty one that the answer is to fill.

    Ids without any header are one message of the user's. A header with no role in it begins no turn: it is text.
    """
    turns = ((role, "".join(parts)) for role, parts in _turns(ids, vocabulary))
    return tuple(Message(role, neutralise(content)) for role, content in turns if content)


def plain(turns: Sequence[Message]) -> str:
    """The turns as one text that ends where the answer begins, for models that know no chat.

    What a content says like the head of a turn is broken as the spelling of a control token is.
    """
    heads = [f"{turn.role.capitalize()}: {_TURN.sub(_broken, turn.content)}" for turn in turns]
    return "\n\n".join([*heads, "Assistant:"])


def neutralise(text: str) -> str:
    """The text with each spelling of a control token broken after its first character."""
    return _SPELLING.sub(_broken, text)


def _broken(found: re.Match[str]) -> str:
    return found[0] + ZERO_WIDTH


def _turns(ids: "array[int]", vocabulary: Vocabulary) -> list[tuple[str, list[str]]]:
    """Each turn's role and the parts of its text."""
    turns: list[tuple[str, list[str]]] = [("user", [])]
    is_head = False
    for kind, part in _parts(ids, vocabulary):
        text = _text(part, vocabulary)
        if kind == llama4.HEADER_START and text in ROLES:
            turns.append((text, []))
            is_head = True
            continue
        turns[-1][1].append(text.removeprefix("\n\n") if is_head and kind == llama4.HEADER_END else text)
        is_head = False
    return turns


def _parts(ids: "array[int]", vocabulary: Vocabulary) -> "Iterator[tuple[int, array[int]]]":
    """Runs of ordinary ids, each with the special token before it, as Llama 4 numbers it (0 at the beginning)."""
    ordinary = vocabulary.ordinary_tokens
    before, start = 0, 0
    for at in (at for at, token in enumerate(ids) if token >= ordinary):
        yield before, ids[start:at]
        before, start = ids[at] - ordinary + llama4.ORDINARY_TOKENS, at + 1
    yield before, ids[start:]


def _text(ids: Iterable[int], vocabulary: Vocabulary) -> str:
    return b"".join(map(vocabulary.tokens.__getitem__, ids)).decode("utf-8", "replace")
