"""What a user can be told went wrong; each error has a hint (what to do) and an exit code.

LongctxError (1)
├── UsageError (2)       the command line can't be understood
├── ConfigError (2)      a setting is unknown or has a bad value
├── CorpusError (3)      nothing readable, or a file failed under --strict
├── DoesNotFit (4)       over a budget or an engine's limit
│   └── NotWhole         texts that were to be sent whole; whoever asks for that asks again for less
├── EngineError (5)      unreachable, out of memory, died, timed out
├── EvidenceGate (6)     an answer whose citations are not all verified, under --require-verified
├── ItemsFailed (7)      a batch has ended, some of its items without an answer
├── Interrupted (130)    Ctrl-C
└── StoreError (1)       a database of ours is newer, locked or broken
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes; a promise to scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CORPUS = 3
    DOES_NOT_FIT = 4
    ENGINE = 5
    EVIDENCE = 6
    BATCH = 7
    INTERRUPTED = 130


class LongctxError(Exception):
    """The root of the tree; `hint` says what to do about it."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(LongctxError):
    """The command line can't be understood."""

    exit_code = ExitCode.USAGE


class ConfigError(LongctxError):
    """A setting is unknown or has a bad value."""

    exit_code = ExitCode.USAGE


class CorpusError(LongctxError):
    """Nothing readable was found, or a file failed under --strict."""

    exit_code = ExitCode.CORPUS


class DoesNotFit(LongctxError):
    """The prompt is over a budget or an engine's limit."""

    exit_code = ExitCode.DOES_NOT_FIT


class NotWhole(DoesNotFit):
    """Texts that were to be sent whole or not at all do not fit."""


class EngineError(LongctxError):
    """The engine could not be reached, died or timed out."""

    exit_code = ExitCode.ENGINE


class EvidenceGate(LongctxError):
    """Citations of the answer are missing or not verified, and that was asked for."""

    exit_code = ExitCode.EVIDENCE


class ItemsFailed(LongctxError):
    """A batch has ended, and some of its items have failed."""

    exit_code = ExitCode.BATCH


class Interrupted(LongctxError):
    """The user stopped it."""

    exit_code = ExitCode.INTERRUPTED


class StoreError(LongctxError):
    """A database of ours is newer than this program, locked, or broken."""
