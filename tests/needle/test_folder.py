"""The checkpoint's folder is there whole or not at all, and says what every reader of it needs."""

import json
import os
from pathlib import Path

import pytest

from longctx.engines.scout_opening import check_fits_corpora
from longctx.errors import EngineError
from longctx.needle import folder as folders
from longctx.needle.folder import needle_folder


def test_it_fits_what_the_program_makes_prompts_for(needle: Path) -> None:
    shape = check_fits_corpora(needle)
    assert (shape.layers, shape.nope_layers, shape.max_positions) == (2, (1,), 10_485_760)
    assert shape.kv_bytes_per_token() == 512


def test_it_is_written_once(needle: Path) -> None:
    before = (needle / "model.safetensors").stat().st_mtime_ns
    assert needle_folder(needle.parent) == needle
    assert (needle / "model.safetensors").stat().st_mtime_ns == before


def test_what_stops_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_tokenizer", full)
    with pytest.raises(EngineError, match="No space left"):
        needle_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EngineError, match="can't be written"):
        needle_folder(tmp_path)


def test_transformers_reads_its_tokenizer(needle: Path) -> None:
    from tokenizers import Tokenizer

    from longctx.tokens import Tokenizer as Ours

    text = "What follows Kensington? <|eot|> 12345 ünïcode\n\n  indented"
    theirs = Tokenizer.from_file(str(needle / "tokenizer.json"))
    assert theirs.encode(text.replace("<|eot|>", ""), add_special_tokens=False).ids == list(
        Ours().encode(text.replace("<|eot|>", ""))
    )
    assert theirs.token_to_id("<|eot|>") == 200_008
    assert json.loads((needle / "tokenizer_config.json").read_text())["eos_token"] == "<|eot|>"
