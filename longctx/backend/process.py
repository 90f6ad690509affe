"""The backend's side of the pipes: requests are read in one thread, jobs done in the main one, queries in others.

It refuses nothing for good: a job or query that fails, even by a defect of ours, is told as Failed, and the next is
done. When no more requests can come, the face has gone: what runs is stopped, all that was begun ends.
"""

import faulthandler
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

from longctx.backend import wire
from longctx.backend.desk import Desk
from longctx.backend.job_queue import JobQueue
from longctx.backend.outbox import Outbox
from longctx.backend.replies import Done, Failed, Reply
from longctx.backend.requests import AnyRequest, Doctor, Engines, Job, Picture, Query, Stop
from longctx.errors import ExitCode, LongctxError
from longctx.paths import locate

if TYPE_CHECKING:
    from longctx.backend.jobs import Jobs
    from longctx.backend.queries import Queries

GRACE_S = 4.0  # for a job that is stopped to put its things in order
LAST_WORDS_S = 1.0
STOPPED = Failed("stopped", exit_code=ExitCode.INTERRUPTED)


def serve(requests: BinaryIO, replies: BinaryIO, log: Path) -> None:
    """Answer requests until there are no more."""
    faulthandler.enable()
    Server(requests, replies, log).run()


class Server:
    """Who does what: jobs here, queries in two threads, so that slow ones hold up no others."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO, log: Path) -> None:
        self._requests = requests
        self._out = Outbox(replies)
        self._desk = Desk(log)
        self._jobs = JobQueue()
        self._quick = Lane(self._out, self._desk, "queries")
        self._slow = Lane(self._out, self._desk, "slow queries")

    def run(self) -> None:
        """Do jobs until the face has gone."""
        from longctx.backend.jobs import Jobs

        threading.Thread(target=self._read, name="requests", daemon=True).start()
        with Jobs(locate(os.environ), self._desk) as jobs:
            while (taken := self._jobs.take()) is not None:
                self._do(jobs, *taken)
        self._out.close(LAST_WORDS_S)

    def _do(self, jobs: "Jobs", number: int, job: Job) -> None:
        def tell(reply: Reply) -> None:
            self._out.put(number, reply)

        end = self._jobs.run(lambda: attempted(lambda: jobs.do(job, tell), self._desk.log))
        self._out.put(number, end or STOPPED)

    def _read(self) -> None:
        try:
            for line in self._requests:
                try:
                    number, request = wire.read_request(line)
                except wire.Malformed as error:
                    say(f"a request was left out: {error}")
                else:
                    self._hand_out(number, request)
        finally:
            self._end()

    def _hand_out(self, number: int, request: AnyRequest) -> None:
        match request:
            case Stop(job):
                if self._jobs.stop(job):
                    self._out.put(job, STOPPED)
                self._out.put(number, Done())
            case (
                Doctor() | Engines() | Picture()
            ):  # these wait for servers and parsers; others should not wait for them
                self._slow.put(number, request)
            case _ if isinstance(request, Query):
                self._quick.put(number, request)
            case _:
                self._jobs.put(number, request)

    def _end(self) -> None:
        """Stop what runs; where it does not end, end this process and what it has started."""
        self._jobs.close()
        watchdog = threading.Timer(GRACE_S, os.killpg, (0, signal.SIGKILL))
        watchdog.daemon = True
        watchdog.start()


class Lane:
    """Queries, answered one after another in a thread with connections of its own."""

    def __init__(self, out: Outbox, desk: Desk, name: str) -> None:
        self._out = out
        self._desk = desk
        self._waiting: SimpleQueue[tuple[int, Query]] = SimpleQueue()
        self._queries: Queries | None = None
        threading.Thread(target=self._answer, name=name, daemon=True).start()

    def put(self, number: int, query: Query) -> None:
        """A query that is to be answered."""
        self._waiting.put((number, query))

    def _answer(self) -> None:
        while True:
            number, query = self._waiting.get()
            self._out.put(number, attempted(partial(self._tell, number, query), self._desk.log))

    def _tell(self, number: int, query: Query) -> None:
        if self._queries is None:
            from longctx.backend.queries import Queries

            self._queries = Queries(locate(os.environ), self._desk)
        for reply in self._queries.answer(query):
            self._out.put(number, reply)


def attempted(work: Callable[[], None], log: Path) -> Done | Failed:
    """Do it: that it is done, or why it failed."""
    try:
        work()
    except LongctxError as error:
        return Failed(str(error), error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001 - the defect of one request is told and costs no other
        say(traceback.format_exc())
        return defect(error, log)
    return Done()


def defect(error: Exception, log: Path) -> Failed:
    """What is said of an error that is ours."""
    words = " ".join(str(error).split())[:200]
    what = f"unexpected {type(error).__name__}: {words}" if words else f"unexpected {type(error).__name__}"
    return Failed(what, f"this is a defect of longctx; {log} says where")


def say(line: str) -> None:
    """A line for the log; without one where there is no room for it."""
    with suppress(OSError):
        os.write(2, f"longctx: {line}\n".encode("utf-8", "backslashreplace"))
