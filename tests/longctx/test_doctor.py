"""The doctor: each check by itself, what counts as bad, and the way from nothing to a model."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from longctx import doctor, doctor_engine, doctor_machine, gpu, software
from longctx.diagnosis import Case, Check, Status
from longctx.doctor import diagnose, next_step
from longctx.engines.base import EngineEvent, Finish, Finished, Prompt, Sampling, Warned
from longctx.engines.loopback import TABLES
from longctx.engines.opening import EngineSetup
from longctx.engines.script import Script, Scripted
from longctx.engines.scripted import ScriptedEngine
from longctx.errors import EngineError
from longctx.gpu import gpus
from longctx.paths import Paths
from longctx.software import install, is_installed, pip, torch_build, version_of

SHAPE = {
    "model_type": "llama4_text",
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "intermediate_size": 48,
    "intermediate_size_mlp": 96,
    "interleave_moe_layer_step": 1,
    "vocab_size": 202_048,
    "max_position_embeddings": 1 << 20,
    "attention_chunk_size": 8192,
    "eos_token_id": 200_001,
    "dtype": "bfloat16",
}


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def case(tmp_path: Path, closed_port: int) -> Case:
    kept = {name: tmp_path / "kept" / name for name in ("config", "data", "cache", "state")}
    setup = EngineSetup(logs=kept["state"] / "logs", store=kept["cache"] / "prefix")
    return Case(engine="auto", setup=setup, paths=Paths(**kept), ports={closed_port: "vLLM"})


def model_folder(root: Path, **changed: object) -> Path:
    (root / "config.json").write_text(json.dumps({**SHAPE, **changed}))
    return root


def weights(path: Path, *, short: int = 0) -> None:
    """A safetensors file of one tensor, `short` bytes too short."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16 - short))


def with_model(case: Case, model: str | Path, engine: str = "auto") -> Case:
    return replace(case, engine=engine, setup=replace(case.setup, model=str(model)))


def found(case: Case, name: str) -> list[Check]:
    return [check for check in diagnose(case) if check.name == name]


def worst(checks: list[Check]) -> Status:
    return max((check.status for check in checks), key=list(Status).index)


def test_with_nothing_set_nothing_is_bad_and_nothing_is_created(case: Case) -> None:
    checks = list(diagnose(case))
    assert {check.name for check in checks} == {"longctx", *doctor.CHECKS}
    assert all(check.status is not Status.BAD for check in checks), checks
    assert not any("could not be checked" in check.text for check in checks), checks
    assert all(check.fix for check in checks if check.status in (Status.MISSING, Status.BAD))
    assert not case.paths.cache.parent.exists()


def test_a_check_that_fails_costs_only_itself(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Case) -> Iterator[Check]:
        yield Check("gpu", Status.OK, "one of two")
        raise RuntimeError("the driver\x1b[31m fell over")

    def refused(_: Case) -> Iterator[Check]:
        raise EngineError("no such thing", "make one")

    monkeypatch.setattr(doctor, "CHECKS", {**doctor.CHECKS, "gpu": broken, "model": refused})
    checks = {check.text: check for check in diagnose(case)}
    assert checks["one of two"].status is Status.OK
    failed = checks["could not be checked: RuntimeError: the driver\\x1b[31m fell over"]
    assert (failed.name, failed.status) == ("gpu", Status.NOTE)
    assert checks["no such thing"] == Check("model", Status.BAD, "no such thing", "make one")
    assert any(check.name == "engine" for check in checks.values())


@pytest.mark.parametrize(
    ("version", "status"), [((3, 40, 1), Status.NOTE), ((3, 51, 2), Status.NOTE), ((3, 51, 3), Status.OK)]
)
def test_sqlite_below_the_fix_is_a_note(
    case: Case, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], status: Status
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    assert [check.status for check in doctor_machine.sqlite(case)] == [status]


