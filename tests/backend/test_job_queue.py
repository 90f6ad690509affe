"""Jobs one after another, and that a stop meets the job that was meant and nothing else."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from ingest.interruption import undisturbed
from longctx.backend import job_queue
from longctx.backend.job_queue import JobQueue
from longctx.backend.requests import NewSession

JOB = NewSession()


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    before = signal.getsignal(signal.SIGINT)
    yield JobQueue()
    signal.signal(signal.SIGINT, before)


def long() -> str:
    """Work that nothing but an interruption ends soon."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(0.002)
    return "whole"


def test_jobs_come_in_order(queue: JobQueue) -> None:
    for number in (1, 2, 3):
        queue.put(number, JOB)
    assert [queue.take() for _ in range(3)] == [(1, JOB), (2, JOB), (3, JOB)]


def test_one_that_waits_is_dropped(queue: JobQueue) -> None:
    for number in (1, 2, 3):
        queue.put(number, JOB)
    assert queue.stop(2)
    assert not queue.stop(7)
    assert [queue.take(), queue.take()] == [(1, JOB), (3, JOB)]


def test_one_that_runs_is_interrupted(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    threading.Timer(0.05, queue.stop, (1,)).start()
    assert queue.run(long) is None


def test_one_that_was_taken_is_stopped_before_it_begins(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    assert not queue.stop(1)
    assert queue.run(lambda: "begun") is None


def test_a_stop_that_comes_late_meets_no_other_job(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    assert queue.run(lambda: "first") == "first"
    queue.stop(1)
    queue.put(2, JOB)
    queue.take()
    queue.stop(1)
    assert queue.run(lambda: "second") == "second"


def test_a_stray_signal_interrupts_nothing(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()

    def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return "whole"

    os.kill(os.getpid(), signal.SIGINT)
    assert queue.run(work) == "whole"


def test_many_stops_at_once_are_one(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    ended = list[str]()

    def work() -> str:
        try:
            return long()
        finally:
            time.sleep(0.05)
            ended.append("in order")

    def stop_often() -> None:
        for _ in range(50):
            queue.stop(1)

    threading.Timer(0.05, stop_often).start()
    assert queue.run(work) is None
    assert ended == ["in order"]


def test_stops_at_any_moment_never_reach_the_loop(queue: JobQueue) -> None:
    """However a stop falls, each job ends as done or stopped, and the loop goes on."""
    numbers = range(1, 301)
    for number in numbers:
        queue.put(number, JOB)
    running = [0]
    over = threading.Event()

    def stop_always() -> None:
        while not over.is_set():
            queue.stop(running[0])

    stopper = threading.Thread(target=stop_always)
    stopper.start()
    seen = list[int]()
    try:
        for _ in numbers:
            taken = queue.take()
            assert taken is not None
            running[0] = taken[0]
            assert queue.run(lambda: sum(range(200))) in (None, sum(range(200)))
            seen.append(taken[0])
    finally:
        over.set()
        stopper.join()
    assert seen == list(numbers)


def test_after_close_there_is_nothing_to_take(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    queue.put(2, JOB)
    threading.Timer(0.05, queue.close).start()
    assert queue.run(long) is None
    assert queue.take() is None


def test_a_signal_that_is_lost_is_sent_again(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes just before a system call does not wake it."""
    send, lost = signal.pthread_kill, list[int]()

    def unreliable(thread: int, number: int) -> None:
        if len(lost) < 3:
            lost.append(number)
        else:
            send(thread, number)

    monkeypatch.setattr(signal, "pthread_kill", unreliable)
    queue.put(1, JOB)
    queue.take()
    threading.Timer(0.05, queue.stop, (1,)).start()
    assert queue.run(long) is None
    assert len(lost) == 3


def test_what_swallows_an_interruption_can_be_stopped_again(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "AGAIN_S", 0.3)
    queue.put(1, JOB)
    queue.take()

    def stop_twice() -> None:
        queue.stop(1)
        time.sleep(0.4)
        queue.stop(1)

    def deaf() -> str:
        try:
            return long()
        except KeyboardInterrupt:
            return long()

    threading.Timer(0.05, stop_twice).start()
    assert queue.run(deaf) is None


def test_a_second_stop_breaks_into_nothing_that_is_put_in_order(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    ended = list[str]()

    def work() -> str:
        try:
            return long()
        finally:
            queue.stop(1)
            time.sleep(0.7)
            ended.append("in order")

    threading.Timer(0.05, queue.stop, (1,)).start()
    assert queue.run(work) is None
    assert ended == ["in order"]


def test_what_must_not_be_left_half_way_is_stopped_after_it(queue: JobQueue) -> None:
    queue.put(1, JOB)
    queue.take()
    ended = list[str]()

    def work() -> str:
        with undisturbed():
            queue.stop(1)
            time.sleep(0.2)
            ended.append("in order")
        return long()

    assert queue.run(work) is None
    assert ended == ["in order"]
