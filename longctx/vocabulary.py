"""The Llama 4 vocabulary: where its file is, its ranks and its special tokens.

The ranks come from the package `llama-models` (200,000 byte sequences, tiktoken format). That package is never
imported: only its data file is read. A model folder's own vocabulary is taken where it has one, if it splits text
and merges bytes as Llama 4's does; any other kind of tokenizer is refused.
"""

import hashlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

from longctx.errors import EngineError, LongctxError

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
END_OF_TEXT = 200_001
HEADER_START = 200_005
HEADER_END = 200_006
END_OF_MESSAGE = 200_007
END_OF_TURN = 200_008

SPECIALS = {
    "<|begin_of_text|>": BEGIN_OF_TEXT,
    "<|end_of_text|>": END_OF_TEXT,
    "<|header_start|>": HEADER_START,
    "<|header_end|>": HEADER_END,
    "<|eom|>": END_OF_MESSAGE,
    "<|eot|>": END_OF_TURN,
}

RANKS_FILE = "tokenizer.model"
JSON_FILE = "tokenizer.json"
LARGEST_FILE = 256 << 20


@dataclass(frozen=True)
class Vocabulary:
    """The ranks in `path`, or in `listed` where that file has another form; a rank is the token's id."""

    path: Path
    listed: bytes | None = None

    @property
    def content(self) -> bytes:
        """A line a token, in the order of ids: base64 of its bytes, a space, the id."""
        return self.path.read_bytes() if self.listed is None else self.listed

    @cached_property
    def encoded_ranks(self) -> dict[bytes, bytes]:
        """Base64 of a token's bytes to its id in ASCII, as the file has them: the cheapest form to load."""
        fields = iter(self.content.split())
        return dict(zip(fields, fields, strict=True))

    def ranks(self) -> dict[bytes, int]:
        """Token bytes to id."""
        fields = self.content.split()
        return dict(zip(map(a2b_base64, fields[0::2]), map(int, fields[1::2]), strict=True))

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of each ordinary token, by id."""
        return tuple(map(a2b_base64, self.content.split()[0::2]))

    def lengths(self) -> list[int]:
        """The number of UTF-8 bytes of each ordinary token, by id."""
        return [len(a2b_base64(token)) for token in self.content.split()[0::2]]

    @cached_property
    def ordinary_tokens(self) -> int:
        """How many tokens stand for bytes; the special ones follow them."""
        return self.content.count(b"\n")

    def special(self, llama4_id: int) -> int:
        """The id here of the special token that has `llama4_id` in Llama 4's own vocabulary."""
        return llama4_id - ORDINARY_TOKENS + self.ordinary_tokens

    @cached_property
    def fingerprint(self) -> str:
        """Names this vocabulary and splitting rule; ids are only comparable under equal fingerprints."""
        content = self.content
        digest = hashlib.sha256(SPLIT_PATTERN.encode())
        digest.update(str(len(content)).encode())
        digest.update(content)
        return digest.hexdigest()[:16]


def message_head(role: str, encode: Callable[[str], Sequence[int]], special: Callable[[int], int] = int) -> list[int]:
    """The ids that begin a message in Llama 4's chat format: the role is text, what stands about it control tokens.

    `special` gives the id of Llama 4's control tokens in another vocabulary.
    """
    return [special(HEADER_START), *encode(role), special(HEADER_END), *encode("\n\n")]


@cache
def llama4() -> Vocabulary:
    """The vocabulary shipped with `llama-models`; raises LongctxError where that package lacks it."""
    spec = find_spec("llama_models")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "llama4" / RANKS_FILE
        if path.is_file():
            return Vocabulary(path)
    raise LongctxError("the Llama 4 vocabulary is missing", "pip install llama-models")


def of_model(folder: Path) -> Vocabulary:
    """The vocabulary of a model folder: its own, or Llama 4's where it has none but as many tokens as Llama 4.

    Raises EngineError.
    """
    for name, read in ((RANKS_FILE, _ranks_of_model), (JSON_FILE, _ranks_of_json)):
        path = folder / name
        if path.is_file():
            return _same_as_shipped(Vocabulary(path, _listing(path, read(path, _content(path)))))
    size = _model_tokens(folder)
    if size == VOCABULARY_TOKENS:
        return llama4()
    raise EngineError(
        f"{folder}: no {RANKS_FILE} and no {JSON_FILE}, and {size:,} tokens are not Llama 4's",
        "put the model's own tokenizer into its folder",
    )


def _model_tokens(folder: Path) -> int:
    from longctx.scout.config import read_config
    from longctx.scout.errors import CheckpointError

    try:
        return read_config(folder).vocab
    except CheckpointError as error:
        raise EngineError(str(error)) from error


def _same_as_shipped(own: Vocabulary) -> Vocabulary:
    """The shipped vocabulary where `own` is the same: what is stored and loaded for it is good for both."""
    shipped = llama4()
    return shipped if shipped.content == own.listed else own


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise EngineError(f"{path}: larger than {LARGEST_FILE >> 20} MiB, which no vocabulary is")
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}", "is the file whole and readable?") from error


def _ranks_of_model(path: Path, content: bytes) -> dict[bytes, int]:
    fields = content.split()
    try:
        return dict(zip(map(a2b_base64, fields[0::2]), map(int, fields[1::2]), strict=True))
    except (ValueError, Base64Error) as error:
        raise EngineError(
            f"{path}: not a list of base64 and ids, as Llama 4 has it", "a SentencePiece model can't be used"
        ) from error


def _ranks_of_json(path: Path, content: bytes) -> Mapping[bytes, int]:
    from longctx.tokenizer_json import UnlikeLlama4, ranks

    try:
        return ranks(content, SPLIT_PATTERN, {name: n - ORDINARY_TOKENS for name, n in SPECIALS.items()})
    except UnlikeLlama4 as error:
        raise EngineError(f"{path}: {error}", f"put Llama 4's {RANKS_FILE} into the folder") from error


def _listing(path: Path, ranks: Mapping[bytes, int]) -> bytes:
    """The ranks as a file of tiktoken's form; raises EngineError where ids are missing or a byte has none."""
    ordered = sorted(ranks, key=ranks.__getitem__)
    if [ranks[token] for token in ordered] != list(range(len(ordered))):
        raise EngineError(f"{path}: its ids are not 0 to {len(ordered) - 1:,}, each once", "is the file whole?")
    if b"" in ranks:
        raise EngineError(f"{path}: token {ranks[b'']:,} stands for no byte", "is the file whole?")
    lacking = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if lacking:
        raise EngineError(f"{path}: no token for the byte 0x{lacking[0]:02x}", "is the file whole?")
    return b"".join(b"%b %d\n" % (b2a_base64(token, newline=False), n) for n, token in enumerate(ordered))
