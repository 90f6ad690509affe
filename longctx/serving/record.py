"""The servers that were started in the background, one JSON file each; a process is known by its number and its birth.

A number alone may belong to another process by now: nothing is ended, nor called alive, whose birth is not the same.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from longctx import paths
from longctx.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LARGEST_RECORD = 1 << 20
LARGEST_PID = 2**31 - 1
DEAD_STATES = "ZX"  # a zombie has ended, and waits to be noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """A process that serves; `born` tells it from a later one with the same number."""

    name: str
    pid: int
    born: str
    command: tuple[str, ...]
    url: str
    engine: str
    model: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs."""
        return self.born != "" and birth(self.pid) == self.born


@dataclass(frozen=True, slots=True)
class Records:
    """The folders in which records and logs are; neither need be there."""

    servers: Path
    logs: Path

    @classmethod
    def below(cls, state: Path) -> "Records":
        """Those in the state directory of a user."""
        return cls(state / "servers", state / "logs")

    def log(self, name: str) -> Path:
        """Where a server of that name writes what it says."""
        return self.logs / f"{checked_name(name)}.log"

    def save(self, record: ServerRecord) -> None:
        """Keep it, whole or not at all."""
        path = paths.ensure(self.servers) / f"{checked_name(record.name)}.json"
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", "utf-8")
        temporary.replace(path)

    def forget(self, name: str) -> None:
        """Keep it no longer."""
        (self.servers / f"{checked_name(name)}.json").unlink(missing_ok=True)

    def get(self, name: str) -> ServerRecord | None:
        """The record of that name, None where there is none that can be read."""
        return _read(self.servers / f"{checked_name(name)}.json")

    def all(self) -> list[ServerRecord]:
        """Every record by its name, of dead servers too."""
        found = (_read(path) for path in self._files())
        return [record for record in found if record is not None]

    def unreadable(self) -> list[Path]:
        """Files that lie among the records and are none: `all` passes them over."""
        return [path for path in self._files() if path.exists() and _read(path) is None]

    def _files(self) -> list[Path]:
        return sorted(self.servers.glob("*.json"))


def checked_name(name: str) -> str:
    """The name, if a file can be called so; raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!a} is no name of a server", "letters, digits, dots, dashes; longctx engine stop --all")
    return name


def birth(pid: int) -> str:
    """When a process was started, in this boot of the machine; empty where it has ended."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    state, *others = status.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if state in DEAD_STATES else f"{boot}:{others[18]}"


def _read(path: Path) -> ServerRecord | None:
    """The record in a file, None for what is none, or lies under another name than its own."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_RECORD:
            return None
        given = json.loads(path.read_text("utf-8"))
        values = {field.name: given[field.name] for field in fields(ServerRecord)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not _is_sound(values) or values["name"] != path.stem:
        return None
    return ServerRecord(**{**values, "command": tuple(values["command"])})


def _is_sound(values: Mapping[str, Any]) -> bool:
    """Whether each field is of its kind; the name is one that `checked_name` takes."""
    command, pid = values["command"], values["pid"]
    if not isinstance(command, list) or type(pid) is not int or not 1 < pid <= LARGEST_PID:
        return False
    shown = [values[name] for name in ("name", "born", "url", "engine")]
    if not all(isinstance(text, str) and text.isprintable() for text in shown):
        return False
    return all(isinstance(text, str) for text in (values["model"], *command)) and bool(NAME.fullmatch(values["name"]))
