"""A real HTTP server on loopback that answers as it is told, faults included."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from longctx.tokens import Tokenizer

MODEL = "tiny"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Handler(BaseHTTPRequestHandler):
    """Gives each request to the route of its path; the connection ends with the reply."""

    server: "Listener"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers.items()), json.loads(content) if content else None)
        self.server.asked.append(asked)
        try:
            self.server.routes.get(self.path, says({"detail": "Not Found"}, 404))(self, asked)
        except OSError:
            self.server.cut_off.set()  # the client is gone

    def begin(self, status: int, kind: str, reason: str | None = None, **headers: str) -> None:
        self.send_response(status, reason)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002
        """Say nothing."""


Route = Callable[[Handler, Asked], None]


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, routes: Mapping[str, Route]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = dict(routes)
        self.asked: list[Asked] = []
        self.cut_off = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is what is tested."""


@dataclass
class FaultyServer:
    """Serves `routes` (by path) until the block ends; `asked` is what came, `cut_off` set when a client went away."""

    routes: Mapping[str, Route]
    _listener: Listener = field(init=False)

    def __post_init__(self) -> None:
        self._listener = Listener(self.routes)

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_port}"

    @property
    def asked(self) -> list[Asked]:
        return self._listener.asked

    @property
    def cut_off(self) -> threading.Event:
        return self._listener.cut_off

    def bodies(self, path: str) -> list[Any]:
        return [asked.body for asked in self.asked if asked.path == path]


def says(document: Any, status: int = 200, **headers: str) -> Route:
    """A JSON document at once."""

    def route(handler: Handler, asked: Asked) -> None:
        handler.begin(status, "application/json", **headers)
        handler.write(json.dumps(document).encode())

    return route


def sends(
    content: bytes, kind: str = "text/event-stream", status: int = 200, reason: str | None = None, **headers: str
) -> Route:
    """These bytes at once, then the end of the connection."""

    def route(handler: Handler, asked: Asked) -> None:
        handler.begin(status, kind, reason, **headers)
        handler.write(content)

    return route


def resets(content: bytes = b"") -> Route:
    """These bytes, then a reset in place of an end."""

    def route(handler: Handler, asked: Asked) -> None:
        if content:
            handler.begin(200, "text/event-stream")
            handler.write(content)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return route


def falls_silent(content: bytes, until: threading.Event) -> Route:
    """These bytes and no more, on a connection that stays open."""

    def route(handler: Handler, asked: Asked) -> None:
        if content:
            handler.begin(200, "text/event-stream")
            handler.write(content)
        until.wait(30)

    return route


def never_ends(content: bytes, kind: str = "text/event-stream") -> Route:
    """The same bytes again and again until the client goes away."""

    def route(handler: Handler, asked: Asked) -> None:
        handler.begin(200, kind)
        while True:
            handler.write(content)

    return route


def trickles(head: bytes, piece: bytes, pause_s: float = 0.05) -> Route:
    """These bytes without a line of its own before them, then the same piece after each pause until the client goes."""

    def route(handler: Handler, asked: Asked) -> None:
        handler.write(head)
        while not handler.server.cut_off.wait(pause_s):
            handler.write(piece)

    return route


def in_turn(*routes: Route) -> Route:
    """One route for each request, the last one for all further ones."""
    left = list(routes)

    def route(handler: Handler, asked: Asked) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler, asked)

    return route


def events(*documents: Any, done: bool = True) -> bytes:
    """Server-sent events of these documents, with the end mark."""
    lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def said(text: str, reason: str | None = None) -> dict[str, Any]:
    """A chunk of a chat."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def given(ids: Iterable[int], reason: str | None = None) -> dict[str, Any]:
    """A chunk of a completion with its ids."""
    return {"choices": [{"index": 0, "text": "?", "token_ids": list(ids), "finish_reason": reason}]}


def usage(prompt: int, answer: int = 2, cached: int | None = None) -> dict[str, Any]:
    """The chunk of the counts."""
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": answer}
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return {"choices": [], "usage": counts}


def lists(owner: str = "somebody", *names: str, **facts: Any) -> Route:
    """The listing of models."""
    return says({"object": "list", "data": [{"id": n, "owned_by": owner, **facts} for n in names or (MODEL,)]})


def tokenizes(specials: Mapping[str, int] | None = None, field_name: str = "prompt") -> Route:
    """Llama 4's own ids; `specials` are read out of the text as control tokens."""

    def route(handler: Handler, asked: Asked) -> None:
        says({"tokens": _ids(asked.body[field_name], dict(specials or {}))})(handler, asked)

    return route


def _ids(text: str, specials: dict[str, int]) -> list[int]:
    for spelling, token in specials.items():
        before, found, after = text.partition(spelling)
        if found:
            return [*_ids(before, specials), token, *_ids(after, specials)]
    return list(_tokenizer().encode(text))


def _tokenizer(kept: list[Tokenizer] = []) -> Tokenizer:  # noqa: B006 - one for all tests
    if not kept:
        kept.append(Tokenizer())
    return kept[0]
