"""The vllm engine: its options, its process with another that plays vLLM's part, and with a real vLLM on the CPU."""

import json
import os
import signal
import subprocess
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from longctx.engines import vllm_backend, vllm_process
from longctx.engines.base import Finish, Finished, Prefilled, Prompt, Sampling, Token, Warned, contiguous
from longctx.engines.opening import EngineSetup, open_engine
from longctx.engines.vllm_backend import opened
from longctx.engines.vllm_options import (
    AS_LONG_AS_FITS,
    CONCURRENT,
    Launch,
    block_tokens,
    environment,
    options,
    tensor_parallel,
)
from longctx.errors import DoesNotFit, EngineError, ExitCode
from longctx.scout.config import ScoutConfig, read_config
from longctx.vocabulary import SPECIALS, VOCABULARY_TOKENS, llama4, of_model

# Read here: no test sees a setting of the caller's environment.
VLLM_PYTHON = os.environ.get("LONGCTX_VLLM_PYTHON")
DRIVER = Path(__file__).with_name("vllm_engine.py")
PLENTY = 1 << 40
PROMPT = contiguous(array("I", range(1000, 1300)))
CONFIG = {"model_type": "llama4_text", "num_attention_heads": 40, "num_key_value_heads": 8, "dtype": "bfloat16"}

# Plays vLLM's part: what it does with a prompt is said by the prompt's first id.
PLAYER = """
import json, os, signal, subprocess, sys, time
say = lambda **event: print(json.dumps(event), flush=True)
launch = json.loads(sys.stdin.buffer.readline())
print("noise of the engine", file=sys.stderr, flush=True)
behaviour = os.environ["BEHAVIOUR"]
if behaviour == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "refuses":
    say(event="failed", reason="ValueError: " + os.environ["REASON"], hint="")
    sys.exit(1)
if behaviour == "loads":
    time.sleep(600)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL, stdout=2)
say(event="ready", version="9.9", dtype="bfloat16", context_tokens=5000, where="cpu", concurrent=3,
    is_guided=True, child=child.pid)
stopped = []
while line := sys.stdin.buffer.readline():
    order = json.loads(line)
    if "stop" in order:
        stopped.append(order["stop"])
        continue
    n, ids = order["ask"], memoryview(sys.stdin.buffer.read(order["bytes"])).cast("I")
    say(event="prefilled", n=n, done=len(ids), cached=256)
    say(event="tokens", n=n, ids=[ids[0], len(ids), len(stopped)])
    if ids[0] == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if ids[0] == 17:
        say(event="unguided", n=n, reason="ValueError: " + order["sampling"]["schema"])
    if ids[0] == 14:
        say(event="refused", n=n, reason="ValueError: not such a prompt")
    elif ids[0] == 15:
        say(event="failed", reason="RuntimeError: out of luck", hint="")
        sys.exit(1)
    elif ids[0] != 16:
        say(event="finished", n=n, reason="stop", cached=256, prefill_s=0.5, decode_s=0.25)
if behaviour == "stays":
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder as far as one is looked at before vLLM is started: there are no weights in it."""
    made = tmp_path_factory.mktemp("model")
    (made / "config.json").write_text(json.dumps(CONFIG))
    return made


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., EngineSetup]:
    """What to open an engine from whose vLLM is the player above."""

    def arrange(behaviour: str = "", **setup: Any) -> EngineSetup:
        (tmp_path / "player_of_vllm.py").write_text(PLAYER)
        monkeypatch.setattr(vllm_backend, "find_spec", lambda name: object())
        monkeypatch.setattr(vllm_process, "PROGRAM", "player_of_vllm")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("BEHAVIOUR", behaviour)
        return EngineSetup(logs=tmp_path / "logs", model=str(folder), **setup)

    return arrange


def prompt(first: int, size: int = 300) -> Prompt:
    return contiguous(array("I", [first, *range(1000, 1000 + size - 1)]))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


# What vLLM is started with.


def made(launch: Launch, shape: ScoutConfig, *, gpus: int = 0, free: int = PLENTY) -> dict[str, Any]:
    return options(launch, shape, gpus=gpus, free_ram_bytes=free)


