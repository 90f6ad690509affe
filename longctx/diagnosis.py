"""What a check found, and the case that is looked at: values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from longctx.engines.choice import AUTO
from longctx.engines.loopback import PORTS
from longctx.engines.opening import EngineSetup
from longctx.paths import Paths


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and the command or setting that mends it."""

    name: str
    status: Status
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is looked at: the engine that is set, all it would be opened from, and where things are kept."""

    engine: str
    setup: EngineSetup
    paths: Paths
    ports: Mapping[int, str] = field(default_factory=lambda: PORTS)
    typed: tuple[str, ...] = ()  # options that must be typed again for the same

    @property
    def uses_server(self) -> bool:
        return self.setup.base_url is not None and self.engine in (AUTO, "openai")
