"""`longctx cache`: a corpus is read ahead, and what that stored is listed, checked, kept and dropped."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cache.keys import Fingerprint, name_identity
from cache.store import DiskStore
from longctx import cli, paths
from longctx.byte_count import parse_bytes
from longctx.commands.prefixes import when
from longctx.commands.warming import Warmed, Warming, interrupted
from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Prompt, Warned
from longctx.errors import ExitCode, Interrupted, StoreError
from longctx.narration import ProgressLine

SHAPE = {
    "model_type": "llama4_text",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 8,
    "intermediate_size_mlp": 8,
    "num_local_experts": 2,
    "no_rope_layer_interval": 2,
    "vocab_size": 202_048,
    "attention_chunk_size": 8192,
    "max_position_embeddings": 1 << 20,
    "dtype": "float32",
}
TINY = Fingerprint(model="5eed" * 8, dtype="bfloat16", layout="nope-kv/1 dense", tokenizer="t", window_tokens=16)
BLOCK = 8192  # what one of the small blocks below occupies: a page of header and one of payload
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def longctx(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longctx", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            sys.exit(cli.main())
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return longctx


@pytest.fixture
def folder() -> Path:
    return paths.ensure(paths.locate(os.environ).cache) / "prefix"


@pytest.fixture
def fill(folder: Path) -> Callable[..., list[str]]:
    """Store a chain of windows with these first ids, last used `days` ago; its keys."""

    def make(*firsts: int, days: float = 0.0) -> list[str]:
        windows = [array("I", range(first, first + 16)) for first in firsts]
        with (
            DiskStore.open(folder, clock=lambda: time.time() - days * 86_400) as store,
            store.chain(TINY, windows) as chain,
        ):
            for ids in windows[len(chain.blocks) :]:
                chain.append(ids, {"1.keys": bytes(BLOCK // 2)})
            return [block.key for block in chain.blocks]

    return make


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from safetensors.torch import save_file

    from longctx.scout.config import read_config
    from longctx.scout.names import shapes

    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text(json.dumps(SHAPE))
    draw = torch.Generator().manual_seed(4)
    tensors = shapes(read_config(folder), fused=True).items()
    save_file({name: torch.randn(shape, generator=draw) * 0.1 for name, shape in tensors}, folder / "model.safetensors")
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two windows and a little."""
    text = "\n\n".join(f"The tide at mole {n} turns at {n % 24} and reaches {n % 9} metres." for n in range(1400))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "tides.md").write_text(text)
    return tmp_path / "corpus"


def document(said: tuple[int, str, str]) -> Any:
    code, out, err = said
    assert code == 0, err
    return json.loads(out)


def test_an_empty_store_says_how_to_fill_it(run: Run) -> None:
    code, out, _ = run("cache", "ls")
    assert code == 0 and "longctx cache warm" in out
    assert document(run("cache", "ls", "--json"))["prefixes"] == []
    assert run("cache", "verify")[:2] == (0, "0 windows, 0 B, none bad\n")


def test_a_chain_is_one_row_and_windows_are_counted_once(run: Run, fill: Callable[..., list[str]]) -> None:
    long, branch = fill(0, 100, 200), fill(0, 100, 300)
    _, out, _ = run("cache", "ls")
    heading, first, second, total = out.splitlines()
    assert heading.split() == ["key", "last", "used", "windows", "tokens", "size", "model"]
    assert {first.split()[0], second.split()[0]} == {long[-1][:12], branch[-1][:12]}
    assert first.split()[3:] == ["3", "48", "24.6", "kB", "5eed5eed", "bfloat16", "dense"]
    assert total.startswith("4 windows, 32.8 kB of ")
    listed = document(run("cache", "ls", "--json"))
    assert (listed["windows"], listed["bytes"]) == (4, 4 * BLOCK)
    assert {(row["key"], row["windows"], row["bytes"], row["own_bytes"]) for row in listed["prefixes"]} == {
        (keys[-1], 3, 3 * BLOCK, BLOCK) for keys in (long, branch)
    }


