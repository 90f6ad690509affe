"""Which engine `auto` takes: what is configured, a trusted server, else evidence; and that looking costs nothing."""

import json
import os
import socket
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from longctx.engines import choice, loopback
from longctx.engines.base import Sampling, contiguous
from longctx.engines.choice import choose, passed, pick
from longctx.engines.loopback import TABLES, Server, check_owner, owners, servers
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import EngineError
from tests.engines.faulty_server import FaultyServer, events, lists, said, sends, usage

LINUX = pytest.mark.skipif(not TABLES[0].exists(), reason="needs /proc/net/tcp")


def listed(*names: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]}).encode()


@contextmanager
def serving(body: bytes, status: int = 200, host: str = "127.0.0.1") -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A server on a free port that gives the same answer to everything; its port, and what it was asked."""
    asked = list[tuple[str, str]]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, str(self.headers)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it
            pass

    with HTTPServer((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nothing listens, nor begins to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def setup(tmp_path: Path) -> EngineSetup:
    return EngineSetup(logs=tmp_path / "logs")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which packages are installed, and whether there is a GPU."""

    def say(*packages: str, gpu: bool = False) -> None:
        monkeypatch.setattr(choice, "is_installed", lambda name: name in packages)
        monkeypatch.setattr(choice, "has_gpu", lambda: gpu)

    return say


def with_(setup: EngineSetup, **more: object) -> EngineSetup:
    from dataclasses import replace

    return replace(setup, **more)  # type: ignore[arg-type]  # fields as the caller has them


@pytest.mark.parametrize("name", ["scout", "evidence", "a-plugin", "openai"])
def test_a_named_engine_is_taken_as_it_is(setup: EngineSetup, name: str, closed_port: int) -> None:
    chosen = choose(name, setup, ports={closed_port: "vLLM"})
    assert (chosen.name, chosen.setup, chosen.why) == (name, setup, f"engine: {name}: it was named")


@LINUX
def test_what_is_configured_comes_before_what_is_found(setup: EngineSetup) -> None:
    with serving(listed("found")) as (port, asked):
        there = with_(setup, base_url="https://models.example/v1", model="mine", api_key="sk-secret")
        chosen = choose("auto", there, ports={port: "vLLM"})
    assert (chosen.name, chosen.setup) == ("openai", there)
    assert chosen.why == "engine: openai at https://models.example/v1 (mine): base_url is set"
    assert not asked


@pytest.mark.parametrize(
    ("packages", "gpu", "device", "expected"),
    [
        (("torch", "vllm"), True, "auto", "vllm"),
        (("torch", "vllm"), True, "cpu", "scout"),
        (("torch", "vllm"), False, "auto", "scout"),
        (("torch",), True, "auto", "scout"),
        ((), True, "auto", "evidence"),
    ],
)
def test_a_folder_of_weights(
    setup: EngineSetup,
    here: Callable[..., None],
    tmp_path: Path,
    closed_port: int,
    packages: tuple[str, ...],
    gpu: bool,
    device: str,
    expected: str,
) -> None:
    here(*packages, gpu=gpu)
    chosen = pick("auto", with_(setup, model=str(tmp_path), device=device), ports={closed_port: "vLLM"})
    assert chosen.name == expected
    if expected == "evidence":
        assert f"{tmp_path} needs torch: " in chosen.why and "-m pip install 'torch>=" in chosen.why
    else:
        assert str(tmp_path) in chosen.why


@LINUX
def test_a_server_of_ours_is_found_and_gets_no_key(setup: EngineSetup, closed_port: int) -> None:
    with serving(listed("nomic-embed-text", "Llama-4-Scout")) as (port, asked):
        chosen = choose("auto", with_(setup, api_key="sk-secret"), ports={closed_port: "vLLM", port: "SGLang"})
    assert chosen.name == "openai"
    assert chosen.setup.base_url == f"http://127.0.0.1:{port}/v1"
    assert (chosen.setup.model, chosen.setup.api_key) == ("Llama-4-Scout", None)
    where = f"http://127.0.0.1:{port}/v1 (Llama-4-Scout)"
    assert chosen.why == f"engine: openai at {where}: a server was found on port {port}"
    assert [path for path, _ in asked] == ["/v1/models"]
    assert "secret" not in asked[0][1]


@LINUX
def test_openai_without_an_address_finds_one_too(setup: EngineSetup) -> None:
    with serving(listed("m")) as (port, _):
        assert choose("openai", setup, ports={port: "vLLM"}).setup.base_url == f"http://127.0.0.1:{port}/v1"


