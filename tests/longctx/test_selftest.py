"""`longctx engine selftest`: the real checkpoint in our engine, what is saved, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest
import typer

from cache.lock import is_free
from longctx.commands import selftesting
from longctx.commands.selftest import _end, _write
from longctx.commands.selftest_options import Order
from longctx.commands.selftesting import Ended, _windows
from longctx.engines.availability import Availability
from longctx.engines.base import (
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Limits,
    Prompt,
    Sampling,
    Token,
)
from longctx.engines.compatible import CompatibleEngine
from longctx.engines.compatible_http import Connection
from longctx.engines.compatible_server import Kind, Server
from longctx.engines.opening import EngineSetup
from longctx.errors import DoesNotFit, EngineError, ExitCode, Interrupted, LongctxError, UsageError
from longctx.needle import own_store as own_stores
from longctx.needle.own_store import own_store, sweep
from longctx.needle.text import Text

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
    assert ["0%", "✓", "✓"] in rows and ["100%", "·", "✓"] in rows and ["found", "1/1", "3/3"] in rows
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


def test_stdout_that_takes_nothing_loses_no_result(checkpoint: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "--tokens", "8192", "--depths", "2", "--out", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == ExitCode.FAILED and "saved: " in done.stderr and "defect" not in done.stderr
    assert json.loads((tmp_path / "selftest.json").read_text())["sound"]


def test_a_locale_of_ascii_is_no_hindrance(checkpoint: Path, tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [*COMMAND, "--tokens", "8192", "--depths", "2", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=environ)
    assert done.returncode == ExitCode.OK, done.stderr
    assert "✓" in done.stdout.decode()


def test_what_is_killed_leaves_the_lengths_that_were_through(checkpoint: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "--tokens", "131072", "--out", str(tmp_path), "--threads", "1", "-q"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "selftest.svg").is_file() and time.monotonic() < deadline:
        assert started.poll() is None, started.communicate()
        time.sleep(0.02)
    started.kill()
    started.communicate(timeout=60)
    document = json.loads((tmp_path / "selftest.json").read_text())
    assert document["stopped"] == "not all is asked yet" and not document["sound"]
    assert document["found"] == document["asked"] >= 1


class Answering:
    """An engine of this process that finds everything, or nothing; `before` is called for each question."""

    def __init__(self, *, finds: bool = True, crosses: bool = False, before: Callable[[int], object] = int) -> None:
        self.finds, self.crosses, self.before, self.questions = finds, crosses, before, 0

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.before(self.questions)
        self.questions += 1
        text, last = prompt.ids[: prompt.starts[-1]], prompt.ids[-1]
        for _ in range(sampling.max_tokens):
            at = text.index(last) if last in text else -1
            is_read = self.finds and at >= 0 and (self.crosses or (at + 1) % WINDOW)
            last = text[at + 1] if is_read else 0
            yield Token(last)
        yield Finished(
            reason=Finish.LENGTH,
            prompt_tokens=len(prompt.ids),
            cached_tokens=0,
            answer_tokens=sampling.max_tokens,
            prefill_s=0.0,
            decode_s=0.0,
        )

    def limits(self) -> Limits:
        return Limits(context_tokens=None)

    def identity(self) -> Identity:
        return Identity(kind="answering")

    def describe(self) -> str:
        return "answering"

    def close(self) -> None: ...


ORDER = Order("scout", 4 * WINDOW, 3, (), quiet=True)


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch, checkpoint: Path, tmp_path: Path) -> Callable[[Answering], Ended]:
    """Test such an engine in place of ours; the result goes to `tmp_path`."""
    text = Text(array("I", [5]) * (4 * WINDOW), "fives", 4 * WINDOW)
    monkeypatch.setattr(selftesting, "_text", lambda *_: text)

    def test(engine: Answering) -> Ended:
        monkeypatch.setattr(selftesting, "open_engine", lambda *_: nullcontext(engine))
        files = selftesting.places("scout", tmp_path, None)
        return selftesting.run(ORDER, EngineSetup(logs=tmp_path), files)

    return test


def test_it_is_saved_after_every_length(tested: Callable[[Answering], Ended], tmp_path: Path) -> None:
    seen = dict[int, int]()

    def look(question: int) -> None:
        file = tmp_path / "selftest.json"
        seen[question] = len(json.loads(file.read_text())["lengths"]) if file.is_file() else 0

    ended = tested(Answering(before=look))
    assert list(seen.values()) == [0, 1, 1, 1, 2, 2, 2, 2, 2, 2] and ended.result.is_sound
    assert json.loads((tmp_path / "selftest.json").read_text()) == ended.result.to_json()


def test_it_is_saved_before_the_engine_is_closed(
    tested: Callable[[Answering], Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, and again while the engine or its store is put away."""

    @contextmanager
    def impatient(_: Path) -> Iterator[Path]:
        yield tmp_path / "store"
        raise KeyboardInterrupt

    def stop(question: int) -> None:
        if question == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(selftesting, "own_store", impatient)
    with pytest.raises(KeyboardInterrupt):
        tested(Answering(before=stop))
    document = json.loads((tmp_path / "selftest.json").read_text())
    assert document["stopped"].startswith("interrupted") and len(document["facts"]) == 4 and document["cut_facts"]