def test_a_model_has_its_name_and_a_prefix_its_attention(
    run: Run, fill: Callable[..., list[str]], folder: Path
) -> None:
    (key,) = fill(0)
    with DiskStore.open(folder) as store:
        store.remember(name_identity(TINY.model), "tide\x1b[2J model")
        sparse = replace(TINY, layout="nope-kv/1 sparse:512")
        with store.chain(sparse, []) as chain:
            other = chain.append(array("I", [1]), {"1.keys": b"1"}).key
    listed = {row["key"]: row for row in document(run("cache", "ls", "--json"))["prefixes"]}
    assert {row["model_name"] for row in listed.values()} == {"tide\x1b[2J model"}
    assert (listed[key]["layout"], listed[other]["layout"]) == (TINY.layout, sparse.layout)
    shown = document(run("cache", "show", other, "--json"))
    assert (shown["model_name"], shown["layout"]) == ("tide\x1b[2J model", sparse.layout)
    lines = {line.split()[0]: line for line in run("cache", "ls")[1].splitlines()}
    assert lines[key[:12]].endswith("  tide\\x1b[2J model bfloat16 dense")
    assert lines[other[:12]].endswith("  tide\\x1b[2J model bfloat16 sparse:512")
    assert run("cache", "show", key)[1].splitlines()[0] == "tide\\x1b[2J model bfloat16 dense"


def test_show_goes_from_the_first_window_to_the_key(run: Run, fill: Callable[..., list[str]]) -> None:
    keys = fill(0, 100, 200)
    run("cache", "pin", keys[1], "--label", "tides")
    shown = document(run("cache", "show", keys[2][:9], "--json"))
    assert [row["key"] for row in shown["windows"]] == keys
    assert [row["kept"] for row in shown["windows"]] == [True, True, False]
    assert (shown["label"], shown["whole"]) == ("tides", True)
    _, out, _ = run("cache", "show", keys[1])
    assert [line.split()[-2:] for line in out.splitlines()[2:]] == [[key[:12], "kept"] for key in keys[:2]]


def test_a_key_that_names_nothing_is_one_line(run: Run, fill: Callable[..., list[str]]) -> None:
    fill(0, 100)
    for words in (["show", "zz"], ["pin", "zz"], ["unpin", "zz"], ["show", ""]):
        code, out, err = run("cache", *words)
        assert (code, out) == (ExitCode.FAILED, "")
        assert f"begins with {words[1]!r}" in err and "longctx cache ls shows their keys" in err


