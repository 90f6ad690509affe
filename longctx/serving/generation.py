"""A request on its way through the engine: progress, pieces of text, and what it took; ends at a stop string."""

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from longctx.completion import Delta, complete
from longctx.engines.base import Finish, Finished, Prefilled, Text, Warned
from longctx.serving.asked import Asked
from longctx.serving.served import Served
from longctx.serving.stops import StopStrings


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is certain, perhaps none, and the ids that came with it."""

    text: str
    ids: tuple[int, ...] = ()


Said = Prefilled | Warned | Piece | Finished


def generated(served: Served, asked: Asked) -> Generator[Said, None, None]:
    """Carry a request out; the last event is Finished. Closing this closes the engine's run."""
    stops, tally = StopStrings(asked.stops), Tally(len(asked.prompt.ids))
    with closing(complete(served.engine, asked.prompt, asked.sampling, served.vocabulary)) as events:
        for event in events:
            match event:
                case Finished():
                    yield Piece(stops.finish())
                    yield event
                    return
                case Delta() | Text():
                    ids = (event.id,) if isinstance(event, Delta) and event.id is not None else ()
                    tally.count(ids)
                    yield Piece(stops.feed(event.text), ids)
                    if stops.found:
                        yield tally.stopped()
                        return
                case Prefilled():
                    tally.cached = event.cached
                    yield event
                case Warned():
                    yield event
                case _:
                    pass  # a token: it comes as a Delta


class Tally:
    """What a run has taken so far, for one that ends before its engine says so."""

    def __init__(self, prompt_tokens: int) -> None:
        self.cached: int | None = None
        self._prompt_tokens = prompt_tokens
        self._answer_tokens = 0
        self._began = self._first = time.perf_counter()

    def count(self, ids: tuple[int, ...]) -> None:
        """More of the answer."""
        if not self._answer_tokens:
            self._first = time.perf_counter()
        self._answer_tokens += len(ids)

    def stopped(self) -> Finished:
        """The end, at a stop string."""
        return Finished(
            reason=Finish.STOP,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self.cached,
            answer_tokens=self._answer_tokens,
            prefill_s=self._first - self._began,
            decode_s=time.perf_counter() - self._first,
        )
