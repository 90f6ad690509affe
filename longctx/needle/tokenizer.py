"""Llama 4's tokenizer as the files that Hugging Face's libraries read, and a chat template to go with it."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

from longctx.tokenizer_json import byte_alphabet
from longctx.vocabulary import (
    BEGIN_OF_TEXT,
    END_OF_TURN,
    ORDINARY_TOKENS,
    SPECIALS,
    SPLIT_PATTERN,
    VOCABULARY_TOKENS,
    llama4,
)

PAD = 200_018
POSITIONS = 10_485_760  # of Scout
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|header_start|>{{ message['role'] }}<|header_end|>\n\n"
    "{{ message['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|header_start|>assistant<|header_end|>\n\n{% endif %}"
)


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`."""
    specials = _specials()
    named = {
        "bos_token": specials[BEGIN_OF_TEXT - ORDINARY_TOKENS],
        "eos_token": specials[END_OF_TURN - ORDINARY_TOKENS],
        "pad_token": specials[PAD - ORDINARY_TOKENS],
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **named}
    config |= {"model_max_length": POSITIONS, "model_input_names": ["input_ids", "attention_mask"]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(specials)), "utf-8")
    config_text = json.dumps(config | {"chat_template": CHAT_TEMPLATE})
    (folder / "tokenizer_config.json").write_text(config_text, "utf-8")


def tokenizer_json(specials: list[str]) -> dict[str, Any]:
    """Every split of a token into two is a merge, in the order of what it makes: the same as a list of ranks."""
    characters = {byte: character for character, byte in byte_alphabet().items()}
    ranks = llama4().ranks()
    spelled = {token: "".join(map(characters.__getitem__, token)) for token in ranks}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    split = {"type": "Split", "pattern": {"Regex": SPLIT_PATTERN}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": ORDINARY_TOKENS + n, "content": name, "special": True, **flags} for n, name in enumerate(specials)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "byte_fallback": False,
            "vocab": {spelled[token]: rank for token, rank in ranks.items()},
            "merges": list(chain.from_iterable(_splits(token, ranks, spelled) for token in ranks)),
        },
    }


def _specials() -> list[str]:
    """The names of all special tokens, by id; those that chats don't use are told apart by number only."""
    known = {token_id: name for name, token_id in SPECIALS.items()}
    return [
        known.get(token_id, f"<|reserved_special_token_{token_id - ORDINARY_TOKENS}|>")
        for token_id in range(ORDINARY_TOKENS, VOCABULARY_TOKENS)
    ]


def _splits(token: bytes, ranks: dict[bytes, int], spelled: dict[bytes, str]) -> list[list[str]]:
    """A token as two tokens, in every way there is; the pair of the lowest ranks first."""
    halves = [(token[:at], token[at:]) for at in range(1, len(token)) if token[:at] in ranks and token[at:] in ranks]
    halves.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return [[spelled[left], spelled[right]] for left, right in halves]
