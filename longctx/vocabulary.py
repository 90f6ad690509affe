"""The Llama 4 vocabulary: where its file is, its ranks and its special tokens.

The ranks come from the package `llama-models` (200,000 byte sequences, tiktoken format). That package is never
imported: only its data file is read.
"""

import hashlib
from binascii import a2b_base64
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from longctx.errors import LongctxError

# meta-llama/llama-models, models/llama4/tokenizer.py: how text is split before byte pairs are merged.
SPLIT_PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

ORDINARY_TOKENS = 200_000
VOCABULARY_TOKENS = 202_048
BEGIN_OF_TEXT = 200_000
HEADER_START = 200_005
HEADER_END = 200_006
END_OF_TURN = 200_008


@dataclass(frozen=True)
class Vocabulary:
    """The ranks in `path`; a rank is the token's id."""

    path: Path

    @cached_property
    def encoded_ranks(self) -> dict[bytes, bytes]:
        """Base64 of a token's bytes to its id in ASCII, as the file has them: the cheapest form to load."""
        fields = iter(self.path.read_bytes().split())
        return dict(zip(fields, fields, strict=True))

    def ranks(self) -> dict[bytes, int]:
        """Token bytes to id."""
        fields = self.path.read_bytes().split()
        return dict(zip(map(a2b_base64, fields[0::2]), map(int, fields[1::2]), strict=True))

    def lengths(self) -> list[int]:
        """The number of UTF-8 bytes of each ordinary token, by id."""
        return [len(a2b_base64(token)) for token in self.path.read_bytes().split()[0::2]]

    @cached_property
    def fingerprint(self) -> str:
        """Names this vocabulary and splitting rule; ids are only comparable under equal fingerprints."""
        digest = hashlib.sha256(SPLIT_PATTERN.encode())
        digest.update(str(self.path.stat().st_size).encode())
        digest.update(self.path.read_bytes())
        return digest.hexdigest()[:16]


def llama4() -> Vocabulary:
    """The vocabulary shipped with `llama-models`; raises LongctxError where that package lacks it."""
    spec = find_spec("llama_models")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "llama4" / "tokenizer.model"
        if path.is_file():
            return Vocabulary(path)
    raise LongctxError("the Llama 4 vocabulary is missing", "pip install llama-models")
