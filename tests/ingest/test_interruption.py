"""What interrupts a block that must not be left half way does so at its end."""

import signal
import threading
from collections.abc import Iterator

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
