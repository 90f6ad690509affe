"""What a user sees of each fault of a server: one line that names it, the exit code, and the part that had come."""

import gzip
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from longctx.completion import chat_ids
from longctx.engines.base import Finish, Finished, Sampling, Text, Warned, contiguous
from longctx.engines.compatible_http import LARGEST_SHOWN, is_too_long
from longctx.engines.compatible_stream import ServerSaid, chunk, chunks
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import EngineError, ExitCode, LongctxError
from longctx.vocabulary import llama4
from tests.engines.faulty_server import (
    FaultyServer,
    Route,
    events,
    falls_silent,
    lists,
    never_ends,
    resets,
    said,
    says,
    sends,
    trickles,
    usage,
)

CHAT = "/v1/chat/completions"
KEY = "sk-very-secret"
PROMPT = contiguous(chat_ids("How high is the lighthouse? " * 100, llama4()))
PART = events(said("It is "), done=False)
WAITING = threading.Event()  # never set: a server that is silent


def setup(url: str, **values: Any) -> EngineSetup:
    named: dict[str, Any] = {"api_key": KEY, "timeout_s": 5.0} | values
    return EngineSetup(logs=Path("/nowhere"), base_url=url, **named)


def fail(url: str, **values: Any) -> tuple[LongctxError, str]:
    """The error that a prompt ends with, and the text that had come."""
    got = ""
    with pytest.raises(LongctxError) as caught, open_engine("openai", setup(url, **values)) as engine:
        for event in engine.generate(PROMPT, Sampling(max_tokens=16)):
            got += event.text if isinstance(event, Text) else ""
    return caught.value, got


def checked(error: LongctxError, fragment: str, code: ExitCode) -> None:
    assert fragment in str(error)
    assert error.exit_code == code
    assert "\n" not in str(error)
    assert str(error).isprintable()
    assert KEY not in f"{error}{error.hint}{error!r}"
    assert len(str(error)) < LARGEST_SHOWN + 200


def refused(message: str, status: int = 400) -> Route:
    return says({"error": {"message": message}}, status)


