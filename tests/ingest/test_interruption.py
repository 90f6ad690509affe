"""What interrupts a block that must not be left half way does so at its end."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.interruption import SIGNALS, undisturbed


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_block_comes_to_its_end_first(number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        with undisturbed():
            with undisturbed():
                signal.raise_signal(number)
                done.append("inner")
            done.append("outer")
        done.append("after it")
    assert done == ["inner", "outer"]
    assert all(signal.getsignal(each) is signal.default_int_handler for each in SIGNALS)


def test_what_goes_wrong_in_it_is_told_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), undisturbed():
        raise ZeroDivisionError
    assert all(signal.getsignal(each) is signal.default_int_handler for each in SIGNALS)


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with undisturbed():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_another_thread_changes_nothing() -> None:
    seen = list[object]()

    def work() -> None:
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_what_comes_before_something_goes_wrong_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, undisturbed():
        signal.raise_signal(signal.SIGTERM)
        raise ZeroDivisionError
    assert isinstance(raised.value.__context__, ZeroDivisionError)


@pytest.mark.parametrize("is_blocked", [True, False])
def test_handlers_come_back_whatever_one_of_them_raises(is_blocked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = noted()
    set_one, hit, handler_before = signal.signal, list[int](), signal.getsignal(signal.SIGTERM)

    def set_and_hit(number: int, handler: Any) -> Any:
        before = set_one(number, handler)
        if number == signal.SIGTERM and handler is handler_before and not hit:
            hit.append(number)
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", set_and_hit)
    if not is_blocked:  # as it is where another thread takes it
        monkeypatch.setattr(signal, "pthread_sigmask", lambda _how, _mask: set())
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
    monkeypatch.undo()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS)
    assert signal.SIGTERM in seen
    assert all(signal.getsignal(each) is handler_before for each in SIGNALS)


def test_every_signal_that_came_has_its_turn() -> None:
    seen = noted()
    with pytest.raises(KeyboardInterrupt), undisturbed():
        for number in SIGNALS:
            signal.raise_signal(number)
    signal.pthread_sigmask(signal.SIG_BLOCK, ())  # those that wait behind one that raised come in the next call
    assert set(seen) == set(SIGNALS)


def noted() -> list[int]:
    """What comes from now on; the first raises."""
    seen = list[int]()

    def note(number: int, _frame: object) -> None:
        seen.append(number)
        if len(seen) == 1:
            raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, note)
    return seen
