"""What a run tells while it works; the command line, the terminal UI and reports only render these."""

from dataclasses import dataclass

from ingest.outcome import Outcome


@dataclass(frozen=True, slots=True)
class FileDone:
    """A file that is new or changed ended in its outcome; `tokens` are those of its text."""

    outcome: Outcome
    tokens: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document's passages can be searched now."""

    path: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The corpus is what its sources are: files in all, files whose outcome or text changed, files gone."""

    files: int
    changed: int
    gone: int


Event = FileDone | Indexed | Refreshed