FAULTS: dict[str, tuple[Route, str, ExitCode, str]] = {
    # what the server does: its route, a part of the line, the exit code, the text that is kept
    "500": (refused("out of memory", 500), "500 Internal Server Error: out of memory", ExitCode.ENGINE, ""),
    "401": (refused(f"bad key {KEY}", 401), "401 Unauthorized: bad key [key]", ExitCode.ENGINE, ""),
    "403": (refused("no", 403), "403 Forbidden: no", ExitCode.ENGINE, ""),
    "model gone": (refused("The model `tiny` does not exist.", 404), "does not exist", ExitCode.ENGINE, ""),
    "escapes": (refused("\x1b[2J\u202egone", 400), r"\x1b[2J\u202egone", ExitCode.ENGINE, ""),
    "long words": (refused("x" * 9999, 400), "xxx…", ExitCode.ENGINE, ""),
    "error page": (sends(b"<html>oops</html>", "text/html", 502), "502 Bad Gateway", ExitCode.ENGINE, ""),
    "web page": (sends(b"<html>hello</html>", "text/html"), "text/html, no stream", ExitCode.ENGINE, ""),
    "octets": (sends(PART, "application/octet-stream"), "application/octet-stream, no", ExitCode.ENGINE, ""),
    "no JSON": (sends(b"{nope", "application/json"), "the reply is no JSON", ExitCode.ENGINE, ""),
    "JSON bomb": (sends(b"[" * 100_000, "application/json"), "the reply is no JSON", ExitCode.ENGINE, ""),
    "no JSON in the stream": (
        sends(PART + b"data: {nope\n\n"),
        "no JSON; the answer is not",
        ExitCode.ENGINE,
        "It is ",
    ),
    "bomb in the stream": (sends(b"data: " + b"[" * 100_000 + b"\n\n"), "no JSON", ExitCode.ENGINE, ""),
    "half-closed": (sends(PART), "stopped short; the answer is not whole", ExitCode.ENGINE, "It is "),
    "nothing at all": (sends(b""), "the answer is not whole", ExitCode.ENGINE, ""),
    "reset at once": (resets(), "the connection", ExitCode.ENGINE, ""),
    "reset midway": (resets(PART), "the answer is not whole", ExitCode.ENGINE, "It is "),
    "too short": (sends(PART, Content_Length="99999"), "the answer is not whole", ExitCode.ENGINE, "It is "),
    "error midway": (
        sends(PART + events({"error": {"message": "CUDA error", "code": 500}})),
        "CUDA error; the answer is not whole",
        ExitCode.ENGINE,
        "It is ",
    ),
    "filtered": (
        sends(events(said("It is "), said("", f"content_filter {KEY}\x1b"), usage(700), done=False)),
        r"the server ended the answer: content_filter [key]\x1b; the answer is not whole",
        ExitCode.ENGINE,
        "It is ",
    ),
    "calls tools": (
        sends(events(said("It is ", "tool_calls"), usage(700))),
        "the server ended the answer: tool_calls; the answer is not whole",
        ExitCode.ENGINE,
        "It is ",
    ),
    "a reason of its own": (
        sends(b"", status=500, kind="text/plain", reason=f"x {KEY} \x1b" + "y" * 999),
        r"500 x [key] \x1byyy",
        ExitCode.ENGINE,
        "",
    ),
    "nothing without end": (
        sends(events(said("It is "), *[said("")] * 2000)),
        "chunks without an end, and nothing in them; the answer is not whole",
        ExitCode.ENGINE,
        "It is ",
    ),
    "a stage without end": (
        never_ends(events({"prompt_progress": {"total": 700, "processed": 3, "cache": 0}}, done=False)),
        "chunks without an end, and nothing in them; the answer is not whole",
        ExitCode.ENGINE,
        "",
    ),
    "broken off": (
        sends(events(said("It is "), said("", "abort"))),
        "the server ended the answer: abort; the answer is not whole",
        ExitCode.ENGINE,
        "It is ",
    ),
    "silent midway": (falls_silent(PART, WAITING), "silent for 0.4 s; the answer is not", ExitCode.ENGINE, "It is "),
    "silent": (falls_silent(b"", WAITING), "silent for 0.4 s", ExitCode.ENGINE, ""),
    "endless line": (never_ends(b"data: " + b"x" * 65536), "a line of more than 8 MiB", ExitCode.ENGINE, ""),
    "endless JSON": (never_ends(b" " * 65536, "application/json"), "larger than 8 MiB", ExitCode.ENGINE, ""),
    "moved": (sends(b"", "text/plain", 307, Location="http://127.0.0.1:9/v1"), "leads on to http", ExitCode.ENGINE, ""),
    "compressed": (
        sends(gzip.compress(b"\0" * (1 << 20)), Content_Encoding="gzip"),
        "compressed (gzip)",
        ExitCode.ENGINE,
        "",
    ),
    "vLLM's limit": (
        refused("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"),
        "maximum context length",
        ExitCode.DOES_NOT_FIT,
        "",
    ),
    "llama.cpp's limit": (
        refused("the request exceeds the available context size, try increasing it"),
        "context size",
        ExitCode.DOES_NOT_FIT,
        "",
    ),
    "limit in the stream": (
        sends(events({"error": {"message": "Input is longer than the model's context length"}})),
        "context length",
        ExitCode.DOES_NOT_FIT,
        "",
    ),
    "body too large": (says({"detail": "Payload Too Large"}, 413), "413", ExitCode.DOES_NOT_FIT, ""),
    "fewer tokens": (
        sends(events(said("It is "), said("", "stop"), usage(3))),
        "read only 3",
        ExitCode.DOES_NOT_FIT,
        "It is ",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_with_what_had_come(name: str) -> None:
    route, fragment, code, kept = FAULTS[name]
    with FaultyServer({"/v1/models": lists(), CHAT: route}) as server:
        error, got = fail(server.root, timeout_s=0.4 if "silent" in name else 5.0)
        checked(error, fragment, code)
        assert got == kept
        assert server.root in str(error)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SLOW: dict[str, tuple[Route, str, str]] = {
    "early hints": (trickles(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), "no reply within 0.4 s", ""),
    "a head": (trickles(b"HTTP/1.1 200 OK\r\n", b"X"), "no reply within 0.4 s", ""),
    "a refusal": (trickles(b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\n\r\nbroken", b"!"), "500 Oh: broken!", ""),
    "a document": (
        trickles(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
        "nothing of an answer for 0.4 s",
        "",
    ),
    "comments": (trickles(HEAD + PART, b": alive\n\n"), "nothing of an answer for 0.4 s", "It is "),
    "empty words": (trickles(HEAD + PART, events(said(""), done=False)), "nothing of an answer for 0.4 s", "It is "),
    "the same stage": (
        trickles(HEAD, events({"prompt_progress": {"total": 700, "processed": 3, "cache": 0}}, done=False)),
        "nothing of an answer for 0.4 s",
        "",
    ),
    "the size of a chunk": (
        trickles(HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"5;", b"x"),
        "nothing of an answer for 0.4 s",
        "",
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_comes_piece_by_piece_is_not_waited_for_without_end(name: str) -> None:
    route, fragment, kept = SLOW[name]
    with FaultyServer({"/v1/models": lists(), CHAT: route}) as server:
        begun_s = time.monotonic()
        error, got = fail(server.root, timeout_s=0.4)
        assert time.monotonic() - begun_s < 4
        checked(error, fragment, ExitCode.ENGINE)
        assert got == kept
        assert server.cut_off.wait(5)


def test_time_that_the_reader_takes_is_no_silence() -> None:
    route = trickles(HEAD, events(said("x"), done=False), 0.01)
    with (
        FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
        open_engine("openai", setup(server.root, timeout_s=0.3)) as engine,
    ):
        answer = engine.generate(PROMPT, Sampling(max_tokens=16))
        assert next(answer) == Text("x")
        time.sleep(0.8)
        assert next(answer) == Text("x")


def test_an_answer_that_goes_on_may_last_longer_than_a_silence() -> None:
    route = trickles(HEAD, events(said("x"), done=False), 0.02)
    with (
        FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
        open_engine("openai", setup(server.root, timeout_s=0.5)) as engine,
    ):
        found = [event for event in engine.generate(PROMPT, Sampling(max_tokens=1)) if isinstance(event, Text)]
    assert len(found) > 30


def test_what_is_behind_the_end_is_not_waited_for_without_end() -> None:
    route = trickles(HEAD + PART + events(said("38 m.", "stop"), usage(700), done=False), b": alive\n\n")
    with (
        FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
        open_engine("openai", setup(server.root, timeout_s=0.3)) as engine,
    ):
        *_, end = engine.generate(PROMPT, Sampling(max_tokens=16))
    assert isinstance(end, Finished)
    assert end.reason is Finish.STOP


def test_no_thread_is_left() -> None:
    with FaultyServer({"/v1/models": refused("no", 401)}) as server:
        fail(server.root)
    for thread in [thread for thread in threading.enumerate() if thread.name == "deadline"]:
        thread.join(5)
        assert not thread.is_alive()


LISTING_FAULTS: dict[str, tuple[Route, str | None, str]] = {
    "no model": (says({"data": []}), None, "the server has no model"),
    "several models": (lists("x", "one", "two\x1b[2J"), None, r"several models: one, two\x1b[2J"),
    "wrong model": (lists("x", "one", "two"), "three", "it has no model 'three'; it has one, two"),
    "no list": (says({"hello": "world"}), None, "no list of models came"),
    "web page": (sends(b"<html>", "text/html"), None, "the reply is a web page"),
    "wrong key": (refused("no such key", 401), None, "401"),
    "nothing there": (says({"detail": "Not Found"}, 404), None, "404"),
    "moved": (sends(b"", "text/plain", 301, Location="https://elsewhere.example/"), None, "elsewhere.example"),
    "silent": (falls_silent(b"", WAITING), None, "silent for"),
    "the key as a reason": (sends(b"", "text/plain", 401, reason=f"bad key {KEY}"), None, "401 bad key [key]"),
    "the key as a model": (lists("x", KEY, f"{KEY}-2"), None, "the server has no model"),
    "early hints": (trickles(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), None, "no reply within"),
    "slow head": (trickles(b"HTTP/1.1 200 OK\r\n", b"X"), None, "no reply within"),
    "slow refusal": (trickles(b"HTTP/1.1 500 x\r\n\r\n", b"x"), None, "500 x: xx"),
}


@pytest.mark.parametrize("name", LISTING_FAULTS)
def test_a_server_that_can_not_be_used_is_refused_as_it_is_opened(name: str) -> None:
    route, model, fragment = LISTING_FAULTS[name]
    with FaultyServer({"/v1/models": route}) as server:
        error, _ = fail(
            server.root, model=model, timeout_s=0.4 if name.startswith(("silent", "early", "slow")) else 5.0
        )
        checked(error, fragment, ExitCode.ENGINE)
        assert server.root in str(error)


def test_a_key_that_is_refused_has_its_hint() -> None:
    with FaultyServer({"/v1/models": refused("no", 401)}) as server:
        assert "LONGCTX_API_KEY" in fail(server.root)[0].hint


def test_a_server_that_is_down() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error, _ = fail(f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
    checked(error, "can't be reached: Connection refused", ExitCode.ENGINE)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "http://",
        "http://u:p@127.0.0.1:1/v1",
        "http://h/v1?key=1",
        "http://[::1",
        "http://a:99999/",
        "http://a\x1b/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    checked(fail(url)[0], "address", ExitCode.ENGINE)


@pytest.mark.parametrize("key", ["a\nb", "schlüssel", "a b"])
def test_a_key_that_no_header_can_hold_is_not_shown(key: str) -> None:
    error, _ = fail("http://127.0.0.1:9/v1", api_key=key)
    assert str(error) == "the API key holds characters that no key has"


def test_a_server_that_stays_busy_is_given_up() -> None:
    with FaultyServer({"/v1/models": lists(), CHAT: says({"error": "busy"}, 429, Retry_After="0")}) as server:
        error, _ = fail(server.root)
        checked(error, "429", ExitCode.ENGINE)
        assert len(server.bodies(CHAT)) == 4


def test_a_long_pause_is_not_waited_for() -> None:
    with FaultyServer({"/v1/models": lists(), CHAT: says({"error": "busy"}, 503, Retry_After="600")}) as server:
        checked(fail(server.root)[0], "503", ExitCode.ENGINE)
        assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize("size", [1, 60_000])
def test_an_endless_answer_is_cut_off(size: int) -> None:
    route = never_ends(events(said("x" * size), done=False))
    with (
        FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
        open_engine("openai", setup(server.root)) as engine,
    ):
        found = list(engine.generate(PROMPT, Sampling(max_tokens=16)))
        assert server.cut_off.wait(5)
    assert any(isinstance(event, Warned) and "cut off" in event.message for event in found)
    assert sum(len(event.text) for event in found if isinstance(event, Text)) <= 16 * 64 + 4096


def test_no_proxy_sees_what_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with FaultyServer({"/v1/models": lists()}) as server, open_engine("openai", setup(server.root)) as engine:
        assert engine.identity().model == "tiny"
    checked(fail("http://192.0.2.1/v1")[0], "proxy", ExitCode.ENGINE)


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("begun", [b"", PART])
def test_ctrl_c_ends_a_wait_at_once_and_leaves_nothing_open(begun: bytes) -> None:
    routes = {"/v1/models": lists(), CHAT: falls_silent(begun, WAITING)}
    with FaultyServer(routes) as server, open_engine("openai", setup(server.root)) as engine:
        begun_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt), interrupted_after(0.3):
            list(engine.generate(PROMPT, Sampling(max_tokens=16)))
        assert time.monotonic() - begun_s < 3
        assert not [name for name in os.listdir("/proc/self/fd") if is_connected_to(int(name), server.root)]


def is_connected_to(number: int, root: str) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as found:
            return f":{found.getpeername()[1]}" == root[root.rindex(":") :]
    except OSError:
        return False


ODD: list[Any] = [
    *(None, [], 1, "x", {}, {"choices": 5}, {"choices": [5]}, {"choices": [{"delta": {"content": 7}}]}),
    *(
        {"choices": [{"delta": [], "finish_reason": {}}]},
        {"usage": [], "choices": None},
        {"usage": {"prompt_tokens": "9"}},
    ),
    *({"usage": {"prompt_tokens": True}}, {"prompt_progress": {"total": -1, "processed": 1}}, {"timings": 3}),
    *({"choices": [{"token_ids": ["a", 1.5, -3]}]}, {"choices": [{"logprobs": {"tokens": ["token_id:x"]}}]}),
]


@pytest.mark.parametrize("document", ODD)
def test_values_of_a_wrong_type_count_as_absent(document: Any) -> None:
    found = chunk(document)
    assert (found.text, found.reason, found.usage, found.progress) == ("", "", None, None)
    assert not found.ids


@pytest.mark.parametrize("document", [{"error": "x"}, {"error": {"message": "x"}}, {"object": "error", "message": "x"}])
def test_errors_in_every_form(document: Any) -> None:
    with pytest.raises(ServerSaid, match="x"):
        chunk(document)


def test_an_error_without_words_is_one_still() -> None:
    with pytest.raises(ServerSaid, match="without a word"):
        chunk({"error": {"code": 7}})


def test_a_line_may_not_be_endless() -> None:
    with pytest.raises(EngineError, match="8 MiB"):
        list(chunks((b"x" * 65536 for _ in range(1000)), "http://h"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("'max_tokens' is too large: 99. This model's maximum context length is 8 tokens", True),
        ("context_length_exceeded", True),
        ("request (9000 tokens) exceeds the available context size (4096 tokens)", True),
        ("prompt is too long: 250000 tokens > 200000 maximum", True),
        ("temperature must be at most 2", False),
        ("missing context", False),
    ],
)
def test_words_about_a_prompt_that_is_too_long(words: str, expected: bool) -> None:
    assert is_too_long(words) is expected
