"""Who is let in: programs of this machine that name it by its own name, and elsewhere only who has the token.

A page in a browser can send requests to loopback too. Its Origin gives it away, and a name that was made to point here
(DNS rebinding) is not among ours. The port in Host is not compared, so that a tunnel may end here.
"""

import hmac
import ipaddress
import logging
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ingest.naming import show
from longctx.engines.loopback import is_loopback
from longctx.errors import UsageError
from longctx.serving.refusal import Refused, error_body

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)
OPEN = frozenset({"/health"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_VARIABLE = "LONGCTX_SERVER_TOKEN"
LEAST_TOKEN, LONGEST_TOKEN = 16, 4096


def read_token(file: Path | None) -> str | None:
    """The token in a file, or in the environment, or none; raises UsageError for one that can't be used."""
    where = str(file) if file else TOKEN_VARIABLE
    token = _content(file) if file else os.environ.get(TOKEN_VARIABLE, "")
    token = token.strip()
    if not token and not file:
        return None
    if not LEAST_TOKEN <= len(token) <= LONGEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(
            f"{where}: a token has {LEAST_TOKEN} to {LONGEST_TOKEN:,} printable characters and no blank",
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    return token


def check_exposure(host: str, token: str | None) -> None:
    """Refuse to be reached from elsewhere by anybody; raises UsageError."""
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--host {host} can be reached from other machines, and there is no token",
            f"set {TOKEN_VARIABLE} or give --token-file FILE, or leave out --host",
        )


def _content(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(LONGEST_TOKEN + 100).decode("ascii", "replace")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a file that holds the token") from error


class Guard:
    """Stands before an application: refuses, and keeps a log in which no text of a request is."""

    def __init__(self, app: "ASGIApp", host: str, token: str | None) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {host.lower()}
        self._takes_addresses = not is_loopback(host)
        if self._takes_addresses:
            self._names |= {socket.gethostname().lower()}
        self._token = token

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve a request, or say why not; nothing that fails in it comes out with its text."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def sending(message: "Message") -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, sending)
        except Refused as refused:
            await _answer(refused.status, refused.body(), sending, scope, receive)
        except Exception as error:  # noqa: BLE001 - the wall: a defect costs one request, and its message may quote it
            log.error("defect: %s at %s", type(error).__name__, _place(error))
            if not status:
                body = error_body(f"a defect of longctx: {type(error).__name__}", kind="server_error")
                await _answer(500, body, sending, scope, receive)
        finally:
            if scope["path"] not in OPEN:
                path = show(scope["path"][:100])
                log.info("%s %s %s %.3f s", scope["method"], path, status or "-", time.monotonic() - began)

    def _check(self, scope: "Scope") -> None:
        host = _only(scope, b"host")
        if host is None or not self._is_ours(host):
            raise Refused("the Host header does not name this server", status=403, code="wrong_host")
        origins = list(_headers(scope, b"origin"))
        if origins and not all(_same_place(origin, host) for origin in origins):
            raise Refused("requests from other sites are refused", status=403, code="wrong_origin")
        if any(site not in ("same-origin", "none") for site in _headers(scope, b"sec-fetch-site")):
            raise Refused("requests from other sites are refused", status=403, code="wrong_origin")
        if self._token is not None and scope["path"] not in OPEN and not self._has_token(scope):
            raise Refused("a bearer token is needed", status=401, code="invalid_api_key")

    def _is_ours(self, host: str) -> bool:
        name = _split("//" + host)
        if name is None:
            return False
        return name in self._names or (self._takes_addresses and _is_address(name))

    def _has_token(self, scope: "Scope") -> bool:
        kind, _, given = (_only(scope, b"authorization") or "").partition(" ")
        expected = (self._token or "").encode()
        return hmac.compare_digest(given.strip().encode(), expected) and kind.lower() == "bearer"


def _headers(scope: "Scope", name: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _only(scope: "Scope", name: bytes) -> str | None:
    """The value of a header that is there once."""
    values = list(_headers(scope, name))
    return values[0] if len(values) == 1 else None


def _same_place(origin: str, host: str) -> bool:
    return origin in (f"http://{host}", f"https://{host}")


def _split(address: str) -> str | None:
    """The host of an address, None where it is no plain one."""
    try:
        parts = urlsplit(address)
        is_plain = not (parts.path or parts.query or parts.fragment or parts.username) and parts.port != 0
    except ValueError:
        return None
    return parts.hostname if is_plain else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _place(error: BaseException) -> str:
    """Where a defect is: a file and a line, never a message."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"


async def _answer(status: int, body: dict[str, object], send: "Send", scope: "Scope", receive: "Receive") -> None:
    from starlette.responses import JSONResponse

    headers = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}.get(status)
    await JSONResponse(body, status, headers)(scope, receive, send)
