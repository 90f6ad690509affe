"""Connections that are given up, over real sockets: half a request, an answer that nobody reads, too many of them."""

import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from longctx.serving.foreground import bound, config
from tests.serving.conftest import HOST, Paced, Serve, Server, until

HALF = b"GET /health HTTP/1.1\r\nHost: loc"
PIECE = b"x" * (1 << 20)
PIECES = 64


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_S", 0.02), ("HEAD_S", 0.2), ("READ_S", 0.4)):
        monkeypatch.setattr(f"longctx.serving.connections.{name}", seconds)


def connected(port: int, content: bytes, buffer: int = 0) -> socket.socket:
    client = socket.socket()
    client.settimeout(20)
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.connect((HOST, port))
    client.sendall(content)
    return client


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def is_ended(client: socket.socket) -> bool:
    """Whether the server ends it, which may take a while, after the rest of an answer; raises TimeoutError if not."""
    with suppress(ConnectionError):
        while client.recv(4096):
            pass
    return True


@contextmanager
def large() -> Iterator[tuple[int, uvicorn.Server]]:
    """A server of 64 MiB, in one piece and in many; its port, and it."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    async def streamed(_request: Request) -> Response:
        return StreamingResponse(pieces())

    async def whole(_request: Request) -> Response:
        return Response(PIECE * PIECES)

    listening = bound(HOST, 0)
    server = uvicorn.Server(config(Starlette(routes=[Route("/streamed", streamed), Route("/whole", whole)])))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield listening.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.mark.parametrize("content", [b"", HALF, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF])
def test_half_a_request_is_not_waited_for(serve: Serve, content: bytes) -> None:
    with serve(Paced()) as server, connected(port_of(server), content) as client:
        if content.startswith(b"GET") and content != HALF:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert is_ended(client)


def test_the_rest_of_a_refused_request_is_not_waited_for(serve: Serve) -> None:
    head = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with serve(Paced()) as server, connected(port_of(server), head) as client:
        assert b"415" in client.recv(4096)
        deadline = time.monotonic() + 20
        with pytest.raises(ConnectionError):
            while time.monotonic() < deadline:
                client.sendall(b" ")
                time.sleep(0.01)


def test_who_waits_for_an_answer_is_not_given_up(serve: Serve) -> None:
    engine = Paced()
    with serve(engine) as server:
        body = {"prompt": "x", "max_tokens": 3, "stream": True}
        with server.client.stream("POST", "/v1/completions", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            with connected(port_of(server), HALF) as client:  # is given up meanwhile, and then some
                assert is_ended(client)
            with connected(port_of(server), HALF) as client:
                assert is_ended(client)
            engine.free.set()
            assert list(lines)[-2] == "data: [DONE]"


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
def test_an_answer_that_nobody_reads_is_given_up(path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with large() as (port, server), connected(port, request, buffer=4096):
        until(lambda: bool(server.server_state.connections))
        until(lambda: not server.server_state.connections and not server.server_state.tasks)


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
def test_an_answer_that_is_read_slowly_comes_whole(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.serving.connections.READ_S", 2.0)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with large() as (port, _), connected(port, request) as client:
        size, pauses = 0, 0
        while part := client.recv(1 << 20):
            size += len(part)
            if size > pauses << 23:
                pauses += 1
                time.sleep(0.35)  # all together longer than a client may read nothing
    assert size > PIECES * len(PIECE) and pauses > 7


def test_of_too_many_the_slowest_goes_and_answers_go_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.serving.connections.HEAD_S", 60.0)
    monkeypatch.setattr("longctx.serving.connections.MOST_CONNECTIONS", 5)
    engine = Paced()
    with serve(engine) as server, ExitStack() as stack:
        body = {"prompt": "x", "max_tokens": 3, "stream": True}
        response = stack.enter_context(server.client.stream("POST", "/v1/completions", json=body))
        lines = response.iter_lines()
        next(lines)
        head = (
            b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        clients = [stack.enter_context(connected(port_of(server), content)) for content in [HALF, head] * 5]
        until(lambda: len(select.select(clients, [], [], 0)[0]) == 6)  # the one that is answered and four stay
        assert all(map(is_ended, select.select(clients, [], [], 0)[0]))
        assert server.client.get("/health").status_code == 200
        engine.free.set()
        assert list(lines)[-2] == "data: [DONE]"
