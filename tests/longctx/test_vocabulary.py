"""A model folder's own vocabulary: the same ranks from either file, and whatever differs from Llama 4 refused."""

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.errors import EngineError, ExitCode
from longctx.tokenizer_json import byte_alphabet
from longctx.tokens import Tokenizer
from longctx.vocabulary import (
    BEGIN_OF_TEXT,
    END_OF_TURN,
    SPLIT_PATTERN,
    VOCABULARY_TOKENS,
    Vocabulary,
    llama4,
    of_model,
)

MERGED = [b"th", b"the", b" t", b" the", b"he", b"\xc3\xa9", b"\n\n", b"1234", b"12", b"34"]
SMALL = [*(bytes([255 - n]) for n in range(256)), *MERGED]
CHARACTERS = {byte: character for character, byte in byte_alphabet().items()}
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
Fields = dict[str, Any]


def spelled(token: bytes) -> str:
    return "".join(CHARACTERS[byte] for byte in token)


def tokenizer_json(tokens: list[bytes]) -> Fields:
    """A tokenizer.json that says what `tokens`, in the order of their ids, say."""
    known = set(tokens)
    splits = [(t[:at], t[at:]) for t in tokens for at in range(1, len(t)) if {t[:at], t[at:]} <= known]
    split = {"type": "Split", "pattern": {"Regex": SPLIT_PATTERN}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": len(tokens), "content": "<|begin_of_text|>", "special": True} | dict.fromkeys(FLAGS, False)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "byte_fallback": False,
            "vocab": {spelled(token): rank for rank, token in enumerate(tokens)},
            "merges": [[spelled(left), spelled(right)] for left, right in splits],
        },
    }


def tokenizer_model(tokens: list[bytes]) -> bytes:
    return b"".join(b"%b %d\n" % (b64encode(token), n) for n, token in enumerate(tokens))


def model_folder(root: Path, name: str, content: bytes | Fields) -> Path:
    folder = root / name.replace(".", "-")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def test_both_files_give_the_same_vocabulary(tmp_path: Path) -> None:
    from_ranks = of_model(model_folder(tmp_path, "tokenizer.model", tokenizer_model(SMALL)))
    from_json = of_model(model_folder(tmp_path, "tokenizer.json", tokenizer_json(SMALL)))
    assert from_ranks.tokens == from_json.tokens == tuple(SMALL)
    assert from_ranks.fingerprint == from_json.fingerprint != llama4().fingerprint


def test_special_tokens_follow_the_ordinary_ones(tmp_path: Path) -> None:
    own = of_model(model_folder(tmp_path, "tokenizer.model", tokenizer_model(SMALL)))
    assert (own.ordinary_tokens, own.special(BEGIN_OF_TEXT), own.special(END_OF_TURN)) == (266, 266, 274)
    assert (llama4().ordinary_tokens, llama4().special(END_OF_TURN)) == (200_000, END_OF_TURN)


@given(st.text(alphabet="the 1234é\n\t😀x", max_size=60))
def test_a_small_vocabulary_encodes_and_decodes(text: str) -> None:
    tokenizer = Tokenizer(Vocabulary(Path("unused"), tokenizer_model(SMALL)))
    ids = list(tokenizer.encode_fast(text))
    assert tokenizer.decode(ids) == text
    assert list(Tokenizer(tokenizer.vocabulary).encode(text)) == ids


def test_the_tokenizers_library_agrees_on_what_the_json_means() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(SMALL)))
    ours = Tokenizer(Vocabulary(Path("unused"), tokenizer_model(SMALL)))
    for text in ("the theme\n\nof 1234 théories", "thé 12345  then 34", "\tx😀 he"):
        assert theirs.encode(text).ids == list(ours.encode_fast(text))


def test_llama4s_own_file_is_the_shipped_vocabulary(tmp_path: Path) -> None:
    shutil.copy(llama4().path, tmp_path)
    assert of_model(tmp_path) == llama4()


def test_ranks_in_another_order_of_lines_are_the_same_vocabulary(tmp_path: Path) -> None:
    lines = b"\r\n".join(reversed(tokenizer_model(SMALL).splitlines()))
    own = of_model(model_folder(tmp_path, "tokenizer.model", lines))
    assert own.fingerprint == Vocabulary(Path("unused"), tokenizer_model(SMALL)).fingerprint


