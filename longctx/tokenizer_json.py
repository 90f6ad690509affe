"""The byte ranks in a Hugging Face `tokenizer.json`, where it does what a list of ranks does; all else is refused.

Such a file spells each byte as one printable character and lists which pairs may be merged, in order. A list of ranks
says the same in fewer words if every pair that makes a token is listed, and the pairs of a lower rank come first.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

LONGEST_TOKEN = 1024  # each is tried at every split, which takes the square of its length


class UnlikeLlama4(Exception):
    """The file tokenizes otherwise than Llama 4 does; the message says where it differs."""


def ranks(content: bytes, split_pattern: str, specials: Mapping[str, int]) -> dict[bytes, int]:
    """Token bytes to id of the ordinary tokens in a tokenizer.json; raises UnlikeLlama4.

    `specials` are the names of special tokens and how far behind the ordinary ones they stand, where they are there.
    """
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnlikeLlama4("is not JSON") from error
    try:
        found = _ranks(whole, split_pattern)
        _check_specials(whole.get("added_tokens") or [], {name: len(found) + n for name, n in specials.items()})
        return found
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnlikeLlama4("has not the form of a tokenizer.json") from error


def _ranks(whole: Mapping[str, Any], split_pattern: str) -> dict[bytes, int]:
    model = whole["model"]
    if model.get("type", "BPE") != "BPE":
        raise UnlikeLlama4(f"is a {str(model['type'])[:40]} tokenizer, not byte-pair encoding")
    if whole.get("normalizer") is not None:
        raise UnlikeLlama4("changes the text before splitting it")
    if model.get("byte_fallback") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UnlikeLlama4("is not byte-level")
    _check_splitting(whole.get("pre_tokenizer") or {}, split_pattern)
    found = _bytes_of(model["vocab"])
    if not model.get("ignore_merges", False):
        raise UnlikeLlama4("merges even what is one token as a whole (ignore_merges is off)")
    _check_merges(model["merges"], model["vocab"])
    return found


def _check_specials(added: Sequence[Mapping[str, Any]], expected: Mapping[str, int]) -> None:
    for token in added:
        if token["id"] != expected.get(token["content"], token["id"]):
            raise UnlikeLlama4(f"has {token['content']} as {str(token['id'])[:40]}, not {expected[token['content']]}")


def _check_splitting(steps: Mapping[str, Any], split_pattern: str) -> None:
    """One split by Llama 4's pattern, then bytes to characters and nothing more."""
    listed = steps["pretokenizers"] if steps.get("type") == "Sequence" else [steps]
    if [step.get("type") for step in listed] != ["Split", "ByteLevel"]:
        raise UnlikeLlama4("does not split text as Llama 4 does, or is not byte-level")
    split, byte_level = listed
    if split["pattern"].get("Regex") != split_pattern or split["behavior"] != "Isolated" or split.get("invert"):
        raise UnlikeLlama4("splits text by another pattern than Llama 4")
    if byte_level.get("use_regex", True) or byte_level.get("add_prefix_space", True):
        raise UnlikeLlama4("splits text a second time, or puts a space before it")


def _bytes_of(vocabulary: Mapping[str, int]) -> dict[bytes, int]:
    alphabet = byte_alphabet()
    if not all(0 < len(token) <= LONGEST_TOKEN for token in vocabulary):
        raise UnlikeLlama4(f"has a token that is empty or longer than {LONGEST_TOKEN:,} characters")
    try:
        return {bytes(map(alphabet.__getitem__, token)): rank for token, rank in vocabulary.items()}
    except KeyError as error:
        raise UnlikeLlama4(f"is not byte-level: a token holds {error.args[0]!a}") from None


def _check_merges(merges: Sequence[Any], vocabulary: Mapping[str, int]) -> None:
    """Every split of a token into two tokens is a merge, and merges come in the order of what they make."""
    pairs = [tuple(each.split(" ")) if isinstance(each, str) else tuple(each) for each in merges]
    made = [vocabulary.get(left + right, -1) for left, right in pairs]
    if -1 in made or any(after < before for before, after in pairwise(made)):
        raise UnlikeLlama4("merges pairs in another order than that of its ids")
    if len(set(pairs)) != sum(_splits(token, vocabulary) for token in vocabulary):
        raise UnlikeLlama4("has tokens that only some of their pairs are merged into")


def _splits(token: str, vocabulary: Mapping[str, int]) -> int:
    return sum(token[:at] in vocabulary and token[at:] in vocabulary for at in range(1, len(token)))


def byte_alphabet() -> dict[str, int]:
    """The byte that each character stands for: printable Latin-1 for itself, the others from U+0100 on, in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
