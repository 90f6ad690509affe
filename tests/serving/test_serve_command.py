"""`longctx engine serve|stop|logs` as a user has them: real processes, real ports, a stand-in for vLLM."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longctx.errors import ExitCode
from longctx.serving.record import birth
from tests.serving.conftest import HOST, free_port, until
from tests.serving.test_vllm_command import model_folder

LONGCTX = [sys.executable, "-P", "-m", "longctx"]
VLLM = """#!{python}
import http.server, json, os, sys
told = {{name: value for name, value in os.environ.items() if name.startswith(("VLLM_", "HF_", "DO_NOT"))}}
print(json.dumps([sys.argv[1:], told]), flush=True)
if "--fail" in sys.argv:
    sys.exit("RuntimeError: no \\x1b[31mroom")
if "--never" in sys.argv:
    import time; time.sleep(600)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Health).serve_forever()
"""


def engine(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [*LONGCTX, "engine", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


@pytest.fixture
def cleaned() -> Iterator[None]:
    yield
    engine("stop", "--all")


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleaned: None) -> Path:
    """A folder of a model that vLLM could serve, and something that stands for vLLM."""
    fake = tmp_path / "bin" / "vllm"
    fake.parent.mkdir()
    fake.write_text(VLLM.format(python=sys.executable))
    fake.chmod(0o755)
    monkeypatch.setenv("LONGCTX_VLLM", str(fake))
    return model_folder(tmp_path, num_hidden_layers=4, hidden_size=64, num_local_experts=2)


def serve_vllm(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return engine("serve", "--engine", "vllm", "--device", "cpu", "--model", str(folder), *words, **environment)


def said(record: dict[str, Any]) -> Any:
    """What the stand-in was called with."""
    log = Path(os.environ["LONGCTX_HOME"]) / "state" / "logs" / f"{record['name']}.log"
    return json.loads(log.read_text().splitlines()[0])


def record_of(name: str) -> dict[str, Any]:
    path = Path(os.environ["LONGCTX_HOME"]) / "state" / "servers" / f"{name}.json"
    return dict(json.loads(path.read_text()))


@pytest.mark.slow
def test_our_own_server_from_start_to_end(model: Path, cleaned: None, tmp_path: Path) -> None:
    port, token = free_port(), "a-token-of-20-letters"
    (tmp_path / "token").write_text(token)
    words = (
        "serve",
        "--model",
        str(model),
        "--port",
        str(port),
        "--threads",
        "1",
        "--token-file",
        str(tmp_path / "token"),
    )
    done = engine(*words)
    assert done.returncode == 0, done.stderr
    url, name = f"http://{HOST}:{port}/v1", f"scout-{port}"
    assert f"{name} serves {model.name} at {url}" in done.stdout
    assert f'LONGCTX_API_KEY=TOKEN longctx ask PATH "QUESTION" --engine openai --base-url {url}' in done.stdout
    with httpx.Client(
        base_url=url, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    ) as client:
        body = {"prompt": "a secret prompt of more than a window: " * 3, "max_tokens": 4, "temperature": 0}
        cold, warm = (client.post("/completions", json=body).json() for _ in range(2))
        assert (cold["choices"], warm["usage"]["prompt_tokens_details"]["cached_tokens"]) == (warm["choices"], 96)
        assert client.get("/models").json()["data"][0]["id"] == model.name
    again = engine(*words)
    assert (again.returncode, again.stdout) == (ExitCode.ENGINE, "")
    assert again.stderr.startswith(f"longctx: {name} runs already at {url} (pid ")
    told = engine("logs", name).stdout
    assert "POST /v1/completions 200" in told and "96 cached" in told
    assert "secret" not in told and token not in told and token not in json.dumps(record_of(name))
    assert engine("stop").stdout == f"{name}: ended\n"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    assert engine("stop").stderr.splitlines()[0] == "longctx: no server was started here"


@pytest.mark.slow
def test_attached_it_ends_well_with_a_signal(model: Path) -> None:
    port = free_port()
    command = [*LONGCTX, "engine", "serve", "--model", str(model), "--port", str(port), "--no-cache", "--foreground"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: answers(port), 60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "ready: scout" in err and "Traceback" not in err


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_model_that_cannot_be_opened_is_told_at_once(tmp_path: Path, model: Path) -> None:
    done = engine("serve", "--model", str(tmp_path))
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.splitlines()[0].startswith(f"longctx: {tmp_path}/config.json: not found")
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    (tmp_path / "tokenizer.model").write_bytes((model / "tokenizer.model").read_bytes())
    done = engine("serve", "--model", str(tmp_path), "--port", str(free_port()))
    assert done.returncode == ExitCode.ENGINE and "ended while it was starting (exit code 5)" in done.stderr
    assert "safetensors" in done.stderr and "Traceback" not in done.stderr


def test_a_taken_port_is_told_before_anything_starts(model: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        done = engine("serve", "--model", str(model), "--port", str(port))
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.splitlines()[0] == f"longctx: {HOST}:{port}: Address already in use"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines, and there is no token"),
        (["--print"], "--print is for --engine vllm only"),
        (["--tensor-parallel", "2"], "--nodes and --tensor-parallel is for --engine vllm only"),
        (["--name", "../x"], "'../x' is no name of a server"),
        (["--engine", "vllm", "--no-cache"], "--no-cache is for --engine scout only"),
        (["--engine", "vllm", "--nodes", "2"], "--nodes needs --master-addr"),
        (["--token-file", "/none"], "/none: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(model: Path, words: list[str], message: str) -> None:
    done = engine("serve", "--model", str(model), *words)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.splitlines()[0] == f"longctx: {message}" and "Traceback" not in done.stderr


def test_no_model_is_one_line() -> None:
    done = engine("serve")
    assert (done.returncode, done.stderr.splitlines()[0]) == (ExitCode.USAGE, "longctx: no model is named")


def test_vllm_is_started_with_its_switches_and_the_key_in_its_environment(vllm: Path) -> None:
    port, token = free_port(), "a-token-of-20-letters"
    done = serve_vllm(vllm, "--port", str(port), "--", "--seed", "7", LONGCTX_SERVER_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert f"vllm-{port} serves Scout at http://{HOST}:{port}/v1" in done.stdout
    assert "--enable-prefix-caching" in done.stderr and "longest context: as much as fits" in done.stderr
    record = record_of(f"vllm-{port}")
    (switches, told) = said(record)
    assert switches[:2] == ["serve", str(vllm)] and switches[-2:] == ["--seed", "7"]
    assert (told["VLLM_API_KEY"], told["HF_HUB_OFFLINE"], told["DO_NOT_TRACK"]) == (token, "1", "1")
    assert token not in done.stdout + done.stderr + json.dumps(record)
    assert engine("stop", record["name"]).returncode == 0
    assert not birth(record["pid"])


def test_printing_starts_nothing_and_needs_no_vllm(vllm: Path) -> None:
    done = serve_vllm(vllm, "--print", "--max-model-len", "1M", LONGCTX_VLLM="")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout and "--max-model-len 1000000" in done.stdout
    assert not (Path(os.environ["LONGCTX_HOME"]) / "state" / "servers").exists()


def test_a_vllm_that_dies_is_told_with_its_last_words(vllm: Path) -> None:
    done = serve_vllm(vllm, "--port", str(free_port()), "--", "--fail")
    assert done.returncode == ExitCode.ENGINE and "exit code 1" in done.stderr
    assert "  RuntimeError: no \u241b[31mroom" in done.stderr and "\x1b" not in done.stderr


def test_an_interrupted_start_ends_what_it_began(vllm: Path) -> None:
    port = free_port()
    words = ["serve", "--engine", "vllm", "--device", "cpu", "--model", str(vllm), "--port", str(port), "--", "--never"]
    with subprocess.Popen([*LONGCTX, "engine", *words], stderr=subprocess.PIPE, text=True) as process:
        path = Path(os.environ["LONGCTX_HOME"]) / "state" / "servers" / f"vllm-{port}.json"
        until(path.exists)
        pid = record_of(f"vllm-{port}")["pid"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert not birth(pid) and not path.exists()


def test_without_vllm_one_line_says_how_to_get_it(vllm: Path, tmp_path: Path) -> None:
    done = serve_vllm(vllm, LONGCTX_VLLM="", PATH=str(tmp_path))
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.splitlines()[0] == "longctx: vLLM is not installed here"
    assert 'pip install "longctx[vllm]"' in done.stderr


def test_a_bad_record_is_named_and_stops_nothing(vllm: Path) -> None:
    port = free_port()
    assert serve_vllm(vllm, "--port", str(port)).returncode == 0
    good = record_of(f"vllm-{port}")
    servers = Path(os.environ["LONGCTX_HOME"]) / "state" / "servers"
    (servers / "five.json").write_text(json.dumps(good | {"name": "five", "command": 5}))
    (servers / "-x.json").write_text(json.dumps(good | {"name": "-x"}))
    told = [f"longctx: {servers / name}: no record of a server; it is left alone" for name in ("-x.json", "five.json")]
    for words in (["logs"], ["stop", "--all"]):
        done = engine(*words)
        assert (done.returncode, done.stderr.splitlines()) == (0, told), words
    assert not birth(good["pid"])


def test_stopping_and_showing_what_is_not_there(vllm: Path) -> None:
    for words in (["stop", "x"], ["stop", "../x"], ["logs", "x"], ["logs"]):
        done = engine(*words)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, ""), words
    assert engine("stop", "--all").returncode == 0
