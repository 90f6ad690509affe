"""The checkpoint's folder is there whole or not at all, and says what every reader of it needs."""

import errno
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from longctx.engines.scout_opening import check_fits_corpora
from longctx.errors import EngineError
from longctx.needle import folder as folders
from longctx.needle.folder import needle_folder, sweep


def test_it_fits_what_the_program_makes_prompts_for(needle: Path) -> None:
    shape = check_fits_corpora(needle)
    assert (shape.layers, shape.nope_layers, shape.max_positions) == (2, (1,), 10_485_760)
    assert shape.kv_bytes_per_token() == 512


def test_it_is_written_once(needle: Path) -> None:
    before = (needle / "model.safetensors").stat().st_mtime_ns
    assert needle_folder(needle.parent) == needle
    assert (needle / "model.safetensors").stat().st_mtime_ns == before


def test_its_number_stands_for_these_very_bytes(needle: Path) -> None:
    """Where this fails what is written has changed: then CONSTRUCTION must change too, and both lines here."""
    digest = hashlib.sha256()
    for path in sorted(needle.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    assert (needle.name, digest.hexdigest()) == (
        "needle-1",
        "6451dc7f6176d5152662bb3b14f50e7511107154e75ea9040a90d5b154b1f405",
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a few bytes in place of the whole one."""

    def write(folder: Path) -> None:
        (folder / folders.WEIGHTS).write_bytes(b"weights")

    monkeypatch.setattr(folders, "write_folder", write)
    monkeypatch.setattr(folders, "WEIGHTS_BYTES", 7)


@pytest.mark.usefixtures("small")
def test_a_folder_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    folder = needle_folder(tmp_path)
    (folder / folders.WEIGHTS).write_bytes(b"weig")
    assert needle_folder(tmp_path) == folder and (folder / folders.WEIGHTS).read_bytes() == b"weights"
    shutil.rmtree(folder)
    folder.mkdir()
    assert (needle_folder(tmp_path) / folders.WEIGHTS).read_bytes() == b"weights"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.usefixtures("small")
def test_one_that_another_process_has_just_written_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = folders.write_folder

    def beaten(folder: Path) -> None:
        write(folder)
        theirs = folders.needle_path(tmp_path)
        theirs.mkdir()
        write(theirs)
        (theirs / "theirs").touch()

    monkeypatch.setattr(folders, "write_folder", beaten)
    assert (needle_folder(tmp_path) / "theirs").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [folders.needle_path(tmp_path).name]


@pytest.mark.usefixtures("small")
def test_other_users_may_read_it_as_the_mask_has_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        assert stat.S_IMODE(needle_folder(tmp_path).stat().st_mode) == 0o755
    finally:
        os.umask(mask)


def test_earlier_constructions_and_what_was_killed_are_swept(tmp_path: Path) -> None:
    for name in ("needle-0123456789ab", "needle-1", ".needle-old", ".needle-new", "prefix"):
        (tmp_path / name).mkdir()
    (tmp_path / "needle-link").symlink_to(tmp_path / "prefix")
    os.utime(tmp_path / ".needle-old", (0, 0))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".needle-new", "needle-1", "needle-link", "prefix"]


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "0.4 GB are needed there"), (errno.EROFS, "of yours")])
def test_only_a_full_disk_is_told_to_need_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fails(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folders, "write_folder", fails)
    with pytest.raises(EngineError) as raised:
        needle_folder(tmp_path)
    assert hint in raised.value.hint


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
