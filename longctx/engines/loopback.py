"""Servers on this machine: which of the usual ports answers, whose it is, and what models it lists.

On a machine with several users any of them may listen on a port and wait for documents. So a server counts only
where the kernel says that its socket belongs to this user or to the system; what can't be told is left alone. No key
is sent, nothing beyond 127.0.0.1 is asked, and nothing but the list of models.
"""

import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.naming import show
from longctx.errors import EngineError

PORTS: Mapping[int, str] = {
    8000: "vLLM",
    8010: "longctx",
    30000: "SGLang",
    8080: "llama.cpp",
    11434: "Ollama",
    1234: "LM Studio",
}
HOST = "127.0.0.1"
CONNECT_S = 0.2
ANSWER_S = 2.0  # for all of the answer, however it comes
LARGEST_LIST = 1 << 20
FIRST_USER = 1000  # uids below it are the system's
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENS = "0A"
# Addresses at which a socket takes what is sent to 127.0.0.1, as the kernel prints them on little-endian machines.
# The last two are IPv4's own inside IPv6. Which sockets at :: take IPv6 only is not said there: each counts.
MAPPED = "0000000000000000FFFF0000"
TAKES_LOOPBACK = frozenset({"0100007F", "0" * 8, "0" * 32, MAPPED + "0" * 8, MAPPED + "0100007F"})
NO_CHAT = re.compile(r"embed|rerank|whisper|minilm|\bbge\b|\bgte\b|\be5\b|\btts\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Something that listens on one of the ports; `refused` says why it isn't taken."""

    port: int
    usual: str
    models: tuple[str, ...] = ()
    refused: str = ""

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"


def servers(ports: Mapping[int, str] = PORTS, *, tables: Iterable[Path] = TABLES) -> Iterator[Server]:
    """What listens on these ports, in their order; a port on which nothing listens is left out."""
    for port, usual in ports.items():
        if not _is_open(port):
            continue
        if refused := _distrusted(port, tables):
            yield Server(port=port, usual=usual, refused=refused)
            continue
        models, refused = _models(port)
        yield Server(port=port, usual=usual, models=models, refused=refused)


def owners(port: int, tables: Iterable[Path] = TABLES) -> frozenset[int]:
    """The uids whose sockets would take a connection to 127.0.0.1 at `port`; none where the kernel does not say."""
    found = set[int]()
    for table in tables:
        try:
            lines = table.read_text("ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for fields in map(str.split, lines):
            if len(fields) > 7 and fields[3] == LISTENS and _takes(fields[1], port):
                found.add(int(fields[7]))
    return frozenset(found)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may mean anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_owner(port: int, tables: Iterable[Path] = TABLES) -> None:
    """Raise EngineError where what listens there by now is not to be trusted with documents."""
    if refused := _distrusted(port, tables):
        if not _is_open(port):
            refused = "nothing listens there"
        raise EngineError(
            f"the server that was found on port {port} is not asked any more: {refused}",
            f"if it is to be trusted all the same, name it: --base-url http://{HOST}:{port}/v1",
        )


def _takes(local: str, port: int) -> bool:
    address, _, number = local.partition(":")
    return address in TAKES_LOOPBACK and int(number, 16) == port


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def _distrusted(port: int, tables: Iterable[Path]) -> str:
    """Why what listens there is not to be trusted with documents; nothing where it is."""
    found = owners(port, tables)
    if not found:
        return "whose it is can't be told"
    others = sorted(uid for uid in found if uid != os.getuid() and uid >= FIRST_USER)
    return f"it belongs to another user (uid {others[0]})" if others else ""


class Hurried(socket.socket):
    """A connection that is read from until its deadline only, even if something comes all the time."""

    deadline: float

    @classmethod
    def connected(cls, port: int, seconds: float) -> "Hurried":
        """To this machine; raises OSError."""
        connection = cls(socket.AF_INET, socket.SOCK_STREAM)
        connection.deadline = time.monotonic() + seconds
        connection.settimeout(seconds)
        try:
            connection.connect((HOST, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def recv_into(self, *given: Any) -> int:
        """More of what comes; raises TimeoutError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self.settimeout(left)
        return super().recv_into(*given)


def _models(port: int) -> tuple[tuple[str, ...], str]:
    """The models listed that can chat, or why there are none."""
    import json
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(HOST, port)
    try:
        connection.sock = Hurried.connected(port, ANSWER_S)
        connection.request("GET", "/v1/models", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(LARGEST_LIST + 1)
    except (OSError, HTTPException):
        return (), "it does not answer as a model server does"
    finally:
        connection.close()
    if answer.status in (401, 403):
        return (), "it wants a key: set base_url and LONGCTX_API_KEY"
    try:
        listed = json.loads(body)["data"] if answer.status == 200 and len(body) <= LARGEST_LIST else None
        names = [show(entry["id"]) for entry in listed or () if not NO_CHAT.search(entry["id"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        listed, names = None, []
    if listed is None:
        return (), "it is no model server"
    return tuple(names), "" if names else "it has no model that can chat"