@LINUX
@pytest.mark.parametrize(
    ("names", "wanted", "taken"),
    [
        (("a", "b"), None, None),
        (("a", "b"), "b", "b"),
        (("a", "b"), "c", None),
        (("a", "meta/Llama-4-Scout", "b"), None, "meta/Llama-4-Scout"),
        (("llama4:scout", "Llama-4-Maverick"), None, None),
        (("bge-m3", "all-minilm", "whisper-1"), None, None),
        ((), None, None),
    ],
)
def test_which_model_of_a_server(
    setup: EngineSetup, names: tuple[str, ...], wanted: str | None, taken: str | None
) -> None:
    with serving(listed(*names)) as (port, _):
        chosen = pick("auto", with_(setup, model=wanted), ports={port: "Ollama"})
    assert (chosen.setup.model if chosen.name == "openai" else None) == taken
    if taken is None:
        assert chosen.name == "evidence" and f"port {port}" in chosen.why


@LINUX
@pytest.mark.parametrize(
    ("body", "status", "refused"),
    [
        (b"<html>welcome</html>", 200, "it is no model server"),
        (b"[]", 200, "it is no model server"),
        (b'{"data": 3}', 200, "it is no model server"),
        (b'{"data": [{"id": 7}]}', 200, "it is no model server"),
        (b"[" * 100_000, 200, "it is no model server"),
        (b'{"data": [], "x": "' + b"x" * (1 << 20) + b'"}', 200, "it is no model server"),
        (b"not here", 404, "it is no model server"),
        (b"{}", 401, "it wants a key: set base_url and LONGCTX_API_KEY"),
        (listed("text-embedding-3"), 200, "it has no model that can chat"),
    ],
)
def test_what_is_no_model_server_is_passed_over(setup: EngineSetup, body: bytes, status: int, refused: str) -> None:
    with serving(body, status) as (port, _):
        (found,) = servers({port: "vLLM"})
        chosen = choose("auto", setup, ports={port: "vLLM"})
    assert (found.models, found.refused) == ((), refused)
    assert chosen.name == "evidence" and refused in chosen.why


@LINUX
def test_a_port_that_does_not_speak_http(setup: EngineSetup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            for _ in range(2):  # it is tried, then asked
                connection, _address = listener.accept()
                connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        (found,) = servers({port: "vLLM"})
        thread.join()
    assert found.refused == "it does not answer as a model server does"


@LINUX
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_kernel_says_whose_a_socket_is(host: str) -> None:
    with socket.create_server((host, 0)) as listener:
        assert owners(listener.getsockname()[1]) == {os.getuid()}


def table(tmp_path: Path, *rows: tuple[str, str, int]) -> Path:
    """A table of sockets as the kernel prints it: (local address, state, uid)."""
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"]
    lines += [
        f"   {n}: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 31337 1 0000 100 0"
        for n, (local, state, uid) in enumerate(rows)
    ]
    path = tmp_path / "tcp"
    path.write_text("\n".join(lines) + "\n")
    return path


PORT = 8000
HEX = f"{PORT:04X}"
STRANGER = 64_001


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("0100007F:" + HEX, "0A", STRANGER)], {STRANGER}),
        ([("00000000:" + HEX, "0A", STRANGER), ("0100007F:" + HEX, "0A", 0)], {STRANGER, 0}),
        ([("0" * 32 + ":" + HEX, "0A", STRANGER)], {STRANGER}),
        ([("0000000000000000FFFF00000100007F:" + HEX, "0A", STRANGER)], {STRANGER}),
        ([("0000000000000000FFFF000000000000:" + HEX, "0A", STRANGER)], {STRANGER}),
        ([("0" * 32 + ":" + HEX, "0A", 0), ("0" * 8 + ":" + HEX, "0A", STRANGER)], {STRANGER, 0}),
        ([("0100007F:" + HEX, "01", STRANGER)], set()),  # a connection, no listener
        ([("0100007F:1F41", "0A", STRANGER)], set()),  # another port
        ([("0200A8C0:" + HEX, "0A", STRANGER)], set()),  # another address
        ([], set()),
    ],
)
def test_owners_are_those_who_would_get_it(tmp_path: Path, rows: list[tuple[str, str, int]], found: set[int]) -> None:
    assert owners(PORT, [table(tmp_path, *rows), tmp_path / "none"]) == found


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ([("0100007F", STRANGER)], f"it belongs to another user (uid {STRANGER})"),
        ([("0100007F", 0), ("00000000", STRANGER)], f"it belongs to another user (uid {STRANGER})"),
        (
            [("0" * 32, 0), ("0000000000000000FFFF000000000000", STRANGER)],
            f"it belongs to another user (uid {STRANGER})",
        ),
        ([("0100007F", 65_534)], "it belongs to another user (uid 65534)"),
        ([], "whose it is can't be told"),
        ([("0100007F", 999)], ""),
        ([("00000000", os.getuid())], ""),
    ],
)
def test_only_our_own_servers_and_the_systems_are_asked(
    tmp_path: Path, rows: list[tuple[str, int]], refused: str
) -> None:
    with serving(listed("m")) as (port, asked):
        known = table(tmp_path, *((f"{address}:{port:04X}", "0A", uid) for address, uid in rows))
        (found,) = servers({port: "vLLM"}, tables=[known])
    assert found.refused == refused
    assert bool(asked) is (refused == "")


