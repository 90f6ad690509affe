"""The application in a browser of this machine: textual-serve on the loopback address, for whoever has the link.

The server binds to 127.0.0.1 and nowhere else. It starts a program that reads files, so a web page or another user of
this machine must not reach it: everything lies under a path that is a random key. There is no cookie, which a browser
would send to servers on other ports of this machine too. Requests without the key, of other origins, or to other names
of this machine are refused.
"""

import hmac
import logging
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from textual_serve.server import Server

ADDRESS = "127.0.0.1"
# textual-serve's page asks a server of fonts for one; nothing here talks to anybody but this program.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
DOWNLOAD = "download"  # where textual-serve's page looks for files, each under a random key of its own
LOGGERS = ("aiohttp", "asyncio", "textual-serve")  # they tell of our parts, and of addresses, which hold the key
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(words: Sequence[str], port: int, say: Callable[[str], object]) -> None:
    """Serve `longctx` with these words until Ctrl-C; each visitor has a process of their own. Raises OSError."""
    Loopback(words, port, secrets.token_urlsafe(24), say).serve()


class Loopback(Server):
    """textual-serve behind a key."""

    def __init__(self, words: Sequence[str], port: int, key: str, say: Callable[[str], object]) -> None:
        command = shlex.join([sys.executable, "-P", "-m", "longctx", *words])
        super().__init__(f"exec {command}", host=ADDRESS, port=port, title="longctx")
        self._key = key
        self._say = say

    @property
    def link(self) -> str:
        """What opens it."""
        return f"{self.public_url}/{self._key}/"

    def initialize_logging(self) -> None:
        """Nothing is logged."""
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002 - as in textual-serve
        self._say(f"open {self.link}")
        self._say("whoever has this link can read what longctx reads here; Ctrl-C ends it")

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.add_subapp(f"/{self._key}", await super()._make_app())
        app.router.add_get(f"/{DOWNLOAD}/{{key}}", self.handle_download)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = f"{ADDRESS}:{self.port}"
        if request.host != host or request.headers.get("Origin", self.public_url) != self.public_url:
            raise web.HTTPForbidden(text=f"longctx answers {host} only\n")
        first = request.path.split("/")[1]
        if first != DOWNLOAD and not self._is_key(first):
            raise web.HTTPForbidden(text="open the link that longctx printed\n")
        given = await handler(request)
        if not given.prepared:
            given.headers.update(HEADERS)
        return given

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key.encode())
