"""The server of our own model over real sockets: OpenAI's forms, prefixes shared, clients that go, what is refused."""

import asyncio
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from longctx.engines.base import Prompt, Sampling, contiguous
from longctx.errors import DoesNotFit, EngineError
from longctx.serving.asked import Asked
from longctx.serving.body import largest_body
from longctx.serving.worker import Worker
from tests.serving.conftest import Paced, Serve, Server, ids_of, until

PROMPT = "The spring tide at the north mole reaches seven metres, and the neap tide four."
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 12}


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """What a stream says, after its comments."""
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def stream(server: Server, path: str = "/v1/completions", **body: object) -> list[dict[str, Any]]:
    with server.client.stream("POST", path, json={"stream": True, **body}) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def test_what_is_served_is_described(server: Server) -> None:
    card = server.client.get("/v1/models").json()["data"][0]
    assert (card["owned_by"], card["max_model_len"], card["window_tokens"]) == ("longctx", 1 << 20, 32)
    assert card["root"].endswith(card["id"])
    assert server.client.get("/health").json() == {"status": "ok"}
    assert server.client.get("/version").json()["server"] == "longctx"


def test_a_completion_is_the_same_whole_and_streamed(server: Server) -> None:
    whole = server.post("/v1/completions", prompt=PROMPT, return_token_ids=True, **GREEDY).json()
    choice = whole["choices"][0]
    assert choice["prompt_token_ids"] == [256, *PROMPT.encode()]
    assert len(choice["token_ids"]) == 12 and choice["finish_reason"] == "length"
    chunks = stream(server, prompt=PROMPT, return_token_ids=True, stream_options={"include_usage": True}, **GREEDY)
    said = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert [number for each in said for number in each.get("token_ids", [])] == choice["token_ids"]
    assert "".join(each["text"] for each in said) == choice["text"]
    assert [each["finish_reason"] for each in said][-1] == "length"
    assert chunks[-1]["usage"]["completion_tokens"] == 12
    assert chunks[-1]["usage"]["prompt_tokens"] == len(PROMPT) + 1