def test_without_a_file_the_shipped_one_serves_llama4_only(tmp_path: Path) -> None:
    config = {"model_type": "llama4_text", "vocab_size": VOCABULARY_TOKENS}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert of_model(tmp_path) == llama4()
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 32_000}))
    with pytest.raises(EngineError, match=r"no tokenizer\.model and no tokenizer\.json, and 32,000 tokens") as caught:
        of_model(tmp_path)
    assert (caught.value.exit_code, bool(caught.value.hint)) == (ExitCode.ENGINE, True)


def test_a_folder_with_nothing_in_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"config\.json: not found"):
        of_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0a\x09sentencepiece \x00\x01", "not a list of base64 and ids"),
        (b"YQ== 0 YQ==", "not a list of base64 and ids"),
        (b"YQ== zero\n", "not a list of base64 and ids"),
        (b"", "no token for the byte 0x00"),
        (b"= 0\n", "token 0 stands for no byte"),
        (tokenizer_model(SMALL[1:]), "no token for the byte 0xff"),
        (tokenizer_model(SMALL).replace(b" 7\n", b" 8\n"), "not 0 to 265, each once"),
        (tokenizer_model(SMALL).split(b"\n", 1)[1], "not 0 to 264, each once"),
    ],
)
def test_a_broken_list_of_ranks_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        of_model(model_folder(tmp_path, "tokenizer.model", content))
    assert "tokenizer.model" in str(caught.value) and "\n" not in str(caught.value)


def change(*keys: str, to: object) -> Callable[[Fields], None]:
    def apply(fields: Fields) -> None:
        inner: Any = fields
        for key in keys[:-1]:
            inner = inner[int(key) if key.isdigit() else key]
        inner[keys[-1]] = to

    return apply


STEPS = ("pre_tokenizer", "pretokenizers")


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change("model", "type", to="Unigram"), "is a Unigram tokenizer"),
        (change("model", "type", to=["long"] * 5000), "is a ['long', 'long', 'long', 'long', 'long', tokenizer"),
        (change("model", "byte_fallback", to=True), "is not byte-level"),
        (lambda fields: fields["model"]["vocab"].update({"": 266}), "empty or longer than 1,024"),
        (lambda fields: fields["model"]["vocab"].update({"a" * 1025: 266}), "empty or longer than 1,024"),
        (change("model", "ignore_merges", to=False), "ignore_merges is off"),
        (change("model", "vocab", to={"▁the": 0}), "is not byte-level"),
        (change("model", "vocab", to=["a"]), "has not the form"),
        (change("model", to=None), "has not the form"),
        (change("normalizer", to={"type": "NFC"}), "changes the text"),
        (change("pre_tokenizer", to=None), "does not split text"),
        (change(*STEPS, "0", "pattern", to={"Regex": r"\s+"}), "another pattern"),
        (change(*STEPS, "0", "behavior", to="Removed"), "another pattern"),
        (change(*STEPS, "1", "use_regex", to=True), "a second time"),
        (change(*STEPS, "1", "add_prefix_space", to=True), "a second time"),
        (lambda fields: fields["model"]["merges"].reverse(), "another order"),
        (lambda fields: fields["model"]["merges"].append(["t", "zz"]), "another order"),
        (lambda fields: fields["model"]["merges"].pop(0), "only some of their pairs"),
        (change("added_tokens", "0", "id", to=3), "<|begin_of_text|> as 3, not 266"),
        (lambda fields: fields["model"]["merges"].insert(0, ["t"]), "has not the form"),
        (lambda fields: fields["added_tokens"].append(3), "has not the form"),
    ],
)
def test_a_json_that_tokenizes_otherwise_is_refused(
    tmp_path: Path, apply: Callable[[Fields], None], message: str
) -> None:
    fields = tokenizer_json(SMALL)
    apply(fields)
    with pytest.raises(EngineError) as caught:
        of_model(model_folder(tmp_path, "tokenizer.json", fields))
    assert message in str(caught.value) and "tokenizer.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 200_000, b"3", b"[]", b"{}"])
def test_a_json_that_is_none_is_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EngineError, match=r"tokenizer\.json: (is not JSON|has not the form)"):
        of_model(model_folder(tmp_path, "tokenizer.json", content))


def test_every_byte_has_a_character_of_its_own() -> None:
    assert sorted(byte_alphabet().values()) == list(range(256))
    assert byte_alphabet()["Ġ"] == 0x20 and byte_alphabet()["Ċ"] == 0x0A and byte_alphabet()["A"] == 0x41