def test_the_block_divides_the_chunk() -> None:
    assert {chunk: block_tokens(chunk) for chunk in (8192, 64, 32, 96)} == {8192: 128, 64: 64, 32: 32, 96: 32}


@pytest.mark.parametrize(
    ("said", "tuned"), [({}, True), ({"attn_temperature_tuning": 4}, True), ({"attn_temperature_tuning": False}, False)]
)
def test_temperature_is_tuned_as_the_checkpoint_says(tmp_path: Path, said: dict[str, Any], tuned: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | said))
    arguments = made(Launch(model="m"), read_config(tmp_path))
    assert arguments["override_generation_config"] == {"attn_temperature_tuning": tuned}


def test_all_gpus_are_used_that_heads_can_be_shared_by(folder: Path) -> None:
    shape = read_config(folder)  # 40 heads, 8 of keys
    shares = {gpus: tensor_parallel(shape, gpus) for gpus in (1, 2, 3, 4, 6, 7, 8, 16)}
    assert shares == {1: 1, 2: 2, 3: 2, 4: 4, 6: 4, 7: 4, 8: 8, 16: 8}
    assert made(Launch(model="m"), shape, gpus=4)["tensor_parallel_size"] == 4
    assert "enforce_eager" not in made(Launch(model="m"), shape, gpus=4)


def test_the_context_is_the_one_asked_for_or_the_longest(folder: Path) -> None:
    shape = read_config(folder)
    assert made(Launch(model="m", context_tokens=70_000), shape)["max_model_len"] == 70_000
    assert made(Launch(model="m"), shape)["max_model_len"] == AS_LONG_AS_FITS


def test_a_cpu_gives_keys_and_values_half_of_what_weights_leave(folder: Path) -> None:
    shape = read_config(folder)
    weights = int(shape.weight_bytes(2))
    arguments = made(Launch(model="m"), shape, free=weights + (2 << 30))
    assert arguments["kv_cache_memory_bytes"] == 1 << 30
    assert arguments["enforce_eager"] is True
    assert made(Launch(model="m", kv_budget_bytes=12345), shape)["kv_cache_memory_bytes"] == 12345
    with pytest.raises(EngineError, match="the weights need"):
        made(Launch(model="m"), shape, free=weights)


def test_weights_of_another_dtype_are_not_rounded(folder: Path) -> None:
    shape = replace(read_config(folder), dtype="float32")
    assert made(Launch(model="m"), shape)["dtype"] == "float32"
    assert made(Launch(model="m", dtype="bfloat16"), shape)["dtype"] == "bfloat16"
    assert made(Launch(model="m"), shape)["load_format"] == "safetensors"


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 0), ("cuda:1", 0), ("cpu", 2)])
def test_a_device_that_is_not_there_is_refused(folder: Path, device: str, gpus: int) -> None:
    with pytest.raises(EngineError):
        made(Launch(model="m", device=device), read_config(folder), gpus=gpus)


def test_vllm_gets_no_key_of_ours_and_no_network(tmp_path: Path) -> None:
    setup = EngineSetup(logs=tmp_path, device="cuda:3", threads=2, api_key="hush")
    given = environment(setup, {"LONGCTX_API_KEY": "hush", "PATH": "/bin", "VLLM_NO_USAGE_STATS": "0"})
    assert "hush" not in "".join(given.values())
    assert given["PATH"] == "/bin"
    assert given["VLLM_NO_USAGE_STATS"] == given["DO_NOT_TRACK"] == given["HF_HUB_OFFLINE"] == "1"
    assert (given["CUDA_VISIBLE_DEVICES"], given["OMP_NUM_THREADS"]) == ("3", "2")


def test_a_launch_survives_its_way(folder: Path) -> None:
    launch = Launch(model="/m\udcff", context_tokens=5, kv_budget_bytes=7, device="cuda")
    assert Launch.from_json(launch.to_json()) == launch


# What is said before vLLM is started.


def test_without_vllm_the_command_that_brings_it_is_said(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EngineError) as raised, opened(EngineSetup(logs=tmp_path, model=str(folder))):
        pass
    assert 'pip install "longctx[vllm]"' in raised.value.hint