def program(folder: Path, lines: str) -> Path:
    """A program in nvidia-smi's place."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def test_gpus_as_the_driver_lists_them(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo 'NVIDIA H200, 143771, 143000, 570.86.15'; echo 'NVIDIA GB10, [N/A], [N/A], 580.1'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    first, second = gpus()
    assert (first.name, first.memory_bytes, first.driver) == ("NVIDIA H200", 143_771 << 20, "570.86.15")
    assert (second.memory_bytes, second.free_bytes) == (None, None)
    texts = [check.text for check in doctor_machine.gpu(case)]
    assert texts == [
        "NVIDIA H200, 151 GB, 150 GB free, driver 570.86.15",
        "NVIDIA GB10, memory not told, driver 580.1",
    ]


def test_a_driver_that_fails_is_said(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (check,) = found(case, "gpu")
    assert check.status is Status.NOTE and "version mismatch" in check.text


def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(gpu, "PATIENCE_S", 0.05)
    with pytest.raises(OSError, match="no answer"):
        gpus()


def test_a_build_for_cpus_beside_a_gpu_is_a_note(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "is_installed", lambda _: True)
    monkeypatch.setattr(doctor_machine, "torch_build", lambda: "CPU")
    for there, status in ((False, Status.OK), (True, Status.NOTE)):
        monkeypatch.setattr(doctor_machine, "has_gpu", lambda there=there: there)
        (check,) = doctor_machine.torch(case)
        assert check.status is status
    assert "--force-reinstall torch" in check.fix


def test_what_is_missing_comes_with_its_command(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "is_installed", lambda _: False)
    monkeypatch.setattr(doctor_machine, "version_of", lambda *_: None)
    monkeypatch.setattr(doctor_machine, "has_gpu", lambda: True)
    for look, need in (
        (doctor_machine.office, "unstructured["),
        (doctor_machine.torch, "'torch>="),
        (doctor_machine.vllm, "'vllm>="),
    ):
        (check,) = look(case)
        assert check.status is Status.MISSING
        assert check.fix.startswith(f"{sys.executable} -m pip install ") and need in check.fix


def test_a_torch_build_is_read_not_imported(tmp_path: Path) -> None:
    for said, build in (
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", "CPU"),
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", "CUDA 12.8"),
        ("cuda = None\nhip: Optional[str] = '6.4'\n", "ROCm 6.4"),
    ):
        (tmp_path / "torch").mkdir(exist_ok=True)
        (tmp_path / "torch" / "version.py").write_text(said)
        (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from longctx.software import *; print(torch_build())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == f"{build}\n", done.stderr


def test_packages_are_found_without_importing_them() -> None:
    assert is_installed("pytest") and not is_installed("no_such_package") and not is_installed("no_such.package")
    assert version_of("no-such-package", "pytest") == pytest.__version__
    assert version_of("no-such-package") is None
    assert torch_build() in ("CPU", "") or torch_build().startswith(("CUDA", "ROCm"))


def test_an_extra_without_metadata_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requires", lambda _: None)
    assert install("office") == pip("longctx[office]")


def test_a_folder_that_can_not_be_written_is_bad(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    blocked = replace(case, paths=replace(case.paths, data=file / "data"))
    (check,) = found(blocked, "folders")
    assert check.status is Status.BAD and "(data): can't be written to" in check.text and "LONGCTX_HOME" in check.fix


def test_a_whole_model_says_what_fits(case: Case, tmp_path: Path) -> None:
    weights(model_folder(tmp_path) / "model.safetensors")
    setup = with_model(case, tmp_path)
    (model,) = found(setup, "model")[:1]
    assert model.status is Status.OK and "1 weight file," in model.text
    (context,) = found(setup, "context")
    assert context.status is Status.OK and "tokens in memory" in context.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "qwen3"}, "qwen3"),
        ({"attention_chunk_size": 512}, "its chunk is 512"),
        ({"vocab_size": 128}, "128"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
    ],
)
def test_a_model_that_can_not_be_used_is_bad(case: Case, tmp_path: Path, changed: dict[str, object], said: str) -> None:
    (check,) = found(with_model(case, model_folder(tmp_path, **changed)), "model")
    assert check.status is Status.BAD and said in check.text, check


def test_a_model_with_another_tokenizer_is_bad(case: Case, tmp_path: Path) -> None:
    lines = b"".join(b"%b %d\n" % (__import__("base64").b64encode(bytes([n])), n) for n in range(256))
    (model_folder(tmp_path) / "tokenizer.model").write_bytes(lines)
    (check,) = found(with_model(case, tmp_path), "model")
    assert check.status is Status.BAD and "its tokenizer is not Llama 4's" in check.text


def test_weights_that_are_not_whole_are_bad(case: Case, tmp_path: Path) -> None:
    model_folder(tmp_path)
    asked = with_model(case, tmp_path)
    (check,) = found(asked, "model")
    assert check.status is Status.BAD and "no *.safetensors" in check.text and "hf download" in check.fix
    index = {"weight_map": {"x": "model-1-of-2.safetensors", "y": "model-2-of-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    weights(tmp_path / "model-1-of-2.safetensors")
    (check,) = found(asked, "model")
    assert check.status is Status.BAD and "1 weight file missing" in check.text


@pytest.mark.skipif(not is_installed("torch"), reason="its reader checks headers")
def test_a_truncated_weight_file_is_bad(case: Case, tmp_path: Path) -> None:
    weights(model_folder(tmp_path) / "model.safetensors", short=1)
    (check,) = found(with_model(case, tmp_path), "model")
    assert check.status is Status.BAD and "model.safetensors" in check.text and "--force-download" in check.fix


def test_a_model_that_is_not_there_is_bad(case: Case) -> None:
    (check,) = found(with_model(case, "~/no/such/model"), "model")
    assert check.status is Status.BAD and "is no folder" in check.text


@pytest.mark.parametrize("engine", ["scout", "scripted", "vllm"])
def test_an_engine_without_its_model_is_bad(case: Case, engine: str) -> None:
    (check,) = found(replace(case, engine=engine), "model")
    assert check.status is Status.BAD and f"the {engine} engine needs one" in check.text


def test_a_script_is_read(case: Case, tmp_path: Path) -> None:
    script = tmp_path / "s.toml"
    script.write_text("[[answer]]\ntext = 'x'\n")
    assert worst(found(with_model(case, script, "scripted"), "model")) is Status.OK
    script.write_text("[[answer]]\ntxt = 'x'\n")
    (check,) = found(with_model(case, script, "scripted"), "model")
    assert check.status is Status.BAD and "unknown key 'txt'" in check.text


def test_an_engine_that_is_set_must_be_there(case: Case) -> None:
    (check,) = found(replace(case, engine="nonsense\x1b"), "engine")
    assert check.status is Status.BAD and "nonsense\\x1b" in check.text
    (check,) = found(replace(case, engine="vllm"), "engine")
    assert check.status is (Status.OK if is_installed("vllm") else Status.BAD)


class Stub(ScriptedEngine):
    """A server's engine as far as the doctor sees it."""

    def __init__(self, *, cached: int | None, context: int | None) -> None:
        super().__init__(Script(answers=(Scripted(text="yes"),)))
        self._cached = cached
        self._limit = context

    def limits(self):  # type: ignore[no-untyped-def]
        from longctx.engines.base import Limits

        return Limits(context_tokens=self._limit)

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        assert sampling.max_tokens == 1
        yield Warned("it counts oddly\x1b[31m")
        yield Finished(
            reason=Finish.LENGTH,
            prompt_tokens=len(prompt.ids),
            cached_tokens=self._cached,
            answer_tokens=1,
            prefill_s=0.1,
            decode_s=0.0,
            not_reported="" if self._cached is not None else "start it with --enable-prompt-tokens-details",
        )