def test_a_damaged_window_is_named_and_with_repair_put_aside(
    run: Run, fill: Callable[..., list[str]], folder: Path
) -> None:
    keys = fill(0, 100, 200)
    path = next(folder.rglob(f"{keys[1]}.kv"))
    content = bytearray(path.read_bytes())
    content[-BLOCK // 2 + 10] ^= 1
    path.write_bytes(content)
    code, out, err = run("cache", "verify")
    assert code == ExitCode.FAILED and path.exists()
    assert out.splitlines() == [f"{keys[1][:12]}  damaged     is damaged in 1.keys", "3 windows, 24.6 kB, 1 bad"]
    assert "longctx cache verify --repair" in err
    code, out, err = run("cache", "verify", "--repair")
    assert (code, err) == (ExitCode.FAILED, "") and not path.exists()
    assert out.startswith(f"{keys[1][:12]}  damaged     is damaged in 1.keys; put into quarantine\n")
    code, out, _ = run("cache", "verify", "--json")
    found = json.loads(out)
    assert (code, found["bad"], [each["verdict"] for each in found["found"]]) == (0, 0, ["orphan"])
    assert "not whole" in run("cache", "ls")[1]
    assert "windows 1 to 2 are missing" in run("cache", "show", keys[2])[1]


def test_a_lost_file_is_no_damage(run: Run, fill: Callable[..., list[str]], folder: Path) -> None:
    keys = fill(0, 100)
    next(folder.rglob(f"{keys[1]}.kv")).unlink()
    assert run("cache", "verify")[:2] == (0, "1 window, 8.19 kB, none bad\n")
    assert run("cache", "ls")[1].splitlines()[1].startswith(keys[0][:12])


def test_a_store_that_can_not_be_opened_is_one_line(run: Run, folder: Path) -> None:
    folder.write_text("not a folder")
    code, out, err = run("cache", "ls")
    assert (code, out) == (ExitCode.FAILED, "")
    assert [line[:12] for line in err.splitlines()] == ["longctx: the", "  is there r"]


@pytest.mark.parametrize(
    ("words", "left"),
    [(["--to", "20kB"], {0, 300}), (["--older-than", "5"], {0, 300}), (["--all"], set()), (["--to", "0"], set())],
)
def test_prune_drops_the_oldest_first(
    run: Run, fill: Callable[..., list[str]], words: list[str], left: set[int]
) -> None:
    keys = dict(zip((0, 100, 200), fill(0, 100, 200, days=9), strict=True)) | {300: fill(0, 300)[1]}
    planned = document(run("cache", "prune", *words, "--dry-run", "--json"))
    assert document(run("cache", "ls", "--json"))["windows"] == 4
    pruned = document(run("cache", "prune", *words, "--json"))
    assert {**planned, "dry_run": False} == pruned
    assert {row["key"] for row in pruned["dropped"]} == {keys[first] for first in keys.keys() - left}
    assert pruned["left_bytes"] == document(run("cache", "ls", "--json"))["bytes"] == len(left) * BLOCK


def test_prune_names_what_goes_and_what_stays(run: Run, fill: Callable[..., list[str]], folder: Path) -> None:
    pinned, used, other = fill(0, 100), fill(1000), fill(2000, 2100)
    assert run("cache", "pin", pinned[0], "--label", "a\x1b[2Jb")[1] == f"pinned {pinned[0][:12]}: 1 window\n"
    with DiskStore.open(folder) as store, store.chain(TINY, [array("I", range(1000, 1016))]):
        _, would, _ = run("cache", "prune", "--all", "--dry-run")
        _, done, _ = run("cache", "prune", "--all")
    assert "would drop 3 windows, 24.6 kB; 16.4 kB left" in would
    assert done.splitlines()[2:] == [
        "dropped 3 windows, 24.6 kB; 16.4 kB left",
        f"stays: {pinned[1][:12]}  1 window, 8.19 kB, pinned: a\\x1b[2Jb",
        f"stays: {used[0][:12]}  1 window, 8.19 kB, in use",
    ]
    assert {line.split()[0] for line in done.splitlines()[:2]} == {pinned[1][:12], other[1][:12]}
    assert run("cache", "unpin", pinned[0])[0] == 0
    assert run("cache", "prune", "--all")[1].splitlines()[-1] == "dropped 2 windows, 16.4 kB; 0 B left"
    assert run("cache", "prune", "--all")[1] == "nothing to drop, 0 B stored\n"


def test_what_a_header_says_reaches_no_terminal_as_it_is(run: Run, folder: Path) -> None:
    ids, hostile = array("I", range(16)), replace(TINY, model="\x1b[31mred", dtype="\x1b[2J", layout="x \x1b]0;t\x07")
    with DiskStore.open(folder) as store, store.chain(hostile, [ids]) as chain:
        key = chain.append(ids, {"1.\x1b[5m": bytes(BLOCK // 2)}).key
    path = next(folder.rglob(f"{key}.kv"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    said = [
        run("cache", *words)[1] for words in (["ls"], ["show", key], ["pin", key], ["prune", "--all"], ["unpin", key])
    ]
    said += [run("cache", "verify")[1], run("cache", "prune", "--all")[1]]
    assert all(said) and "\x1b" not in "".join(said) and "\x07" not in "".join(said)
    assert "damaged in 1.\\x1b[5m" in said[-2]
    assert "\\x1b[31mred \\x1b[2J \\x1b]0;t\\x07" in said[0]


def test_prune_all_takes_the_quarantine(run: Run, fill: Callable[..., list[str]], folder: Path) -> None:
    keys = fill(0)
    path = next(folder.rglob(f"{keys[0]}.kv"))
    path.write_bytes(b"x" * BLOCK)
    run("cache", "verify", "--repair")
    assert run("cache", "ls")[1].endswith("8.19 kB in quarantine\n")
    assert run("cache", "prune", "--to", "0")[1] == "nothing to drop, 0 B stored\n"
    for words, verb in ((["--dry-run"], "would drop"), ([], "dropped")):
        assert (
            run("cache", "prune", "--all", *words)[1] == f"{verb} 0 windows, 0 B and 8.19 kB in quarantine; 0 B left\n"
        )
    assert document(run("cache", "ls", "--json"))["quarantine_bytes"] == 0
    assert document(run("cache", "prune", "--all", "--json"))["quarantine_bytes"] == 0


def test_a_moment_beyond_dates_is_shown() -> None:
    assert [len(when(moment)) for moment in (0.0, 1e300, -1e300)] == [16, 16, 16]


def test_a_pin_before_the_key_is_found(run: Run, fill: Callable[..., list[str]]) -> None:
    keys = fill(0, 100, 200)
    run("cache", "pin", keys[1])
    assert run("cache", "unpin", keys[2][:10])[1] == f"unpinned {keys[1][:12]}\n"
    code, _, err = run("cache", "unpin", keys[2][:10])
    assert code == ExitCode.FAILED and "pinned" in err


@pytest.mark.parametrize("words", [[], ["--to", "much"], ["--to", "-1"], ["--older-than", "-1"]])
def test_prune_wants_to_know_what(run: Run, words: list[str]) -> None:
    assert run("cache", "prune", *words)[0] == ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("512", 512),
        ("7B", 7),
        ("20GB", 20 * 10**9),
        ("512MiB", 512 << 20),
        ("8g", 8 << 30),
        ("2 TB", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GB", "1.5G", "-1", "1iB", "1 G B", "1EB", "٣G", "1e9", "1" * 17])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number of bytes"):
        parse_bytes(text)


def test_warm_stores_every_window_once(run: Run, model: Path, corpus: Path) -> None:
    words = ["cache", "warm", corpus, "--model", model, "--threads", "1", "--quiet"]
    planned = document(run(*words, "--dry-run", "--json"))
    assert (planned["windows"], planned["stored_windows"], planned["stored_tokens"]) == (3, 0, 0)
    cold, warm = (document(run(*words, "--json")) for _ in range(2))
    assert (cold["cached_tokens"], cold["stored_windows"]) == (0, 3)
    assert (warm["cached_tokens"], warm["tokens_per_s"]) == (cold["tokens"], None)
    listed = document(run("cache", "ls", "--json"))["prefixes"]
    assert [(row["windows"], row["tokens"]) for row in listed] == [(3, cold["tokens"])]
    assert (listed[0]["model_name"], listed[0]["layout"]) == (model.name, "nope-kv/1 dense")
    (corpus / "later.md").write_text("The neap tide comes a week later.")
    _, out, err = run(*words, "--dry-run")
    assert out.endswith("2 stored, 1 to do, " + out.split("to do, ")[1]) and err == ""
    assert run(*words)[1].startswith("3 windows, ")


def test_what_was_warmed_is_what_a_question_goes_on_from(
    run: Run, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file and from standard input, as text and as a chat."""
    warmed = document(run("cache", "warm", corpus, "--model", model, "--threads", "1", "--quiet", "--json"))
    windows = tmp_path / "windows.jsonl"
    assert run("pack", corpus, "--as", "ids", "--quiet", "-o", windows)[0] == 0
    words = ["complete", "--model", model, "--threads", "1", "--max-tokens", "2", "--quiet", "--json"]
    plain = document(run(*words, "--windows", windows, "How high?"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(windows.read_bytes())))
    chat = document(run(*words, "--windows", "-", "--chat", "How high?"))
    assert plain["cached_tokens"] == chat["cached_tokens"] == warmed["tokens"]
    assert 0 < plain["prompt_tokens"] - warmed["tokens"] < chat["prompt_tokens"] - warmed["tokens"] < 20


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"attention_chunk_size": 4096}, "its chunk is 4,096 tokens, prompts have windows of 8,192"),
        ({"vocab_size": 300}, "it knows 300 tokens, prompts are made of Llama 4's 202,048"),
    ],
)
def test_a_model_that_does_not_fit_is_one_line(
    run: Run, tmp_path: Path, corpus: Path, changed: dict[str, int], message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SHAPE, **changed}))
    code, out, err = run("cache", "warm", corpus, "--model", tmp_path)
    assert (code, out, err.splitlines()) == (ExitCode.ENGINE, "", [f"longctx: {tmp_path}: {message}"])


def test_what_can_never_be_stored_is_not_begun(
    run: Run, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGCTX_CACHE_LIMIT_GB", "1")
    wide = {"num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 64, "head_dim": 128}
    (tmp_path / "config.json").write_text(json.dumps({**SHAPE, **wide, "hidden_size": 8192}))
    code, _, err = run("cache", "warm", corpus, "--model", tmp_path)
    assert code == ExitCode.DOES_NOT_FIT
    assert "stored prefixes may take 1.07 GB" in err and "cache_limit_gb" in err


class Scripted:
    """An engine that stores a window before it says so, unless the store is full; one is stored from the start."""

    def __init__(self, *, full_at: int = 99, stop_at: int = 99) -> None:
        self.stored, self.full_at, self.stop_at = 1, full_at, stop_at

    def warm(self, prompt: Prompt) -> Iterator[EngineEvent]:
        sizes = [len(window) for window in prompt.windows()]
        cached = sum(sizes[: self.stored])
        for done in range(self.stored, len(sizes) + 1):
            yield Prefilled(done=sum(sizes[:done]), total=sum(sizes), cached=cached)
            if done == self.stop_at:
                raise KeyboardInterrupt
            if done >= self.full_at:
                yield Warned("the disk is full")
            else:
                self.stored = min(done + 1, len(sizes))
        took = {"prompt_tokens": sum(sizes), "cached_tokens": cached, "answer_tokens": 0}
        yield Finished(reason=Finish.LENGTH, **took, prefill_s=2.0, decode_s=0.0)


PROMPT = Prompt(array("I", range(50)), (0, 16, 32, 48), 16)


def warming(**how: int) -> Warming:
    return Warming(Scripted(**how), PROMPT)  # type: ignore[arg-type]  # all that is asked of an engine here


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_nothing_else_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for quiet, quiet_for_s in ((False, 0), (True, 0), (False, 60)):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        with ProgressLine(4, quiet=quiet, quiet_for_s=quiet_for_s) as progress:
            progress.tell(1, "window [b]1[/b] of 4")
        assert ("window [b]1[/b] of 4" in screen.getvalue()) is (not quiet and not quiet_for_s)


def test_elsewhere_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0, 22.0])
    monkeypatch.setattr("longctx.narration.time.monotonic", lambda: next(clock))
    with ProgressLine(4) as progress:
        for done in range(1, 5):
            progress.tell(done, f"window {done}")
    assert capsys.readouterr().err.splitlines() == ["window 2", "window 4"]


def test_a_run_says_what_it_took() -> None:
    warmed = warming().run(quiet=True)
    expected = Warmed(windows=4, tokens=50, stored_windows=4, stored_tokens=50, cached_tokens=16, prefill_s=2.0)
    assert warmed == expected and warmed.tokens_per_s == 17.0
    assert warmed.text(dry_run=False) == (
        "4 windows, 50 tokens: 32% was stored already, the rest took 2.0 s (17 tokens/s)"
    )
    assert warming().dry_run().text(dry_run=True) == "4 windows, 50 tokens: 1 stored, 3 to do, 34 tokens"


def test_ctrl_c_says_how_far_it_got_and_how_to_go_on() -> None:
    with pytest.raises(Interrupted, match="3 of 4 windows are stored") as caught:
        warming(stop_at=3).run(quiet=True)
    assert "goes on from there" in caught.value.hint


def test_ctrl_c_stays_ctrl_c_where_the_store_fails() -> None:
    class Failing:
        def warm(self, prompt: Prompt) -> Iterator[EngineEvent]:
            raise StoreError("the disk is gone")

    error = interrupted(Failing(), PROMPT)  # type: ignore[arg-type]  # all that is asked of an engine here
    assert str(error) == "interrupted; what was finished is kept"


def test_nothing_is_computed_that_can_not_be_stored(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="stopped with 2 of 4 windows stored: the disk is full"):
        warming(full_at=2).run(quiet=False)
    assert capsys.readouterr().err == ""


def test_a_full_store_stops_the_engine_too(model: Path, folder: Path) -> None:
    from longctx.engines.scout import ScoutEngine

    prompt = Prompt(array("I", range(400)), (0, 100, 200, 300), 8192)
    with (
        DiskStore.open(folder, limit_bytes=30_000) as store,
        ScoutEngine.open(model, store=store, threads=1) as engine,
        pytest.raises(StoreError, match="stopped with 2 of 4 windows stored: no room for "),
    ):
        Warming(engine, prompt).run(quiet=True)


def test_ctrl_c_keeps_closed_windows(model: Path, corpus: Path, folder: Path) -> None:
    """As a user does it; where the second window's file is there, the first is stored for good."""
    (corpus / "more.md").write_text("\n\n".join(f"Lamp {n} burns {n % 97} hours." for n in range(20_000)))
    command = [sys.executable, "-P", "-m", "longctx", "cache", "warm", str(corpus)]
    command += ["--model", str(model), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(list(folder.glob("blocks/*/*.kv"))) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    stored = len(list(folder.glob("blocks/*/*.kv")))
    assert (process.returncode, out) == (ExitCode.INTERRUPTED, "") and stored >= 1
    said, hint = err.splitlines()[-2:]
    assert said.startswith(f"longctx: interrupted; {stored} of ") and hint == "  the same command goes on from there"