@pytest.mark.parametrize("setup", [{"model": None}, {"device": "tpu"}])
def test_what_vllm_can_not_be_given_is_refused(
    play: Callable[..., EngineSetup], tmp_path: Path, setup: dict[str, Any]
) -> None:
    with pytest.raises(EngineError), opened(replace(play(), **setup)):
        pass
    assert not (tmp_path / "logs" / "vllm.log").exists()


def test_a_model_for_other_windows_is_refused(play: Callable[..., EngineSetup], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"attention_chunk_size": 64}))
    with pytest.raises(EngineError, match="windows of 8,192"), opened(replace(play(), model=str(tmp_path))):
        pass


def test_quantized_weights_are_vllms_to_read(play: Callable[..., EngineSetup], tmp_path: Path) -> None:
    quantized = CONFIG | {"quantization_config": {"quant_method": "compressed-tensors"}}
    (tmp_path / "config.json").write_text(json.dumps(quantized))
    (tmp_path / "tokenizer.model").write_bytes(llama4().content)
    with opened(replace(play(), model=str(tmp_path))) as engine:
        assert engine.identity().version == "9.9 bfloat16"


# The process.


def test_events_of_an_answer(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        events = list(engine.generate(prompt(7), Sampling(max_tokens=8)))
    assert events == [
        Prefilled(done=0, total=300, cached=0),
        Prefilled(done=300, total=300, cached=256),
        *map(Token, (7, 300, 0)),
        Finished(
            reason=Finish.STOP,
            prompt_tokens=300,
            cached_tokens=256,
            answer_tokens=2,
            prefill_s=0.5,
            decode_s=0.25,
        ),
    ]


def test_attention_that_it_does_not_compute_is_told(play: Callable[..., EngineSetup]) -> None:
    with opened(play(attention="sparse:32768")) as engine:
        first = next(iter(engine.generate(prompt(7), Sampling())))
    assert first == Warned("vLLM computes dense attention, not sparse:32768")


def test_it_says_what_answers_and_how_much_fits(play: Callable[..., EngineSetup], folder: Path) -> None:
    with open_engine("vllm", play()) as engine:
        assert engine.limits().context_tokens == 5000
        assert engine.describe() == f"vllm 9.9 bfloat16: {folder.name} on cpu, 5,000 tokens of context"


def test_noise_goes_to_the_log_only(play: Callable[..., EngineSetup], tmp_path: Path, capfd: Any) -> None:
    with opened(play()) as engine:
        list(engine.generate(prompt(7), Sampling()))
    assert capfd.readouterr() == ("", "")
    log = tmp_path / "logs" / "vllm.log"
    assert log.read_text() == "noise of the engine\n"
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("tokens", [4700, 4701])
def test_what_is_too_long_is_not_sent(play: Callable[..., EngineSetup], tokens: int) -> None:
    with opened(play()) as engine:
        run = engine.generate(prompt(7), Sampling(max_tokens=tokens))
        if tokens == 4700:
            assert isinstance(list(run)[-1], Finished)
            return
        with pytest.raises(DoesNotFit, match="5,001 tokens") as raised:
            next(run)
        assert raised.value.exit_code == ExitCode.DOES_NOT_FIT


def test_an_id_that_the_model_does_not_know_is_not_sent(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine, pytest.raises(EngineError, match=f"token {VOCABULARY_TOKENS}"):
        next(engine.generate(prompt(VOCABULARY_TOKENS), Sampling()))


def test_a_closed_answer_is_stopped_and_the_next_is_whole(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        for closed in (1, 2):
            run = engine.generate(prompt(16), Sampling())
            assert [next(run) for _ in range(3)][-1] == Token(16)
            run.close()  # type: ignore[attr-defined] # it is a generator
            assert Token(closed) in list(engine.generate(prompt(8, 400), Sampling()))


def test_an_answer_that_is_interrupted_leaves_the_engine_usable(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        run = engine.generate(prompt(16, 4000), Sampling(max_tokens=1))
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(run)
        assert isinstance(list(engine.generate(prompt(7), Sampling()))[-1], Finished)


def test_each_thread_gets_the_events_of_its_own_prompt(play: Callable[..., EngineSetup]) -> None:
    """Some are left open by the player: those are closed while others are on their way."""

    def ask(first: int) -> list[object]:
        with closing(engine.generate(prompt(first), Sampling())) as run:  # type: ignore[type-var] # it is a generator
            return [event for event in islice(run, 5) if isinstance(event, Token)][:1]

    with opened(play()) as engine, ThreadPoolExecutor(8) as pool:
        firsts = [16 if n % 3 == 0 else 100 + n for n in range(48)]
        assert list(pool.map(ask, firsts)) == [[Token(first)] for first in firsts]


def test_a_schema_that_vllm_does_not_take_is_told(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        events = list(engine.generate(prompt(17), Sampling(schema='{"a":"\x1b"}')))
    (warned,) = [event.message for event in events if isinstance(event, Warned)]
    assert warned.startswith("vLLM does not hold answers to this schema, they are only checked: ValueError: {")
    assert warned.isprintable()
    assert isinstance(events[-1], Finished)


def test_only_a_setup_with_schemas_costs_a_tokenizer(play: Callable[..., EngineSetup], folder: Path) -> None:
    shape, guided = read_config(folder), replace(play(), is_guided=True)
    assert made(Launch.of(play(), folder), shape)["skip_tokenizer_init"] is True
    assert made(Launch.of(guided, folder), shape)["skip_tokenizer_init"] is True  # there is none in the folder
    assert made(Launch(model="m", is_guided=True), shape)["skip_tokenizer_init"] is False
    with opened(play()) as engine:
        assert (engine.limits().concurrent, engine.limits().is_guided) == (3, True)


def test_ctrl_c_does_not_reach_vllm(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        pid = engine._process._process.pid
        assert os.getpgid(pid) == os.getsid(pid) == pid != os.getpgid(0)


def test_a_prompt_that_vllm_refuses_costs_only_itself(play: Callable[..., EngineSetup]) -> None:
    with opened(play()) as engine:
        with pytest.raises(EngineError, match="vLLM does not take this prompt: ValueError: not such a prompt"):
            list(engine.generate(prompt(14), Sampling()))
        assert isinstance(list(engine.generate(prompt(7), Sampling()))[-1], Finished)


@pytest.mark.parametrize(("first", "reason"), [(13, "ended by signal 9"), (15, "RuntimeError: out of luck")])
def test_vllm_that_fails_is_told_with_its_log(
    play: Callable[..., EngineSetup], tmp_path: Path, first: int, reason: str
) -> None:
    with opened(play()) as engine:
        run: Iterator[object] = engine.generate(prompt(first), Sampling())
        assert [next(run) for _ in range(5)][-1] == Token(0)
        for again in (run, engine.generate(prompt(7), Sampling())):
            with pytest.raises(EngineError, match=reason) as raised:
                list(again)
            assert str(tmp_path / "logs" / "vllm.log") in raised.value.hint
            assert raised.value.exit_code == ExitCode.ENGINE


def test_vllm_that_does_not_start_is_told_with_its_log(play: Callable[..., EngineSetup], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="ended by signal 9") as raised, opened(play("dies")):
        pass
    assert str(tmp_path / "logs" / "vllm.log") in raised.value.hint


def test_too_little_memory_names_the_longest_context(
    play: Callable[..., EngineSetup], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = (
        "To serve at least one request with the model's max seq len (1048576), (0.5 GiB KV cache is needed, which is "
        "larger than the available KV cache memory (0.1 GiB). Based on the available memory, the estimated maximum "
        "model length is 195456. Try increasing `gpu_memory_utilization`."
    )
    monkeypatch.setenv("REASON", reason)
    expected = r"1,048,576 tokens .* longest that does is 195,456"
    with pytest.raises(DoesNotFit, match=expected) as raised, opened(play("refuses")):
        pass
    assert raised.value.hint.startswith("--context 195456")


def test_ctrl_c_while_it_loads_ends_it_at_once(
    play: Callable[..., EngineSetup], monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[int] = []
    started = vllm_process._started

    def start(environ: Any, log: Any) -> Any:
        process = started(environ, log)
        began.append(process.pid)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return process

    monkeypatch.setattr(vllm_process, "_started", start)
    with pytest.raises(KeyboardInterrupt), opened(play("loads")):
        pass
    assert not is_running(began[0])


@pytest.mark.parametrize("behaviour", ["", "stays"])
def test_nothing_is_left_running(
    play: Callable[..., EngineSetup], monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    monkeypatch.setattr(vllm_process, "GRACE_S", 0.3)
    with opened(play(behaviour)) as engine:
        pid = engine._process._process.pid
        child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        assert is_running(pid) and is_running(child)
    assert not is_running(pid)
    assert ends_soon(child)


def test_a_log_does_not_grow_for_ever(
    play: Callable[..., EngineSetup], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_process, "LARGEST_LOG", 50)
    for _ in range(5):
        with opened(play()):
            pass
    assert (tmp_path / "logs" / "vllm.log").read_text().count("noise") in (2, 3)


# A real vLLM, and the model that it is tried with.


@pytest.mark.slow
def test_the_checkpoint_for_servers_has_the_real_vocabulary(scout_words: Path) -> None:
    from transformers import AutoTokenizer

    from longctx.tokens import Tokenizer

    theirs = AutoTokenizer.from_pretrained(scout_words)
    text = "def naïve(x):\n\treturn  x*12345 # 日本語 हिन्दी 🎐\r\n\n\n it's  fine"
    assert of_model(scout_words).fingerprint == llama4().fingerprint
    assert theirs.encode(text, add_special_tokens=False) == list(Tokenizer(llama4()).encode(text))
    assert theirs.convert_tokens_to_ids(list(SPECIALS)) == list(SPECIALS.values())
    assert len(theirs) == VOCABULARY_TOKENS


@pytest.fixture(scope="module")
def told(scout_words: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a program tells that opens the engine twice; interrupts go to all of its own session."""
    folder = tmp_path_factory.mktemp("vllm")
    command = [str(VLLM_PYTHON), str(DRIVER), str(scout_words), str(folder / "logs")]
    run = subprocess.run(command, capture_output=True, text=True, start_new_session=True, timeout=200, cwd=folder)
    assert run.returncode == 0, run.stderr[-4000:]
    read: dict[str, Any] = json.loads(run.stdout)  # which holds nothing else
    return read | {"stderr": run.stderr, "log": (folder / "logs" / "vllm.log").read_text()}


needs_vllm = pytest.mark.skipif(not VLLM_PYTHON, reason="LONGCTX_VLLM_PYTHON names no interpreter with vLLM")


@pytest.mark.slow
@needs_vllm
def test_a_real_vllm(told: dict[str, Any]) -> None:
    """Progress window by window, the prefix found again, an interrupt and a stop survived, and ends told."""
    first, second = told["first"], told["second"]
    assert [done for done, _ in first["prefilled"]] == [0, 8192, 16384, 20001]
    assert first["cached"] == 0
    assert second["cached"] == 20001 // 128 * 128
    assert second["prefilled"] == [[0, 0], [20001, second["cached"]]]
    assert second["ids"] == first["ids"]
    assert told["interrupted"] and told["after"]["ids"] == first["ids"]
    assert told["stopped"] == {"ids": first["ids"][:2], "reason": "stop", "answer_tokens": 1}
    assert told["without_answer"] == {"ids": [], "answer_tokens": 0}
    assert told["drawn"][0] == told["drawn"][1] != first["ids"]
    assert told["limits"] == [1 << 20, CONCURRENT, True]
    assert told["killed"] == "vLLM has failed: its process was ended by signal 9"
    assert "does not fit the memory; the longest that does is" in told["too_long"]
    assert told["left"] == []
    assert told["stderr"] == ""
    assert "Initializing a V1 LLM engine" in told["log"]


@pytest.mark.slow
@needs_vllm
def test_prompts_are_answered_together(told: dict[str, Any]) -> None:
    assert told["together"] == 2 * told["alone"]
    assert [tokens for tokens, *_ in told["alone"]] == [30] * 4
    assert told["left_early"] == [200, True, 30]


@pytest.mark.slow
@needs_vllm
def test_a_model_that_knows_nothing_is_held_to_a_schema(told: dict[str, Any]) -> None:
    for text, warned in told["guided"]:
        value = json.loads(text)
        assert list(value) == ["flags", "tide"] and value["tide"] in ("high", "low", None)
        assert len(value["flags"]) in (2, 3) and set(value["flags"]) <= {True, False}
        assert not warned
    assert "vLLM does not hold answers to this schema" in told["not_taken"][0]
