"""One server over HTTP: what goes out is bounded in time, what comes back in size, and each fault is one line.

Redirects are not followed, compressed bodies not opened, and traffic of this machine to itself takes no proxy. Text of
a server is shown in one printable line, cut, and never with the key in it.
"""

import json
import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from ingest.naming import show
from longctx.errors import DoesNotFit, EngineError, LongctxError

CONNECT_S = 5.0
ASK_S = 30.0  # for what is no answer of a model
LARGEST_REPLY = 8 << 20
LARGEST_SHOWN = 300  # characters
PIECE_BYTES = 256 << 10  # a socket takes little at once, and what it leaves is copied
KEY_HINT = "set LONGCTX_API_KEY to a key that this server takes"
# vLLM, OpenAI, llama.cpp, SGLang, Ollama, Mistral and Anthropic gateways
_TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|maximum (?:model|context)|max_model_len|prompt is too long|too many tokens"
    r"|longer than the model|prompt contains \d+ tokens",
    re.IGNORECASE,
)


class Refusal(EngineError):
    """A server's answer with a status that is no success."""

    def __init__(self, message: str, hint: str, *, status: int, said: str, retry_after_s: float | None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.said = said
        self.retry_after_s = retry_after_s


class Connection:
    """The way to one server. Each request has a socket of its own; `close` also ends those of other threads."""

    def __init__(self, base_url: str, *, api_key: str | None, timeout_s: float) -> None:
        key = _checked_key(api_key)
        self._key = key
        self._timeout_s = timeout_s
        self._streams: list[Any] = []  # httpcore's, which hold the sockets in use
        self._client = _client(base_url, key)

    def ask(self, url: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = ASK_S) -> Any:
        """What a GET, or a POST of `body`, gives as JSON; raises EngineError, a Refusal where the server said no."""
        pieces = None if body is None else [json.dumps(body).encode()]
        within_s = min(timeout_s, self._timeout_s)
        with self.reply(url, pieces, timeout_s=within_s) as response:
            return self.document(url, response, within_s=within_s)

    @contextmanager
    def reply(
        self, url: str, pieces: Sequence[bytes] | None, *, timeout_s: float | None = None
    ) -> Iterator[httpx.Response]:
        """The reply to a GET, or to a POST of JSON in pieces, while it comes; its faults are EngineErrors.

        Raises DoesNotFit where the prompt is too long for the server.
        """
        silence_s = timeout_s or self._timeout_s
        with ExitStack() as stack:
            with _told(url, silence_s, self.safe, begun=False):
                response = stack.enter_context(self._sent(url, pieces, silence_s))
                if response.status_code != 200:
                    raise self._refusal(url, response)
            coding = response.headers.get("content-encoding", "identity")
            if coding != "identity":
                raise EngineError(
                    f"{show(url)}: the reply is compressed ({self.safe(coding)}), which was not asked for"
                )
            with _told(url, silence_s, self.safe, begun=True):
                yield response

    def document(self, url: str, response: httpx.Response, *, within_s: float = math.inf) -> Any:
        """The JSON of a whole reply."""
        content = _bounded(url, response, within_s)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"{show(url)}: {_unlike_json(content)}", "does the address lead to the API?") from error

    def safe(self, text: str) -> str:
        """A server's words for a person: one line, cut, without the key."""
        hidden = text.replace(self._key, "[key]") if self._key else text
        line = show(" ".join(hidden.split()))
        return line if len(line) <= LARGEST_SHOWN else line[: LARGEST_SHOWN - 1] + "…"

    def close(self) -> None:
        """End everything, also what another thread waits for."""
        for stream in tuple(self._streams):
            with suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._client.close()

    @contextmanager
    def _sent(self, url: str, pieces: Sequence[bytes] | None, silence_s: float) -> Iterator[httpx.Response]:
        streams: list[Any] = []

        def note(event: str, facts: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                streams.append(facts["return_value"])
                self._streams.append(facts["return_value"])

        try:
            with closing(self._client.send(self._request(url, pieces, silence_s, note), stream=True)) as response:
                yield response
        finally:
            for stream in streams:
                self._streams.remove(stream)

    def _request(
        self, url: str, pieces: Sequence[bytes] | None, silence_s: float, note: Callable[[str, Mapping[str, Any]], None]
    ) -> httpx.Request:
        timeout = httpx.Timeout(silence_s, connect=min(CONNECT_S, silence_s))
        extensions = {"trace": note, "timeout": timeout.as_dict()}
        if pieces is None:
            return self._client.build_request("GET", url, extensions=extensions)
        headers = {"Content-Type": "application/json", "Content-Length": str(sum(map(len, pieces)))}
        return self._client.build_request("POST", url, content=_cut(pieces), headers=headers, extensions=extensions)

    def _refusal(self, url: str, response: httpx.Response) -> LongctxError:
        status, said = response.status_code, self._said(response)
        message = f"{show(url)}: {status} {response.reason_phrase}".rstrip() + (f": {said}" if said else "")
        if response.has_redirect_location:
            target = self.safe(response.headers.get("location", ""))
            return EngineError(
                f"{show(url)}: leads on to {target}, where nothing is sent", "name that address yourself"
            )
        if status == 413 or (status in (400, 422, 500) and is_too_long(said)):
            return too_long(message)
        after = _seconds(response.headers.get("retry-after"))
        return Refusal(message, _hint(status), status=status, said=said, retry_after_s=after)

    def _said(self, response: httpx.Response) -> str:
        """What the body of a refusal says; that it can't be read changes nothing."""
        content = b""
        with suppress(httpx.HTTPError):
            for piece in response.iter_raw(4096):
                content += piece
                if len(content) > 16 * LARGEST_SHOWN:
                    break
        text = content.decode("utf-8", "replace")
        try:
            return self.safe(error_text(json.loads(text)) or text)
        except (ValueError, RecursionError):
            return "" if text.lstrip().startswith("<") else self.safe(text)


def is_too_long(said: str) -> bool:
    """Whether a server's words are about a prompt that is too long for it."""
    return _TOO_LONG.search(said) is not None


def too_long(message: str) -> DoesNotFit:
    """What is raised where a server finds a prompt too long."""
    return DoesNotFit(message, "--mode focus sends what bears most on the question; --context N says what fits")


def error_text(document: Any) -> str:
    """What an error object says in the forms of OpenAI, vLLM, FastAPI and Ollama; nothing where it is none."""
    found: Any = document
    for key in ("error", "message", "detail", "msg"):
        if isinstance(found, dict) and key in found:
            found = found[key]
        if isinstance(found, list) and found:
            found = found[0]
    return found if isinstance(found, str) else ""


def check_address(url: str) -> None:
    """Refuse what is no address of a server, or holds a password or a query; raises EngineError."""
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_plain = False
    if not is_plain or not url.isprintable():
        raise EngineError(
            f"{show(url)[:LARGEST_SHOWN]!r} is no address of a server", "such as http://127.0.0.1:8000/v1"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EngineError("an address may hold no password, no '?' and no '#'", "a key goes into LONGCTX_API_KEY")


def is_loopback(url: str) -> bool:
    """Whether the address is of this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(base_url: str, key: str) -> httpx.Client:
    headers = {"Accept-Encoding": "identity", "User-Agent": "longctx"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        return httpx.Client(
            headers=headers,
            follow_redirects=False,
            trust_env=not is_loopback(base_url),
            verify=_verification(base_url),
            limits=httpx.Limits(max_keepalive_connections=0),  # a kept connection may have died unseen
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise EngineError(f"the proxy or certificate settings can't be used: {show(str(error))}") from error


def _verification(base_url: str) -> ssl.SSLContext | bool:
    """How certificates are checked; what never needs one takes a check that none passes, which is sooner loaded."""
    is_plain = is_loopback(base_url) and base_url.startswith("http:")
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else True


def _checked_key(key: str | None) -> str:
    stripped = (key or "").strip()
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise EngineError("the API key holds characters that no key has", KEY_HINT)
    return stripped


def _cut(pieces: Sequence[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), PIECE_BYTES):
            yield piece[start : start + PIECE_BYTES]


def _bounded(url: str, response: httpx.Response, within_s: float) -> bytes:
    """A whole reply; one that comes byte by byte is not waited for without end."""
    content, begun = bytearray(), time.monotonic()
    for piece in response.iter_raw():
        content += piece
        if len(content) > LARGEST_REPLY:
            raise EngineError(f"{show(url)}: the reply is larger than {LARGEST_REPLY >> 20} MiB")
        if time.monotonic() - begun > within_s:
            raise EngineError(f"{show(url)}: the reply is not whole after {within_s:g} s")
    return bytes(content)


def _unlike_json(content: bytes) -> str:
    kind = "a web page" if content.lstrip()[:1] == b"<" else "no JSON"
    return f"the reply is {kind}"


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After where it is in seconds; a date is left to our own schedule."""
    return float(retry_after) if retry_after and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", retry_after) else None


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return KEY_HINT
        case 404 | 405:
            return "does the address end as the server wants it (often /v1), and has it this model?"
        case 429 | 503:
            return "try again in a while"
        case 500 | 502 | 504:
            return "the server's own log says why"
        case _:
            return ""


@contextmanager
def _told(url: str, silence_s: float, safe: Callable[[str], str], *, begun: bool) -> Iterator[None]:
    """What goes wrong on the way as an EngineError; `begun` when a part of the answer may have been given."""
    at, end = show(url), "; the answer is not whole" if begun else ""
    running = "is the server running? longctx engine doctor looks for servers"
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise EngineError(f"{at}: can't be reached within {min(CONNECT_S, silence_s):g} s", running) from error
    except httpx.ConnectError as error:
        raise EngineError(f"{at}: can't be reached: {_reason(error, safe)}", running) from error
    except httpx.TimeoutException as error:
        hint = "reading a long prompt may take longer: the setting timeout_s"
        raise EngineError(f"{at}: silent for {silence_s:g} s{end}", hint) from error
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        broken = "the connection broke off" if isinstance(error, httpx.NetworkError) else "the connection failed"
        hint = "the server's own log says why"
        raise EngineError(f"{at}: {broken}: {_reason(error, safe)}{end}", hint) from error


def _reason(error: Exception, safe: Callable[[str], str]) -> str:
    return safe(re.sub(r"^\[(?:Errno|SSL)[^\]]*\] ", "", str(error))) or type(error).__name__
