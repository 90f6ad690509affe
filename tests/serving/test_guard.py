"""Who is let in: the right name, no other site, the token where one is asked for; and what the log holds."""

import logging
import socket
from pathlib import Path

import httpx
import pytest

from longctx.engines.loopback import is_loopback
from longctx.errors import UsageError
from longctx.serving.guard import Guard, check_exposure, read_token
from tests.serving.conftest import Paced, Serve, Server

TOKEN = "a-token-of-20-letters"


def status(server: Server, path: str = "/v1/models", **headers: str) -> int:
    return server.client.get(
        path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_only_names_of_this_machine_are_answered(serve: Serve) -> None:
    with serve(Paced()) as server:
        port = server.url.rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", "localhost:9000"):
            assert status(server, host=host) == 200, host
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1.evil.example",
            "",
            "127.0.0.1@evil.example",
            "a b",
            "x:y",
        ):
            assert status(server, host=host) == 403, host
        assert status(server, "/health", host="evil.example") == 403


def test_two_hosts_are_none(serve: Serve) -> None:
    with serve(Paced()) as server:
        port = int(server.url.rpartition(":")[2])
        for headers in ("Host: localhost\r\nHost: evil.example\r\n", ""):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
                stranger.sendall(f"GET /v1/models HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode())
                assert stranger.recv(100).split()[1] in (b"400", b"403")


def test_other_sites_are_refused_and_get_no_leave(serve: Serve) -> None:
    with serve(Paced()) as server:
        own = {"origin": server.url}
        assert status(server, **own) == 200
        for origin in ("https://evil.example", "null", "http://localhost:1", "", server.url + "0"):
            assert status(server, origin=origin) == 403, origin
        assert status(server, sec_fetch_site="cross-site") == 403
        assert status(server, sec_fetch_site="none") == 200
        answer = server.client.options("/v1/completions", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_token_is_asked_for_everywhere_but_for_health(serve: Serve) -> None:
    with serve(Paced(), token=TOKEN) as server, httpx.Client(base_url=server.url, trust_env=False) as stranger:
        for path in ("/v1/models", "/version", "/nothing"):
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert stranger.post("/tokenize", json={"prompt": "x"}).status_code == 401
        assert stranger.get("/health").status_code == 200
        for wrong in ("Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}\u00e9"):
            assert stranger.get("/v1/models", headers={"authorization": wrong.encode("latin-1")}).status_code == 401, (
                wrong
            )  # type: ignore[dict-item]
        assert stranger.get("/v1/models", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200


def test_the_log_holds_no_text_and_no_token(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = Paced(b"an answer", failure=None)
    engine.free.set()
    with serve(engine, token=TOKEN) as server:
        server.post("/v1/completions", prompt="confidential words", max_tokens=9)
        server.post("/v1/completions", prompt="confidential words", max_tokens="confidential")
        engine.failure = ValueError("confidential words")
        server.post("/v1/completions", prompt="confidential words")
        server.client.get("/%1b[2Jx", params={"q": "confidential"})
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("longctx", "uvicorn")))
    assert "18 prompt tokens" not in own and "19 prompt tokens, 0 cached, 9 answered" in own
    assert "POST /v1/completions 200" in own and "ValueError" in own
    assert "confidential" not in own and TOKEN not in own and "an answer" not in own and "\x1b" not in own


def test_what_is_reached_from_elsewhere_needs_a_token() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        check_exposure(host, None)
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "box.example", "localhost.evil.example"):
        with pytest.raises(UsageError, match="no token"):
            check_exposure(host, None)
        check_exposure(host, TOKEN)


def test_bound_to_everything_it_answers_to_addresses_and_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box")
    guard = Guard(None, "0.0.0.0", TOKEN)  # type: ignore[arg-type]
    assert [guard._is_ours(host) for host in ("10.1.2.3:8010", "box:8010", "[fe80::1]:8010", "evil.example")] == [
        True,
        True,
        True,
        False,
    ]


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token(None) is None
    monkeypatch.setenv("LONGCTX_SERVER_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}-of-the-file\n")
    assert read_token(file) == f"{TOKEN}-of-the-file"
    for bad in ("", "short", "two words that are long", "x" * 5000, "\u00e9" * 20, "nul\0" * 8):
        file.write_text(bad)
        with pytest.raises(UsageError, match="a token has 16 to"):
            read_token(file)
    with pytest.raises(UsageError, match="No such file"):
        read_token(tmp_path / "none")