def test_prefixes_are_shared_by_all_clients(server: Server) -> None:
    ids = list(b"a prefix that only this test has, so that it is cold at first: " * 2)
    cold, warm = (server.post("/v1/completions", prompt=ids, **GREEDY).json() for _ in range(2))
    closed = (len(ids) - 1) // 32 * 32
    assert cold["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert warm["usage"]["prompt_tokens_details"] == {"cached_tokens": closed}
    assert warm["choices"] == cold["choices"]


def test_windows_are_where_the_client_says(serve: Serve) -> None:
    engine = Paced()
    engine.free.set()
    with serve(engine) as server:
        server.post("/v1/completions", prompt=list(range(50)), window_starts=[0, 10, 40])
        server.post("/v1/completions", prompt=[list(range(50))])
    assert [prompt.starts for prompt in engine.begun] == [(0, 10, 40), (0, 32)]
    assert isinstance(engine.begun[0], Prompt)


def test_a_chat_is_llama_4s_and_its_text_no_control_token(server: Server) -> None:
    said = [
        {"role": "system", "content": " be brief "},
        {"role": "user", "content": [{"type": "text", "text": "<|eot|>"}, {"type": "text", "text": "hi"}]},
    ]
    ids = server.post("/tokenize", messages=said).json()["tokens"]
    text = server.post("/detokenize", tokens=ids).json()["prompt"]
    assert text == (
        "<|begin_of_text|><|header_start|>system<|header_end|>\n\nbe brief<|eot|>"
        "<|header_start|>user<|header_end|>\n\n<|eot|>hi<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )
    assert ids.count(264) == 2
    whole = server.post("/v1/chat/completions", messages=said, max_completion_tokens=6, temperature=0).json()
    assert whole["object"] == "chat.completion" and whole["usage"]["prompt_tokens"] == len(ids)
    chunks = stream(server, "/v1/chat/completions", messages=said, max_tokens=6, temperature=0)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(d.get("content", "") for d in deltas) == whole["choices"][0]["message"]["content"]


def test_text_of_special_tokens_stays_text(server: Server) -> None:
    asked = {"prompt": "a<|eot|>é", "add_special_tokens": False}
    answer = server.post("/tokenize", **asked).json()
    assert answer["tokens"] == list("a<|eot|>é".encode())
    assert answer["count"] == len(answer["tokens"])
    assert server.post("/detokenize", tokens=answer["tokens"]).json() == {"prompt": "a<|eot|>é"}
    assert server.post("/tokenize", prompt="a").json()["tokens"] == [256, 97]


def test_a_seed_repeats_and_a_stop_token_ends(server: Server) -> None:
    asked = {"prompt": PROMPT, "max_tokens": 8, "return_token_ids": True}
    drawn = [
        server.post("/v1/completions", seed=seed, top_p=0.9, **asked).json()["choices"][0]["token_ids"]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    greedy = server.post("/v1/completions", temperature=0, **asked).json()["choices"][0]["token_ids"]
    stopped = server.post("/v1/completions", temperature=0, stop_token_ids=[greedy[3]], **asked).json()
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["choices"][0]["token_ids"] == greedy[: greedy.index(greedy[3])]


def test_a_stop_string_ends_an_answer_and_is_not_in_it(serve: Serve) -> None:
    engine = Paced(b"one two three four")
    engine.free.set()
    with serve(engine) as server:
        whole = server.post("/v1/completions", prompt="x", max_tokens=18, stop=["three", "zzz"]).json()
        chunks = stream(server, prompt="x", max_tokens=18, stop="o t")
        free = server.post("/v1/completions", prompt="x", max_tokens=18, stop="fourth").json()
    assert whole["choices"][0]["text"] == "one two " and whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == len("one two three")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "one tw"
    assert free["choices"][0]["text"] == "one two three four"
    assert engine.closed[:2] == ["model"] * 2


def test_progress_and_heartbeats_while_the_prompt_is_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.serving.app.HEARTBEAT_S", 0.02)
    engine = Paced(b"ok")
    body = {"prompt": list(range(80)), "stream": True, "return_progress": True}
    with serve(engine) as server, server.client.stream("POST", "/v1/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line)
        seen = [next(lines)]
        while seen.count(": working") < 3:
            seen.append(next(lines))
        assert server.client.get("/health").status_code == 200  # while the engine is at work
        engine.free.set()
        chunks = [json.loads(line[6:]) for line in [*seen, *lines] if line.startswith("data: {")]
    told = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
    assert [(each["processed"], each["total"], each["cache"]) for each in told] == [
        (0, 80, 0),
        (32, 80, 0),
        (64, 80, 0),
        (80, 80, 0),
    ]
    assert told[0]["time_ms"] <= told[-1]["time_ms"]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_goes_ends_its_run_and_the_next_is_served(serve: Serve, streamed: bool) -> None:
    engine = Paced()
    with serve(engine) as server:
        body = {"prompt": list(range(80)), "stream": streamed}
        with httpx.Client(base_url=server.url, timeout=None, trust_env=False) as gone:
            if streamed:
                with gone.stream("POST", "/v1/completions", json=body) as response:
                    lines = response.iter_lines()  # kept: one that is let go closes the connection at once
                    next(lines)
                    until(lambda: len(engine.begun) == 1)
            else:
                gone.timeout = httpx.Timeout(5, read=0.2)
                with pytest.raises(httpx.ReadTimeout):
                    gone.post("/v1/completions", json=body)
        until(lambda: len(server.worker._active) == 0)
        engine.permits.release()  # the window that is being read ends
        until(lambda: engine.closed == ["model"])
        engine.free.set()
        answer = server.post("/v1/completions", prompt="x", max_tokens=3).json()
    assert answer["choices"][0]["text"] == "one"
    assert engine.thread == ["model", "model"]


def test_who_waits_behind_and_goes_is_never_begun(serve: Serve) -> None:
    engine = Paced()
    with serve(engine, runs=2) as server:
        with server.client.stream("POST", "/v1/completions", json={"prompt": "a", "stream": True}) as first:
            kept = first.iter_lines()  # httpx leaves when its iterator goes
            next(kept)
            with server.client.stream("POST", "/v1/completions", json={"prompt": "b", "stream": True}) as second:
                waiting = second.iter_lines()
                next(waiting)
                busy = server.post("/v1/completions", prompt="c")
                assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
                assert busy.headers["retry-after"]
            until(lambda: len(server.worker._active) == 1)
            engine.free.set()
            assert len([line for line in kept if line.startswith("data: {")]) > 1
        assert server.post("/v1/completions", prompt="d", max_tokens=1).status_code == 200
    assert [prompt.ids[-1:].tobytes()[:1] for prompt in engine.begun] == [b"a", b"d"]


def test_what_an_engine_dies_of_is_told(serve: Serve) -> None:
    engine = Paced(failure=EngineError("memory is used up"))
    engine.free.set()
    with serve(engine) as server:
        whole = server.post("/v1/completions", prompt="secret words")
        assert (whole.status_code, whole.json()["error"]["message"]) == (500, "memory is used up")
        assert stream(server, prompt="x")[-1]["error"]["message"] == "memory is used up"
        engine.failure = DoesNotFit("too long")
        assert server.post("/v1/completions", prompt="x").json()["error"]["code"] == "context_length_exceeded"
        engine.failure = ValueError("secret words")
        assert (
            server.post("/v1/completions", prompt="x").json()["error"]["message"] == "a defect of longctx: ValueError"
        )
        engine.failure = None
        assert server.post("/v1/completions", prompt="x", max_tokens=3).json()["choices"][0]["text"] == "one"


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({}, "prompt", "string or a list"),
    ({"prompt": ""}, None, ""),
    ({"prompt": []}, "prompt", "is empty"),
    ({"prompt": ["a", "b"]}, "prompt", "one at a time"),
    ({"prompt": [1, "a"]}, "prompt", "token ids"),
    ({"prompt": [-1]}, "prompt", "token ids"),
    ({"prompt": [1.5]}, "prompt", "token ids"),
    ({"prompt": [300]}, "prompt", "token 300"),
    ({"prompt": [2**40]}, "prompt", "token ids"),
    ({"prompt": "\ud800"}, "prompt", "half a character"),
    ({"prompt": "x", "window_starts": [1]}, "window_starts", "windows of 1 to 32"),
    ({"prompt": "x", "window_starts": [0, 0]}, "window_starts", "windows of 1 to 32"),
    ({"prompt": [1] * 40, "window_starts": [0]}, "window_starts", "windows of 1 to 32"),
    ({"prompt": "x", "window_starts": 3}, "window_starts", "a list"),
    ({"prompt": "x", "model": "gpt-5"}, "model", "is not served here"),
    ({"prompt": "x", "model": 3}, "model", "a string"),
    ({"prompt": "x", "n": 2}, "n", "not supported"),
    ({"prompt": "x", "logprobs": 1}, "logprobs", "not supported"),
    ({"prompt": "x", "echo": True}, "echo", "not supported"),
    ({"prompt": "x", "tools": [{}]}, "tools", "not supported"),
    ({"prompt": "x", "response_format": {"type": "json_object"}}, "response_format", "not supported"),
    ({"prompt": "x", "frequency_penalty": 0.5}, "frequency_penalty", "not supported"),
    ({"prompt": "x", "guided_regex": "a*"}, "guided_regex", "not supported"),
    ({"prompt": "x", "cache_salt": "s"}, "cache_salt", "not supported"),
    ({"prompt": "x", "temperature": -1}, "temperature", "from 0 to 100"),
    ({"prompt": "x", "temperature": "hot"}, "temperature", "a number"),
    ({"prompt": "x", "temperature": 10**400}, "temperature", "from 0 to 100"),
    ({"prompt": "x", "top_p": -(10**400)}, "top_p", "above 0"),
    ({"prompt": "x", "temperature": True}, "temperature", "a number"),
    ({"prompt": "x", "top_p": 0}, "top_p", "above 0"),
    ({"prompt": "x", "seed": 2**64}, "seed", "whole number"),
    ({"prompt": "x", "seed": True}, "seed", "whole number"),
    ({"prompt": "x", "max_tokens": -1}, "max_tokens", "whole number"),
    ({"prompt": "x", "max_tokens": 2**40}, "prompt", "maximum context length"),
    ({"prompt": "x", "stop": [""]}, "stop", "none of them empty"),
    ({"prompt": "x", "stop": ["x"] * 17}, "stop", "at most"),
    ({"prompt": "x", "stop_token_ids": "a"}, "stop_token_ids", "a list"),
    ({"prompt": "x", "stream": "yes"}, "stream", "true or false"),
    ({"prompt": "x", "stream_options": {}}, "stream_options", "only with stream"),
    ({"prompt": "x", "stream": True, "stream_options": {"x": 1}}, "stream_options.x", "not supported"),
]


@pytest.mark.parametrize(("body", "param", "words"), REFUSED[:1] + REFUSED[2:])
def test_what_cannot_be_done_is_refused_by_its_name(
    server: Server, body: dict[str, Any], param: str | None, words: str
) -> None:
    answer = server.client.post(
        "/v1/completions", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    error = answer.json()["error"]
    assert answer.status_code == (404 if param == "model" and "served" in words else 400)
    assert error["param"] == param and words in error["message"] and error["type"].endswith("_error")


CHATS: list[tuple[object, str]] = [
    (None, "messages"),
    ([], "messages"),
    (["hi"], "messages[0]"),
    ([{"role": "tool", "content": "x"}], "messages[0].role"),
    ([{"role": "user"}], "messages[0].content"),
    ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content"),
    ([{"role": "user", "content": "x", "tool_calls": [1]}], "messages[0].tool_calls"),
]


@pytest.mark.parametrize(("messages", "param"), CHATS)
def test_a_chat_that_cannot_be_is_refused(server: Server, messages: object, param: str) -> None:
    answer = server.post("/v1/chat/completions", messages=messages)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_context_that_is_too_long_has_its_code(serve: Serve) -> None:
    with serve(Paced()) as server:
        answer = server.post("/v1/completions", prompt=[1] * 990, max_tokens=20)
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        # 31 windows of one token leave positions unused, so they are as long as full ones
        starts = list(range(32))
        answer = server.post("/v1/completions", prompt=[1] * 40, window_starts=starts, max_tokens=1)
        assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"temperature": NaN}', "not JSON"),
        (b'{"prompt": ' + b"[" * 50_000, "nested too deeply"),
        (b'{"max_tokens": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_is_no_request_is_refused(server: Server, content: bytes, words: str) -> None:
    answer = server.client.post("/v1/completions", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and words in answer.json()["error"]["message"]


def test_a_body_has_a_bound_and_a_type(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.serving.app.largest_body", lambda _: 1000)
    kind = {"content-type": "application/json"}
    assert server.client.post("/tokenize", content=b"x" * 1001, headers=kind).status_code == 413
    parts = (b"x" * 100 for _ in range(20))
    assert server.client.post("/tokenize", content=parts, headers=kind).status_code == 413
    assert server.client.post("/tokenize", content=b'{"prompt": "a"}').status_code == 415


@contextmanager
def upload(server: Server, content: bytes, size: int, path: str = "/tokenize") -> Iterator[socket.socket]:
    """A request of which only `content` of its body has come, and the server knows."""
    port = int(server.url.rpartition(":")[2])
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(head.encode() + content)
        for _ in range(3):  # what came before these has been read when they are answered
            server.client.get("/health")
        yield client


def test_a_body_that_comes_by_the_byte_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.serving.body.PATIENCE_S", 0.3)
    with upload(server, b"{", 100_000) as client:
        deadline = time.monotonic() + 20
        while not select.select([client], [], [], 0.05)[0]:
            assert time.monotonic() < deadline
            client.sendall(b" ")
        assert client.recv(100).split()[1] == b"408"


def test_bodies_that_do_not_come_take_no_place(serve: Serve) -> None:
    engine = Paced()
    engine.free.set()
    with serve(engine, runs=2) as server, ExitStack() as stack:
        for path in ("/tokenize", "/v1/completions", "/v1/chat/completions", "/detokenize"):
            stack.enter_context(upload(server, b"{", 1000, path))
        assert server.post("/v1/completions", prompt="x", max_tokens=3).json()["choices"][0]["text"] == "one"


def test_what_all_bodies_hold_is_bounded_and_small_ones_always_fit(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longctx.serving.app.largest_body", lambda _: 1000)
    monkeypatch.setattr("longctx.serving.body.SMALL", 100)
    monkeypatch.setattr("longctx.serving.body.MOST_HELD", 1)
    with serve(Paced()) as server:
        with upload(server, b" " * 900, 1000):
            busy = server.post("/tokenize", prompt="x" * 300)
            assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
            assert server.post("/tokenize", prompt="x").status_code == 200
        until(lambda: server.post("/tokenize", prompt="x" * 300).status_code == 200)


def test_a_body_of_empty_lists_is_refused_unread(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", None)
    with serve(Paced()) as server:
        content = b'{"prompt":[' + b"[]," * 2_000_000 + b"[]]}"
        answer = server.client.post("/tokenize", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and b"more values" in answer.content


def test_the_largest_body_is_what_a_context_needs(server: Server) -> None:
    assert largest_body(1 << 20) == 20 << 20
    ids = [300] * (1 << 20)
    answer = server.post("/v1/completions", prompt=ids, max_tokens=1)
    assert answer.json()["error"]["message"].startswith("prompt has token 300")  # it was read
    kind = {"content-type": "application/json"}
    assert server.client.post("/tokenize", content=b" " * (21 << 20), headers=kind).status_code == 413


def test_a_place_is_free_when_the_engine_is_done_whoever_reads(serve: Serve) -> None:
    engine = Paced()
    engine.free.set()

    async def unread(worker: Worker) -> None:
        run = worker.admit()
        worker.submit(
            run, Asked(prompt=contiguous(ids_of("x"), 32), sampling=Sampling(max_tokens=3), stops=(), from_text=True)
        )
        await asyncio.to_thread(until, lambda: not worker._active)

    with serve(engine) as server:
        asyncio.run(unread(server.worker))


def test_what_is_not_expected_is_an_error_of_the_same_form(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("confidential")

    monkeypatch.setattr("longctx.serving.app.tokenized", broken)
    with serve(Paced()) as server:
        answer = server.post("/tokenize", prompt="x")
    assert answer.status_code == 500
    assert answer.json()["error"] | {"message": ""} == {
        "message": "",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert answer.json()["error"]["message"] == "a defect of longctx: KeyError"
    lines = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 1 and lines[0].exc_info is None and "confidential" not in caplog.text


def test_other_paths_and_methods_are_errors_of_the_same_form(server: Server) -> None:
    assert server.client.get("/v1/completions").json()["error"]["type"] == "invalid_request_error"
    assert server.client.get("/etc/passwd").status_code == 404
    assert server.client.get("/etc/passwd").json()["error"]["message"]


def test_before_the_model_is_there_503_is_said(serve: Serve) -> None:
    with serve(Paced()) as server:
        served, server.worker.served = server.worker.served, None
        for path in ("/health", "/v1/models"):
            assert server.client.get(path).status_code == 503
        assert server.post("/v1/completions", prompt="x").status_code == 503
        server.worker.served = served
        assert server.client.get("/health").status_code == 200


def test_who_waits_is_told_that_the_server_ends(serve: Serve) -> None:
    engine = Paced()
    with serve(engine) as server:
        with server.client.stream("POST", "/v1/completions", json={"prompt": "a", "stream": True}) as response:
            kept = response.iter_lines()
            next(kept)
            until(lambda: len(engine.begun) == 1)
            server.worker.halt()
            assert "the server is ending" in "".join(kept)
        engine.free.set()
        until(lambda: engine.closed == ["model"])