def test_a_server_that_is_set_is_asked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    seen = list[EngineSetup]()
    at_server = replace(case, setup=replace(case.setup, base_url="http://127.0.0.1:1/v1", timeout_s=600))

    def opened(engine: Stub) -> list[Check]:
        monkeypatch.setattr(
            doctor_engine, "open_engine", lambda name, setup: (seen.append(setup), nullcontext(engine))[1]
        )
        return found(at_server, "server")

    checks = opened(Stub(cached=0, context=131_072))
    assert [check.status for check in checks] == [Status.OK, Status.OK, Status.NOTE, Status.OK]
    assert "131,072" in checks[1].text and "\\x1b" in checks[2].text and "reports cached tokens" in checks[3].text
    checks = opened(Stub(cached=None, context=None))
    assert checks[1].fix == "--context N says it"
    assert checks[-1] == Check(
        "server", Status.NOTE, "cached tokens are not reported", "start it with --enable-prompt-tokens-details"
    )
    assert {setup.timeout_s for setup in seen} == {doctor_engine.PATIENCE_S}


def test_a_server_that_is_set_and_down_is_bad_in_time(case: Case, closed_port: int) -> None:
    down = replace(case, setup=replace(case.setup, base_url=f"http://127.0.0.1:{closed_port}/v1", api_key="sk-secret"))
    checks = list(diagnose(down))
    bad = [check for check in checks if check.status is Status.BAD]
    assert [check.name for check in bad] == ["server"] and str(closed_port) in bad[0].text
    assert "sk-secret" not in repr(checks)


@pytest.mark.skipif(not TABLES[0].exists(), reason="needs /proc/net/tcp")
def test_servers_that_are_found_are_listed(case: Case) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [{"id": "a"}, {"id": "b\x1b[31m"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        there = replace(case, ports={listening.server_port: "Ollama"})
        try:
            (several,) = found(there, "server")
            (named,) = found(with_model(there, "a"), "server")
            (model,) = found(with_model(there, "a"), "model")
            after = next_step(replace(with_model(there, "a"), typed=("--model", "a b")))
        finally:
            listening.shutdown()
            thread.join()
    assert several.status is Status.NOTE and "a, b\\x1b[31m" in several.text and "--model" in several.text
    assert named.status is Status.OK and model.status is Status.OK
    assert after == ["next:", "  longctx chat PATH --model 'a b'"]


def test_from_nothing_the_last_lines_say_three_ways(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "is_installed", lambda _: False)
    for there, extra in ((False, "torch"), (True, "vllm")):
        monkeypatch.setattr(doctor, "has_gpu", lambda there=there: there)
        lines = next_step(case)
        text = "\n".join(lines)
        assert lines[0].startswith("no model yet") and all(f"\n  {number}. " in text for number in (1, 2, 3))
        assert "longctx chat PATH --base-url" in text and f"pip install '{extra}>=" in text
        assert "-m pip install huggingface_hub" in text and "hf download meta-llama/" in text
        assert str(case.paths.config_file) in text


def test_the_doctor_loads_nothing_heavy(case: Case) -> None:
    code = (
        "import sys, json; from longctx.cli import main\n"
        "sys.argv = ['longctx', 'engine', 'doctor', '--json']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'vllm', 'httpx', 'unstructured', 'pymupdf', 'tiktoken'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
