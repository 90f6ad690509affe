"""`longctx engine selftest`: the real checkpoint in our engine, what is saved, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longctx.commands.selftesting import _windows
from longctx.errors import DoesNotFit, ExitCode
from longctx.needle.own_store import own_store, sweep

WINDOW = 8192
COMMAND = (sys.executable, "-P", "-m", "longctx", "engine", "selftest")


def cache_folder() -> Path:
    return Path(os.environ["LONGCTX_HOME"]) / "cache"


@pytest.fixture
def checkpoint(needle: Path) -> Path:
    """The checkpoint, where the command looks for it before it makes one."""
    folder = cache_folder()
    folder.mkdir(parents=True)
    (folder / needle.name).symlink_to(needle)
    return folder


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)


def test_our_engine_finds_every_fact_and_none_that_is_cut(checkpoint: Path, tmp_path: Path) -> None:
    done = run("--tokens", "24576", "--depths", "3", "--out", tmp_path / "out", "--svg", tmp_path / "map.svg")
    assert done.returncode == ExitCode.OK, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["0%", "✓", "✓"] in rows and ["100%", "✓", "✓"] in rows and ["found", "1/1", "3/3"] in rows
    assert "\n4 of 4 facts found\n0 of 2 facts found that a window's edge cuts, as none can be" in done.stdout
    assert "\x1b" not in done.stdout, "no colour where nobody sees it"
    document = json.loads((tmp_path / "out" / "selftest.json").read_text())
    assert document["engine"]["kind"] == "scout" and document["sound"] and len(document["cut_facts"]) == 2
    assert [column["read_tokens"] > WINDOW for column in document["lengths"]] == [True, True]
    assert [fact["cached_tokens"] for fact in document["facts"]] == [0, WINDOW, 3 * WINDOW, 3 * WINDOW]
    assert (tmp_path / "map.svg").read_text().startswith("<svg")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["selftest.json"]
    assert [each.name for each in checkpoint.iterdir() if not each.is_symlink()] == [], "nothing stays stored"


def test_own_files_and_sparse_attention_and_json_alone_on_stdout(checkpoint: Path, make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree({"a.md": "# Tides\n\n" + "The tide turns at noon and the keeper writes it down.\n" * 40})
    done = run("--tokens", "16384", "--depths", "2", "--text", root, "--attention", "sparse:2048", "--json", "-q")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    document = json.loads(done.stdout)
    assert document["attention"] == "sparse:2048" and document["found"] == document["asked"] == 3
    assert document["text"]["source"] == str(root) and 100 < document["text"]["own_tokens"] < WINDOW
    saved = Path(os.environ["LONGCTX_HOME"]) / "state" / "selftest"
    assert sorted(path.suffix for path in saved.iterdir()) == [".json", ".svg"]
    assert json.loads(next(saved.glob("*.json")).read_text()) == document


def test_ctrl_c_leaves_what_was_found_and_no_store(checkpoint: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "--tokens", "131072", "--out", str(tmp_path), "--threads", "1"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(checkpoint.glob("selftest-*/prefix/blocks/**/*.*"))) < 3 and time.monotonic() < deadline:
        assert started.poll() is None, started.communicate()
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    shown, said = started.communicate(timeout=60)
    assert started.returncode == ExitCode.INTERRUPTED, said
    assert "stopped: interrupted" in shown and "✓" in shown and "·" in shown
    document = json.loads((tmp_path / "selftest.json").read_text())
    assert not document["sound"] and document["found"] == document["asked"] >= 1
    assert document["stopped"].startswith("interrupted")
    assert not list(checkpoint.glob("selftest-*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--engine", "evidence"], ExitCode.USAGE, "the engine evidence has no model to test"),
        (["--engine", "scripted"], ExitCode.USAGE, "the engine scripted has no model to test"),
        (["--engine", "none"], ExitCode.ENGINE, "there is no engine 'none'"),
        (["--model", "/nowhere"], ExitCode.USAGE, "--model is not for scout"),
        (["--tokens", "much"], ExitCode.USAGE, "--tokens 'much' must be a whole number"),
        (["--tokens", "8191"], ExitCode.USAGE, "less than a window"),
        (["--tokens", "11M"], ExitCode.DOES_NOT_FIT, "the engine takes 10,485,760"),
        (["--text", "/nowhere"], ExitCode.CORPUS, "no such file"),
        (["--base-url", "http://127.0.0.1:9/v1"], ExitCode.ENGINE, "can't be reached"),
        (["--svg", "/proc/none/map.svg"], ExitCode.FAILED, "can't be written"),
    ],
)
def test_what_can_not_be_tested_is_said_in_a_line(
    checkpoint: Path, words: list[str], code: ExitCode, said: str
) -> None:
    done = run(*words)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("engine:", "saved:"))]
    assert errors[0].startswith("longctx: ") and said in errors[0] and len(errors) <= 3
    assert not list(checkpoint.glob("selftest-*"))


def test_the_checkpoint_is_written_for_servers(tmp_path: Path, needle: Path) -> None:
    (tmp_path / needle.name).symlink_to(needle)
    done = run("--write", tmp_path)
    assert done.returncode == ExitCode.OK
    assert f"longctx engine serve --engine vllm --model {tmp_path / needle.name} --print" in done.stdout
    assert f"longctx engine serve --model {tmp_path / needle.name}\n" in done.stdout


def test_the_question_has_room_within_a_limit() -> None:
    assert _windows(65_536, None) == 8
    assert _windows(65_536, 65_536) == 7
    assert _windows(65_536, 65_536 + 64) == 8
    assert _windows(10_485_760, 10_485_760) == 1279
    with pytest.raises(DoesNotFit) as raised:
        _windows(65_536, 20_000)
    assert raised.value.hint == "--tokens 16384"
    with pytest.raises(DoesNotFit, match="the engine takes 4,096"):
        _windows(WINDOW, 4_096)


def test_a_store_that_a_killed_selftest_left_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    (tmp_path / "selftest-old" / "prefix").mkdir(parents=True)
    (tmp_path / "selftest-file").write_text("not ours")
    (tmp_path / "prefix").mkdir()
    with own_store(tmp_path) as store:
        store.mkdir()
        assert not (tmp_path / "selftest-old").exists()
        sweep(tmp_path)
        with own_store(tmp_path) as other:
            assert store.is_dir() and other != store
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prefix", "selftest-file"]
