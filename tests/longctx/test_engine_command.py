"""`longctx engine describe`: the sums behind it, and the folders it must not stumble over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from longctx.capacity import Capacity, Room, WeightFiles, room, weight_files
from longctx.commands.engine import _rows
from longctx.engines.scout_opening import read_shape
from longctx.errors import EngineError, ExitCode
from longctx.scout import memory
from longctx.scout.config import read_config

SCOUT = {
    "model_type": "llama4_text",
    "num_hidden_layers": 48,
    "hidden_size": 5120,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_local_experts": 16,
    "num_experts_per_tok": 1,
    "intermediate_size": 8192,
    "intermediate_size_mlp": 16384,
    "interleave_moe_layer_step": 1,
    "vocab_size": 202_048,
    "max_position_embeddings": 10_485_760,
    "attention_chunk_size": 8192,
    "eos_token_id": [200_001, 200_007, 200_008],
    "dtype": "bfloat16",
}


def model_folder(root: Path, **changed: object) -> Path:
    (root / "config.json").write_text(json.dumps({**SCOUT, **changed}))
    return root


def capacity(folder: Path, *, ram: int = 0, disk: int = 0) -> Capacity:
    return Capacity(config=read_shape(folder), room=Room(ram_bytes=ram, disk_bytes=disk, store=folder))


def describe(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "longctx", "engine", "describe", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))


def test_scouts_figures_are_the_published_ones(tmp_path: Path) -> None:
    scout = capacity(model_folder(tmp_path))
    assert (scout.kv_bytes_per_token, scout.all_kv_bytes_per_token) == (49_152, 196_608)
    assert scout.open_window_bytes == 36 * 4096 * 8192
    assert scout.kv_bytes(10_485_760) == 49_152 * 10_485_760 + scout.open_window_bytes
    assert scout.weight_bytes == pytest.approx(215.54e9, rel=1e-4)


def test_the_longest_context_is_what_is_left_beside_the_weights(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    base = capacity(folder).base_bytes
    assert capacity(folder, ram=base + 49_152 * 1000).longest_in_ram == 1000
    assert capacity(folder, ram=base + 49_152 * 1000 - 1).longest_in_ram == 999
    assert capacity(folder, ram=base - 1).longest_in_ram == 0
    assert capacity(folder, disk=49_152 * 77 + 5).longest_on_disk == 77
    assert capacity(folder, disk=10**15).longest_on_disk == 10_485_760


def test_a_model_without_nope_layers_keeps_nothing(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, no_rope_layers=[1] * 48)
    assert capacity(folder).kv_bytes_per_token == 0
    assert capacity(folder, ram=0).longest_in_ram == 0
    assert capacity(folder, ram=10**12).longest_in_ram == 10_485_760


def test_float32_takes_twice_as_much(tmp_path: Path) -> None:
    half = capacity(model_folder(tmp_path))
    half_figures = (half.weight_bytes, half.kv_bytes_per_token, half.open_window_bytes)
    whole = capacity(model_folder(tmp_path, dtype="float32"))
    assert (whole.weight_bytes, whole.kv_bytes_per_token, whole.open_window_bytes) == tuple(
        2 * each for each in half_figures
    )


def test_weights_are_counted_by_the_index(tmp_path: Path) -> None:
    assert not weight_files(tmp_path).whole
    (tmp_path / "model-1.safetensors").write_bytes(bytes(100))
    (tmp_path / "consolidated.safetensors").write_bytes(bytes(7))
    assert weight_files(tmp_path).bytes == 107
    named = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))
    held = weight_files(tmp_path)
    assert (held.bytes, held.files, held.missing, held.whole) == (100, 1, ("model-2.safetensors",), False)
    (tmp_path / "model-2.safetensors").write_bytes(bytes(20))
    assert weight_files(tmp_path).whole and weight_files(tmp_path).bytes == 120


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"weight_map": 3}', b'{"weight_map": {"a": 3}}', b"[" * 100_000])
def test_a_broken_index_counts_as_none(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(index)
    (tmp_path / "model-1.safetensors").write_bytes(bytes(3))
    assert weight_files(tmp_path).bytes == 3


def test_an_index_that_never_ends_counts_as_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors.index.json")
    assert not weight_files(tmp_path).whole


def test_room_is_that_of_a_store_which_need_not_be_there(tmp_path: Path) -> None:
    store = tmp_path / "none" / "prefix"
    assert room(store, limit_bytes=1000).disk_bytes == 1000
    assert 0 < room(store).disk_bytes < room(store, limit_bytes=1 << 60).disk_bytes
    assert room(store).ram_bytes > 1 << 20
    assert not store.exists()


def test_what_is_stored_counts_as_free(tmp_path: Path) -> None:
    (tmp_path / "blocks" / "ab").mkdir(parents=True)
    before = room(tmp_path, limit_bytes=1 << 60).disk_bytes
    with (tmp_path / "blocks" / "ab" / "x.kv").open("wb") as stream:
        stream.truncate(1 << 42)  # sparse: it takes no room
    assert room(tmp_path, limit_bytes=1 << 60).disk_bytes > before + (1 << 41)


def test_a_folder_with_only_a_config_is_described(tmp_path: Path) -> None:
    done = describe(model_folder(tmp_path), "--context", "1M")
    assert done.returncode == 0, done.stderr
    for line in (
        "layers                     48: 12 NoPE see everything, 36 RoPE see their chunk of 8,192",
        "attention                  40 heads of 128, 8 KV heads, qk-norm, temperature tuning",
        "parameters                 107.8 B, 17.17 B active in a token",
        "weights on disk            no weights: no *.safetensors in this folder",
        "KV                         49.2 kB a token in the NoPE layers; in all layers it would be 197 kB",
    ):
        assert line in done.stdout.splitlines()
    assert "context                    1,000,000 tokens take 50.4 GB of KV: " in done.stdout
    assert "longest context in memory" in done.stdout and "fits in memory" not in done.stdout


def test_without_weights_no_context_is_promised(tmp_path: Path) -> None:
    config = read_config(model_folder(tmp_path))
    roomy = Capacity(config=config, room=Room(ram_bytes=1 << 40, disk_bytes=0, store=tmp_path))
    for files, promised in ((0, False), (1, True)):
        weights = WeightFiles(bytes=files, files=files)
        rows = dict(_rows(tmp_path, roomy, weights, 1000))
        assert ("were the weights here" in rows["longest context in memory"]) is not promised
        assert rows["context"].endswith("fits in memory") is promised


def test_free_memory_is_what_the_engine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("max", "5000"), ("current", "4000"), ("stat", "inactive_file 1500")):
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)
    assert room(tmp_path).ram_bytes == 2500 == memory.free_bytes(torch.device("cpu"))


def test_json_has_the_same_figures(tmp_path: Path) -> None:
    (model_folder(tmp_path) / "model.safetensors").write_bytes(bytes(64))
    done = describe(tmp_path, "--json", "--context", "20M")
    shown = json.loads(done.stdout)
    assert shown["schema"] == "longctx.model/1"
    assert (shown["nope_layers"], shown["local_layers"], shown["kv_bytes_per_token"]) == (12, 36, 49_152)
    assert shown["config"]["rope_layers"][:4] == [True, True, True, False]
    assert shown["weights"] == {"bytes": 64, "files": 1, "missing": [], "whole": True}
    assert shown["context"]["verdict"] == "more than the model's window"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], ExitCode.ENGINE, "config.json: not found"),
        (["--context", "lots"], ExitCode.USAGE, "--context 'lots' must be a whole number"),
        (["--context", ""], ExitCode.USAGE, "--context '' must be a whole number"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, words: list[str], code: ExitCode, message: str) -> None:
    done = describe(tmp_path, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr.splitlines()[0] and "Traceback" not in done.stderr


def test_a_config_that_contradicts_itself_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="num_key_value_heads") as caught:
        read_shape(model_folder(tmp_path, num_key_value_heads=7))
    assert caught.value.hint


def test_describing_loads_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from longctx.cli import main\n"
        f"sys.argv = ['longctx', 'engine', 'describe', {str(model_folder(tmp_path))!r}]\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_is_one_line(tmp_path: Path, unbuffered: str) -> None:
    command = f"{sys.executable} -P -m longctx engine describe {model_folder(tmp_path)} >/dev/full"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == (
        "longctx: output can't be written: No space left on device\n  is there room where it goes?\n"
    )


def longctx(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "longctx", "engine", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.toml"
    path.write_text("prefill_s = 0.01\n[[answer]]\ntext = 'High water at noon.'\n")
    return path


def test_engines_are_listed_with_what_they_lack() -> None:
    done = longctx("list")
    assert done.returncode == 0, done.stderr
    named = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith((" ", "server"))]
    assert named == ["evidence", "openai", "scout", "scripted", "vllm", "engine:"]
    assert done.stdout.splitlines()[-1] == "engine: evidence: it was named"


def test_the_list_as_json_hides_the_key() -> None:
    done = longctx(
        "list", "--json", LONGCTX_API_KEY="sk-secret", LONGCTX_ENGINE="openai", LONGCTX_BASE_URL="http://a/v1"
    )
    listed = json.loads(done.stdout)
    assert listed["schema"] == "longctx.engines/1"
    assert {row["name"]: row["available"] for row in listed["engines"]}["evidence"] is True
    assert listed["chosen"]["base_url"] == "http://a/v1"
    assert "sk-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(("value", "available"), [("longctx.engines.scripted:opened", True), ("json:nothing", False)])
def test_plugins_are_listed(tmp_path: Path, value: str, available: bool) -> None:
    info = tmp_path / "tide_engine-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tide-engine\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[longctx.engines]\ntide = {value}\nscout = {value}\n")
    done = longctx("list", "--json", PYTHONPATH=str(tmp_path))
    rows = [row for row in json.loads(done.stdout)["engines"] if "plugin" in row["about"]]
    assert [(row["name"], row["available"]) for row in rows] == [("scout", False), ("tide", available)]
    assert "tide-engine 1.2" in rows[1]["about"] and "name is taken" in rows[0]["missing"]


def test_the_doctor_exits_5_only_for_what_was_set(tmp_path: Path) -> None:
    well = longctx("doctor")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "no model yet" in well.stdout
    bad = longctx("doctor", "--model", tmp_path / "none", "--engine", "scout")
    assert bad.returncode == ExitCode.ENGINE
    assert "bad      model" in bad.stdout and "no model yet" not in bad.stdout and "Traceback" not in bad.stderr


def test_the_doctor_as_json(tmp_path: Path) -> None:
    done = longctx("doctor", "--json", "-e", "scripted", "-m", script(tmp_path))
    document = json.loads(done.stdout)
    assert document["schema"] == "longctx.doctor/1"
    assert {check["status"] for check in document["checks"]} <= {"ok", "note", "missing"}
    assert document["next"] == ["next:", f"  longctx chat PATH --engine scripted --model {script(tmp_path)}"]


def test_a_bench_is_a_table(tmp_path: Path) -> None:
    done = longctx("bench", "-e", "scripted", "-m", script(tmp_path), "--tokens", "9k", "--answer", "3")
    assert done.returncode == 0, done.stderr
    assert "engine: scripted" in done.stderr
    rows = {line[:22].strip(): line[22:].split() for line in done.stdout.splitlines()}
    assert rows["cached tokens"] == ["0", "9,000"] and rows["answer tokens"] == ["3", "3"]
    assert "of the time to the first token" in done.stdout


def test_a_bench_leaves_nothing_behind(tmp_path: Path, home: Path) -> None:
    done = longctx("bench", "-e", "scripted", "-m", script(tmp_path), "--tokens", "64", "--json")
    figures = json.loads(done.stdout)
    assert figures["schema"] == "longctx.bench/1" and figures["warm"]["cached_tokens"] == 64
    assert not [path for path in (home / "longctx").rglob("*") if path.is_file() or path.name.startswith("bench")]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], ExitCode.USAGE, "there is no model to measure"),
        (["--tokens", "lots"], ExitCode.USAGE, "--tokens 'lots' must be a whole number"),
        (["--tokens", "3"], ExitCode.USAGE, "too few to measure"),
        (["-e", "scripted"], ExitCode.ENGINE, "needs a script"),
        (["-e", "nonsense"], ExitCode.ENGINE, "there is no engine 'nonsense'"),
    ],
)
def test_a_bench_that_can_not_be(words: list[str], code: ExitCode, message: str) -> None:
    done = longctx("bench", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr and "Traceback" not in done.stderr
