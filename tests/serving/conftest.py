"""A model folder with a vocabulary of bytes, and servers on a real port: of that model, or of a fake engine."""

import socket
import threading
import time
from array import array
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn

from longctx.engines.base import EngineEvent, Finish, Finished, Identity, Limits, Prefilled, Prompt, Sampling, Token
from longctx.engines.opening import EngineSetup
from longctx.serving.app import application
from longctx.serving.foreground import bound, config
from longctx.serving.served import Served, opened
from longctx.serving.worker import Worker
from longctx.vocabulary import Vocabulary

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def model(make_checkpoint: Callable[..., Path]) -> Path:
    """300 tokens: the 256 bytes and, from 256 on, the special ones; windows of 32."""
    folder = make_checkpoint("served", vocab_size=300, eos_token_id=299, num_hidden_layers=4)
    (folder / "tokenizer.model").write_bytes(_bytes())
    return folder


def _bytes() -> bytes:
    return b"".join(b"%b %d\n" % (b64encode(bytes([n])), n) for n in range(256))


@dataclass
class Server:
    """A server on a port of its own."""

    url: str
    client: httpx.Client
    worker: Worker

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.client.post(path, json=body)


Serve = Callable[..., AbstractContextManager[Server]]


@contextmanager
def running(
    opener: Callable[[], AbstractContextManager[Served]], *, token: str | None = None, runs: int = 4
) -> Iterator[Server]:
    """A server in a thread, ready."""
    listening = bound(HOST, 0)
    url = f"http://{HOST}:{listening.getsockname()[1]}"
    worker = Worker(opener, ended=lambda: None, most_runs=runs)
    server = uvicorn.Server(config(application(worker, HOST, token)))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        until(lambda: worker.served is not None or worker.failure is not None)
        assert worker.failure is None, worker.failure
        try:
            yield Server(url, client, worker)
        finally:
            server.should_exit = True
            thread.join(20)
            assert worker.stop(20)
            listening.close()
    assert not thread.is_alive()


def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what comes from another thread or process; fails where it never does."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    """The tiny model, its prefixes in memory."""
    with running(lambda: opened(EngineSetup(logs=model, model=str(model), threads=1))) as each:
        yield each


@dataclass
class Paced:
    """An engine that says `text` byte by byte, and waits at each window and token for a permission."""

    text: bytes = b"one two three"
    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    free: threading.Event = field(default_factory=threading.Event)
    begun: list[Prompt] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    thread: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.begun.append(prompt)
        self.thread.append(threading.current_thread().name)
        try:
            yield from self._events(prompt, sampling)
        except GeneratorExit:
            self.closed.append(threading.current_thread().name)
            raise

    def _events(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        total, done = len(prompt.ids), 0
        yield Prefilled(done=0, total=total, cached=0)
        for window in prompt.windows():
            self._wait()
            done += len(window)
            yield Prefilled(done=done, total=total, cached=0)
        if self.failure is not None:
            raise self.failure
        given = self.text[: sampling.max_tokens]
        for byte in given:
            self._wait()
            yield Token(byte)
        reason = Finish.STOP if len(given) == len(self.text) else Finish.LENGTH
        yield Finished(
            reason=reason, prompt_tokens=total, cached_tokens=0, answer_tokens=len(given), prefill_s=0.0, decode_s=0.0
        )

    def _wait(self) -> None:
        while not self.free.is_set() and not self.permits.acquire(timeout=0.01):
            pass

    def limits(self) -> Limits:
        return Limits(context_tokens=1000)

    def identity(self) -> Identity:
        return Identity(kind="paced", model="paced")

    def describe(self) -> str:
        return "paced"

    def close(self) -> None:
        pass


@pytest.fixture
def vocabulary(tmp_path: Path) -> Vocabulary:
    return Vocabulary(tmp_path / "none", _bytes())


@pytest.fixture
def serve(vocabulary: Vocabulary) -> Serve:
    """A server of an engine that the test made."""

    @contextmanager
    def served(engine: Paced) -> Iterator[Served]:
        yield Served(
            name="paced",
            root="/models/paced",
            version="1",
            engine=engine,
            vocabulary=vocabulary,
            window_tokens=32,
            vocabulary_tokens=300,
            context_tokens=1000,
            stop_ids=frozenset({264}),
        )

    def start(engine: Paced, **more: object) -> AbstractContextManager[Server]:
        return running(lambda: served(engine), **more)  # type: ignore[arg-type]

    return start


def ids_of(text: str) -> "array[int]":
    return array("I", list(text.encode()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