@LINUX
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_an_answer_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(loopback, "ANSWER_S", 0.3)
    over = Event()

    def dribble(listener: socket.socket) -> None:
        listener.accept()[0].close()  # it is tried, then asked
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(head)
            while not over.wait(0.05):
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" if b"103" in head else b":")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=dribble, args=(listener,))
        thread.start()
        looked = list[Server]()
        looking = Thread(target=lambda: looked.extend(servers({listener.getsockname()[1]: "vLLM"})), daemon=True)
        looking.start()
        looking.join(3)
        found = list(looked)
        over.set()
        thread.join()
    assert [bool(server.refused) for server in found] == [True]


@pytest.mark.parametrize("is_named", [False, True])
def test_a_found_server_is_looked_at_again_before_each_prompt(
    setup: EngineSetup, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    whose = [os.getuid()]
    monkeypatch.setattr(loopback, "owners", lambda port, tables: frozenset(whose))
    answer = sends(events(said("38 m."), said("", "stop"), usage(5)))
    prompt, sampling = contiguous(array("I", range(100, 110)), 8192), Sampling(max_tokens=4)
    with FaultyServer({"/v1/models": lists(), "/v1/chat/completions": answer}) as server:
        port = int(server.root.rpartition(":")[2])
        named = with_(setup, base_url=f"{server.root}/v1") if is_named else setup
        chosen = choose("auto", named, ports={port: "vLLM"})
        with open_engine(chosen.name, chosen.setup) as engine:
            list(engine.generate(prompt, sampling))
            count, whose[:] = len(server.asked), [STRANGER]
            if is_named:
                list(engine.generate(prompt, sampling))
                return
            with pytest.raises(EngineError, match=f"port {port} is not asked any more: it belongs to another user"):
                list(engine.generate(prompt, sampling))
            assert len(server.asked) == count


def test_a_found_server_that_is_gone_is_said_to_be(closed_port: int) -> None:
    with pytest.raises(EngineError, match=f"port {closed_port} is not asked any more: nothing listens there"):
        check_owner(closed_port)


def test_a_server_of_somebody_else_is_named_and_not_taken(setup: EngineSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "owners", lambda port, tables: frozenset({STRANGER}))
    with serving(listed("m")) as (port, asked):
        chosen = choose("auto", setup, ports={port: "vLLM"})
    assert chosen.name == "evidence" and not asked
    assert f"the server on port {port} is not taken: it belongs to another user (uid {STRANGER})" in chosen.why


def test_without_anything_it_is_evidence_and_says_why(
    setup: EngineSetup, here: Callable[..., None], closed_port: int
) -> None:
    here("torch", "vllm", gpu=True)
    chosen = choose("auto", setup, ports={closed_port: "vLLM"})
    assert chosen.setup == setup
    assert chosen.why == (
        f"engine: evidence: no engine is configured and no server answers on 127.0.0.1 (ports {closed_port});"
        " longctx engine doctor says what is missing"
    )


def test_a_model_by_name_goes_to_vllm_where_there_is_a_gpu(
    setup: EngineSetup, here: Callable[..., None], closed_port: int
) -> None:
    named = with_(setup, model="meta-llama/Llama-4-Scout")
    for gpu, expected in ((True, "vllm"), (False, "evidence")):
        here("vllm", gpu=gpu)
        assert pick("auto", named, ports={closed_port: "vLLM"}).name == expected


def test_a_named_model_that_is_not_here_is_no_reason_to_quote(setup: EngineSetup, closed_port: int) -> None:
    with pytest.raises(EngineError, match="qwen3:8b is no folder and no server answers"):
        choose("auto", with_(setup, model="qwen3:8b"), ports={closed_port: "vLLM"})


def test_names_from_a_server_are_shown_safely(setup: EngineSetup) -> None:
    server = Server(port=1, usual="vLLM", models=("a", "b"))
    assert passed(server, "x\x1b[31m") == "the server on port 1 does not have x\\x1b[31m"


def test_looking_around_loads_nothing_and_takes_no_time(closed_port: int) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from longctx.engines.choice import choose, pick\n"
        "from longctx.engines.opening import EngineSetup\n"
        f"ports = {{port: 'x' for port in [{closed_port}] * 6}}; setup = EngineSetup(logs=Path('x'))\n"
        "before = time.process_time(); name = choose('auto', setup, ports=ports).name\n"
        "spent = time.process_time() - before\n"
        "print(name, spent < 0.01, sorted({'httpx', 'torch', 'http', 'http.client', 'json'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.stdout.split(maxsplit=2)[:2] == ["evidence", "True"], done.stderr + done.stdout
    assert "torch" not in done.stdout and "http" not in done.stdout
