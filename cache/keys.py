"""Names of blocks: a chain of hashes over everything that makes stored bytes usable; hashes only, reads nothing.

A key says which model, which tokens before and which tokens in this window, and so does not have to be compared with
anything but itself; the ids are compared again on a hit all the same.
"""

import hashlib
import json
import re
import sys
from array import array
from dataclasses import asdict, dataclass
from typing import NewType

BlockKey = NewType("BlockKey", str)
KEY_BYTES = 32
ROOT_TAG = b"longctx.root.1\0"
BLOCK_TAG = b"longctx.block.1\0"
KEY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """All that must be equal for stored bytes to mean the same; `layout` is the engine's version of its sections."""

    model: str
    dtype: str
    layout: str
    tokenizer: str
    window_tokens: int

    def root(self) -> BlockKey:
        """The parent of every first block."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return BlockKey(hashlib.blake2b(ROOT_TAG + text.encode(), digest_size=KEY_BYTES).hexdigest())


def child_key(parent: BlockKey, ids: "array[int]") -> BlockKey:
    """The key of the block with these token ids that follows `parent`."""
    digest = hashlib.blake2b(BLOCK_TAG + bytes.fromhex(parent), digest_size=KEY_BYTES)
    digest.update(little_endian(ids))
    return BlockKey(digest.hexdigest())


def name_identity(model: str) -> str:
    """What the name of a model, known by its digest, is remembered under."""
    return f"model|{model}"


def is_key(text: str) -> bool:
    """Whether a name found on disk can be a key at all."""
    return KEY.fullmatch(text) is not None


def little_endian(ids: "array[int]") -> bytes:
    """Token ids as they are hashed and stored: four bytes each, on every machine."""
    words = array("I", ids)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def from_little_endian(raw: bytes) -> "array[int]":
    """The token ids of `little_endian`."""
    words = array("I", raw)
    if sys.byteorder == "big":
        words.byteswap()
    return words
