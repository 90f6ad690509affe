"""In a browser: on the loopback address alone, for whoever has the link."""

import asyncio
import logging
import re
import shlex
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tui.web import ADDRESS, LOGGERS, Loopback

KEY = "k" * 32


@pytest.fixture
async def client(unused_port: int) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    loopback = Loopback(["tui", "a b; rm -rf x"], unused_port, KEY, lambda _: None)
    server = TestServer(await loopback._make_app(), host=ADDRESS, port=unused_port)
    async with TestClient(server) as client:
        yield client


@pytest.fixture
def unused_port() -> int:
    from aiohttp.test_utils import unused_port

    return unused_port()


def test_words_are_passed_as_they_are() -> None:
    loopback = Loopback(["tui", "$(id) ; [/red]"], 8765, KEY, lambda _: None)
    assert shlex.split(loopback.command) == ["exec", sys.executable, "-P", "-m", "longctx", "tui", "$(id) ; [/red]"]
    assert loopback.host == "127.0.0.1"
    assert loopback.link == f"http://127.0.0.1:8765/{KEY}/"


@pytest.mark.parametrize("path", ["/", "/ws", "/static/", f"/?key={KEY}", "/wrong/", "/%ff/ws", f"/{KEY}x/", "//"])
async def test_nothing_without_the_key(client: TestClient, path: str) -> None:  # type: ignore[type-arg]
    assert (await client.get(path)).status == 403


async def test_bytes_that_are_no_text_are_refused(unused_port: int, client: TestClient) -> None:  # type: ignore[type-arg]
    for path in (b"/\xff", b"/%ed%a0%80/", b"/\xed\xa0\x80/"):
        reader, writer = await asyncio.open_connection(ADDRESS, unused_port)
        host = f"{ADDRESS}:{unused_port}".encode()
        writer.write(b"GET " + path + b" HTTP/1.0\r\nHost: " + host + b"\r\nCookie: a=\xff\r\n\r\n")
        assert (await reader.readline()).split()[1] in (b"400", b"403")
        writer.close()
    assert not Loopback([], unused_port, KEY, lambda _: None)._is_key("\udcff")


async def test_everything_lies_under_the_key(client: TestClient) -> None:  # type: ignore[type-arg]
    page = await client.get(f"/{KEY}/")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")  # no font from elsewhere
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in page.headers  # it would go to servers on other ports too
    addresses = re.findall(r"127[.]0[.]0[.]1:\d+(/[^\"]*)\"", await page.text())
    assert len(addresses) >= 4 and all(address.startswith(f"/{KEY}/") for address in addresses)
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": "localhost"}):
        assert (await client.get(f"/{KEY}/", headers=headers)).status == 403
    assert (await client.get("/download/unknown")).status == 404  # each has a random key of its own


def test_our_parts_log_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    Loopback([], 8765, KEY, lambda _: None).initialize_logging()
    for name in LOGGERS:
        logging.getLogger(f"{name}.server").error("of /%s/", KEY)
    assert capfd.readouterr().err == ""