def test_before_the_first_answer_nothing_is_said_to_be_kept(tested: Callable[[Answering], Ended]) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as raised:
        tested(Answering(before=stop))
    assert str(raised.value) == "interrupted"


@pytest.mark.parametrize("engine", [Answering(finds=False), Answering(crosses=True)], ids=["misses", "crosses"])
def test_files_that_can_not_be_written_hide_no_unsound_engine(
    engine: Answering, tested: Callable[[Answering], Ended], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.before = lambda _: (tmp_path / "selftest.json").mkdir(exist_ok=True)
    ended = tested(engine)
    assert ended.unsaved is not None and not ended.result.is_sound
    assert (tmp_path / "selftest.svg").is_file(), "the other file is written all the same"
    with pytest.raises(typer.Exit) as raised:
        _end(ended)
    assert raised.value.exit_code == ExitCode.ENGINE
    assert "selftest.json can't be written" in capsys.readouterr().err
    (tmp_path / "selftest.json").rmdir()
    sound = tested(Answering(before=engine.before))
    with pytest.raises(LongctxError, match="can't be written"):
        _end(sound)


def test_places_are_tried_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(LongctxError, match="Is a directory"):
        selftesting.places("scout", None, tmp_path)
    with pytest.raises(UsageError, match="is where the JSON goes"):
        selftesting.places("scout", tmp_path, tmp_path / "selftest.json")
    assert selftesting.places("scout", tmp_path, Path("/dev/null")).svg == Path("/dev/null")
    assert list(tmp_path.iterdir()) == [], "what was tried is gone"


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
        (["--tokens", "11M"], ExitCode.DOES_NOT_FIT, "more than the model's 10,485,760 positions"),
        (["--tokens", "11M", "--base-url", "http://127.0.0.1:9/v1"], ExitCode.DOES_NOT_FIT, "10,485,760 positions"),
        (["--tokens", "10M", "--base-url", "http://127.0.0.1:9/v1"], ExitCode.ENGINE, "can't be reached"),
        (["--base-url", "http://127.0.0.1:9/v1", "--dtype", "float32"], ExitCode.USAGE, "--dtype is not for openai"),
        (["--base-url", "http://127.0.0.1:9/v1", "--kv-budget", "1G"], ExitCode.USAGE, "--kv-budget is not for openai"),
        (["--engine", "scout", "--base-url", "http://127.0.0.1:9/v1"], ExitCode.USAGE, "--base-url is not for scout"),
        (["--engine", "vllm", "--attention", "sparse:4096"], ExitCode.USAGE, "--attention is not for vllm"),
        (["--write", "/tmp", "--tokens", "10M"], ExitCode.USAGE, "--tokens is not for --write"),
        (["--svg", "/"], ExitCode.FAILED, "can't be written: Is a directory"),
        (["--svg", "/sys/kernel/map.svg"], ExitCode.FAILED, "can't be written"),
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


def test_a_home_that_can_not_be_made_is_no_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGCTX_HOME", "/dev/null/x")
    done = run("--out", tmp_path / "out")
    assert done.returncode == ExitCode.FAILED and "defect" not in done.stderr
    assert "/dev/null/x/cache can't be written" in done.stderr and "longctx paths shows" in done.stderr


def test_what_an_engine_lacks_is_said_before_the_checkpoint_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Availability(name="scout", about="", missing="torch is not installed", fix="pip install torch")
    monkeypatch.setattr(selftesting, "availability", lambda _: lacking)
    monkeypatch.setattr(selftesting, "needle_folder", None)
    with pytest.raises(EngineError, match="torch is not installed") as raised:
        selftesting.run(ORDER, EngineSetup(logs=Path()), selftesting.places("scout", None, None))
    assert raised.value.hint == "pip install torch"


def test_a_disk_without_room_is_said_before_the_checkpoint_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftesting, "_store_bytes", lambda _: 1 << 60)
    monkeypatch.setattr(selftesting, "needle_folder", None)
    with pytest.raises(DoesNotFit, match="are free"):
        selftesting.run(ORDER, EngineSetup(logs=Path()), selftesting.places("scout", None, None))


