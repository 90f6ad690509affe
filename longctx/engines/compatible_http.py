"""One server over HTTP: what goes out is bounded in time, what comes back in size, and each fault is one line.

Redirects are not followed, compressed bodies not opened, and traffic of this machine to itself takes no proxy. Text of
a server is shown in one printable line, cut, and never with the key in it.
"""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from ingest.naming import show
from longctx.engines.compatible_deadline import Deadline
from longctx.engines.compatible_reply import Reply
from longctx.engines.loopback import is_loopback
from longctx.errors import DoesNotFit, EngineError, LongctxError

CONNECT_S = 5.0
ASK_S = 30.0  # for what is no answer of a model
REFUSAL_S = 5.0  # for the words of a refusal
LARGEST_SHOWN = 300  # characters
LARGEST_REASON = 60
SHORTEST_KEY = 12  # shorter ones are words ("ollama", "EMPTY") that a model's name may hold
PIECE_BYTES = 256 << 10  # a socket takes little at once, and what it leaves is copied
KEY_HINT = "set LONGCTX_API_KEY to a key that this server takes"
LATE_HINT = "reading a long prompt may take longer: the setting timeout_s"
DOWN_HINT = "is the server running? longctx engine doctor looks for servers"
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
        with self.reply(url, pieces, timeout_s=min(timeout_s, self._timeout_s)) as reply:
            return reply.document()

    @contextmanager
    def reply(self, url: str, pieces: Sequence[bytes] | None, *, timeout_s: float | None = None) -> Iterator[Reply]:
        """The reply to a GET, or to a POST of JSON in pieces, while it comes; its faults are EngineErrors.

        Raises DoesNotFit where the prompt is too long for the server.
        """
        silence_s = timeout_s or self._timeout_s
        with ExitStack() as stack:
            streams: list[Any] = []
            deadline = stack.enter_context(Deadline(lambda: _shut(streams)))
            told = _Teller(url, silence_s, self.safe, deadline)
            with told(begun=False):
                response = stack.enter_context(self._sent(url, pieces, silence_s, streams, deadline))
            if response.status_code != 200:
                raise self._refusal(url, response, deadline)
            coding = response.headers.get("content-encoding", "identity")
            if coding != "identity":
                raise EngineError(
                    f"{show(url)}: the reply is compressed ({self.safe(coding)}), which was not asked for"
                )
            with told(begun=True):
                kind = response.headers.get("content-type", "")
                yield Reply(url, kind, response.iter_raw(), deadline, silence_s)

    def safe(self, text: str) -> str:
        """A server's words for a person: one line, cut, without the key."""
        hidden = text.replace(self._key, "[key]") if self._key else text
        line = show(" ".join(hidden.split()))
        return line if len(line) <= LARGEST_SHOWN else line[: LARGEST_SHOWN - 1] + "…"

    def is_told(self, text: str) -> bool:
        """Whether a server's word holds the key."""
        return len(self._key) >= SHORTEST_KEY and self._key in text

    def close(self) -> None:
        """End everything, also what another thread waits for."""
        _shut(tuple(self._streams))
        self._client.close()

    @contextmanager
    def _sent(
        self, url: str, pieces: Sequence[bytes] | None, silence_s: float, streams: list[Any], deadline: Deadline
    ) -> Iterator[httpx.Response]:
        """The reply's head is there; each part of the way to it had its time. `streams` are the sockets in use."""

        def note(event: str, facts: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                streams.append(facts["return_value"])
                self._streams.append(facts["return_value"])
            if event.endswith((".send_request_headers.started", ".receive_response_headers.started")):
                deadline.within(silence_s)

        def sent() -> Iterator[bytes]:
            for piece in _cut(pieces or ()):
                yield piece
                deadline.within(silence_s)

        try:
            request = self._request(url, None if pieces is None else (sum(map(len, pieces)), sent()), silence_s, note)
            with closing(self._client.send(request, stream=True)) as response:
                deadline.stop()
                yield response
        finally:
            for stream in streams:
                self._streams.remove(stream)
            streams.clear()

    def _request(
        self,
        url: str,
        body: tuple[int, Iterator[bytes]] | None,
        silence_s: float,
        note: Callable[[str, Mapping[str, Any]], None],
    ) -> httpx.Request:
        timeout = httpx.Timeout(silence_s, connect=min(CONNECT_S, silence_s))
        extensions = {"trace": note, "timeout": timeout.as_dict()}
        if body is None:
            return self._client.build_request("GET", url, extensions=extensions)
        headers = {"Content-Type": "application/json", "Content-Length": str(body[0])}
        return self._client.build_request("POST", url, content=body[1], headers=headers, extensions=extensions)

    def _refusal(self, url: str, response: httpx.Response, deadline: Deadline) -> LongctxError:
        body = Reply(url, "", response.iter_raw(), deadline, min(REFUSAL_S, self._timeout_s))
        status, said = response.status_code, self._said(body)
        reason = self.safe(response.reason_phrase)[:LARGEST_REASON]
        message = f"{show(url)}: {status} {reason}".rstrip() + (f": {said}" if said else "")
        if response.has_redirect_location:
            target = self.safe(response.headers.get("location", ""))
            return EngineError(
                f"{show(url)}: leads on to {target}, where nothing is sent", "name that address yourself"
            )
        if status == 413 or (status in (400, 422, 500) and is_too_long(said)):
            return too_long(message)
        after = _seconds(response.headers.get("retry-after"))
        return Refusal(message, _hint(status), status=status, said=said, retry_after_s=after)

    def _said(self, reply: Reply) -> str:
        """What the body of a refusal says; that it can't be read, or not to its end, changes nothing."""
        content = b""
        with suppress(httpx.HTTPError):
            for piece in reply.pieces():
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


def is_here(url: str) -> bool:
    """Whether the address is of this machine itself."""
    return is_loopback(urlsplit(url).hostname or "")


def _client(base_url: str, key: str) -> httpx.Client:
    headers = {"Accept-Encoding": "identity", "User-Agent": "longctx"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        return httpx.Client(
            headers=headers,
            follow_redirects=False,
            trust_env=not is_here(base_url),
            verify=_verification(base_url),
            limits=httpx.Limits(max_keepalive_connections=0),  # a kept connection may have died unseen
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise EngineError(f"the proxy or certificate settings can't be used: {show(str(error))}") from error


def _verification(base_url: str) -> ssl.SSLContext | bool:
    """How certificates are checked; what never needs one takes a check that none passes, which is sooner loaded."""
    is_plain = is_here(base_url) and base_url.startswith("http:")
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


def _shut(streams: Iterable[Any]) -> None:
    """End what another thread waits for on these sockets."""
    for stream in tuple(streams):
        with suppress(OSError):
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


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


@dataclass(frozen=True, slots=True)
class _Teller:
    """What goes wrong on the way as an EngineError."""

    url: str
    silence_s: float
    safe: Callable[[str], str]
    deadline: Deadline

    @contextmanager
    def __call__(self, *, begun: bool) -> Iterator[None]:
        """`begun` when a part of the answer may have been given."""
        end = "; the answer is not whole" if begun else ""
        try:
            yield
        except EngineError as error:
            if self.deadline.passed:
                raise self._late(end) from error
            raise
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise (self._late(end) if self.deadline.passed else self._broken(error, end)) from error
        if self.deadline.passed:
            raise self._late(end)

    def _late(self, end: str) -> EngineError:
        said = f"nothing of an answer for {self.silence_s:g} s" if end else f"no reply within {self.silence_s:g} s"
        return EngineError(f"{show(self.url)}: {said}{end}", LATE_HINT)

    def _broken(self, error: Exception, end: str) -> EngineError:
        at = show(self.url)
        match error:
            case httpx.ConnectTimeout():
                return EngineError(f"{at}: can't be reached within {min(CONNECT_S, self.silence_s):g} s", DOWN_HINT)
            case httpx.ConnectError():
                return EngineError(f"{at}: can't be reached: {self._reason(error)}", DOWN_HINT)
            case httpx.TimeoutException():
                return EngineError(f"{at}: silent for {self.silence_s:g} s{end}", LATE_HINT)
        broken = "the connection broke off" if isinstance(error, httpx.NetworkError) else "the connection failed"
        return EngineError(f"{at}: {broken}: {self._reason(error)}{end}", "the server's own log says why")

    def _reason(self, error: Exception) -> str:
        return self.safe(re.sub(r"^\[(?:Errno|SSL)[^\]]*\] ", "", str(error))) or type(error).__name__
