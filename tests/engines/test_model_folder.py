"""What a folder of weights holds is told from little of it."""

from pathlib import Path

import pytest

from longctx.engines.base import Identity
from longctx.engines.model_folder import END_BYTES, folder_digest


def folder(place: Path, weights: bytes, config: str = "{}") -> Path:
    place.mkdir()
    (place / "config.json").write_text(config)
    (place / "model.safetensors").write_bytes(weights)
    (place / "README.md").write_text(str(place))
    return place


def test_equal_models_have_equal_digests_and_others_other_ones(tmp_path: Path) -> None:
    large = bytes(3 * END_BYTES)
    one = folder_digest(folder(tmp_path / "one", large))
    assert folder_digest(folder(tmp_path / "two", large)) == one
    others = [
        folder(tmp_path / "config", large, '{"hidden_size": 1}'),
        folder(tmp_path / "begins", b"x" + large[1:]),
        folder(tmp_path / "ends", large[1:] + b"x"),
        folder(tmp_path / "longer", large + bytes(1)),
    ]
    assert len({one, *map(folder_digest, others)}) == 5


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder_digest(tmp_path / "none")


def test_an_identity_is_known_by_what_decides_its_answers() -> None:
    one = Identity(kind="scout", model="tiny", version="1", where="cpu", digest="bfloat16 dense aa")
    assert Identity(kind="scout", model="tiny", version="2", where="cuda:0", digest=one.digest).key == one.key
    others = [
        Identity(kind="vllm", model="tiny", digest=one.digest),
        Identity(kind="scout", model="large", digest=one.digest),
        Identity(kind="scout", model="tiny", digest="bfloat16 sparse:128 aa"),
        Identity(kind="scout", model="tiny"),
    ]
    assert len({one.key, *(each.key for each in others)}) == 5