@pytest.mark.parametrize(("model", "is_said"), [("/models/needle-1", False), ("llama-3", True)])
def test_a_server_with_another_model_is_told_of_at_once(model: str, is_said: bool) -> None:
    server = Server(kind=Kind.VLLM, base="http://127.0.0.1:9/v1", root="http://127.0.0.1:9", model=model)
    with closing(Connection(server.base, api_key=None, timeout_s=1.0)) as connection:
        said = selftesting._another_model(CompatibleEngine(connection, server))
    assert ("only the checkpoint that --write writes" in said) == is_said


def test_the_checkpoint_is_written_for_servers(tmp_path: Path, needle: Path) -> None:
    (tmp_path / needle.name).symlink_to(needle)
    done = run("--write", tmp_path)
    assert done.returncode == ExitCode.OK
    assert f"longctx engine serve --engine vllm --model {tmp_path / needle.name} --print" in done.stdout
    assert f"longctx engine serve --model {tmp_path / needle.name}\n" in done.stdout


def test_the_commands_for_servers_work_in_any_folder(
    tmp_path: Path, needle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / needle.name).symlink_to(needle)
    monkeypatch.chdir(tmp_path)
    _write(Path("."))
    assert f"--model {tmp_path / needle.name}\n" in capsys.readouterr().out


def test_the_question_has_room_within_a_limit() -> None:
    assert _windows(WINDOW, None) == 1
    assert _windows(65_536, None) == 8
    assert _windows(65_536, 65_536) == 7
    assert _windows(65_536, 65_536 + 64) == 8
    assert _windows(10_485_760, 10_485_760) == 1279
    with pytest.raises(DoesNotFit) as raised:
        _windows(65_536, 20_000)
    assert raised.value.hint == "--tokens 16384"
    with pytest.raises(DoesNotFit, match="the engine takes 4,096") as raised:
        _windows(WINDOW, 4_096)
    assert not raised.value.hint, "a server's hint is for servers"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sweep_between_a_folder_and_its_lock_costs_the_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Another selftest that begins sweeps while ours has its folder, and not yet the lock on it."""
    real, calls = is_free, list[int]()

    def swept_meanwhile(lock: int) -> bool:
        calls.append(lock)
        if len(calls) > 1:
            return real(lock)
        for folder in tmp_path.glob("selftest-*"):
            folder.rmdir()
        return real(lock) if when == "before" else False

    monkeypatch.setattr(own_stores, "is_free", swept_meanwhile)
    with own_store(tmp_path) as store:
        store.mkdir()
        assert len(list(tmp_path.iterdir())) == 1 and len(calls) == 2
    assert list(tmp_path.iterdir()) == []


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
