"""In a browser: on the loopback address alone, for whoever has the link."""

import shlex
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from tui.web import ADDRESS, COOKIE, Loopback

KEY = "k" * 32


@pytest.fixture
async def client(unused_port: int) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    loopback = Loopback(["tui", "a b; rm -rf x"], unused_port, KEY, lambda _: None)
    server = TestServer(await loopback._make_app(), host=ADDRESS, port=unused_port)
    async with TestClient(server, cookie_jar=CookieJar(unsafe=True)) as client:
        yield client


@pytest.fixture
def unused_port() -> int:
    from aiohttp.test_utils import unused_port

    return unused_port()


def test_words_are_passed_as_they_are() -> None:
    loopback = Loopback(["tui", "$(id) ; [/red]"], 8765, KEY, lambda _: None)
    assert shlex.split(loopback.command) == ["exec", sys.executable, "-P", "-m", "longctx", "tui", "$(id) ; [/red]"]
    assert loopback.host == "127.0.0.1"
    assert loopback.link == f"http://127.0.0.1:8765/?key={KEY}"


@pytest.mark.parametrize("path", ["/", "/ws", "/static/", "/?key=wrong", "/?key=%ff", "/download/x"])
async def test_nothing_without_the_key(client: TestClient, path: str) -> None:  # type: ignore[type-arg]
    assert (await client.get(path)).status == 403


async def test_the_link_becomes_a_cookie(client: TestClient) -> None:  # type: ignore[type-arg]
    first = await client.get(f"/?key={KEY}", allow_redirects=False)
    assert first.status == 303
    cookie = first.cookies[COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "Strict"
    page = await client.get("/")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")  # no font from elsewhere
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": "localhost"}):
        assert (await client.get("/", headers=headers)).status == 403
