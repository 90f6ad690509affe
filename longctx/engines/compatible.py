"""The `openai` engine: any OpenAI-compatible server, given token ids where it takes them and chat text elsewhere.

A part of an answer that came is given before the error that ended it. How many tokens the server read is compared with
what was sent: fewer is an error, never an answer to a prompt that was cut.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from ingest.naming import show
from longctx.engines.base import EngineEvent, Finished, Identity, Limits, Prompt, Sampling, Warned
from longctx.engines.compatible_answer import Incoming
from longctx.engines.compatible_http import (
    Connection,
    Refusal,
    check_address,
    is_here,
    is_too_long,
    too_long,
)
from longctx.engines.compatible_reply import Reply
from longctx.engines.compatible_request import Request, adapted, request
from longctx.engines.compatible_server import Kind, Server, Specials, inspect
from longctx.engines.compatible_stream import NOT_WHOLE, Chunk, ServerSaid, chunk, chunks
from longctx.engines.compatible_usage import cached_hint, check_count, cut
from longctx.engines.loopback import check_owner
from longctx.engines.opening import EngineSetup
from longctx.errors import EngineError, LongctxError

BUSY = (429, 503)
PAUSES_S = (0.5, 1.0, 2.0)
BATCHES = (Kind.VLLM, Kind.SGLANG)  # read and answer several prompts together
CONCURRENT = 8
GUIDED = (*BATCHES, Kind.LLAMA_CPP, Kind.OLLAMA, Kind.LM_STUDIO)  # of others it is not known
LONGEST_PAUSE_S = 30.0  # all pauses together


@contextmanager
def opened(setup: EngineSetup) -> "Iterator[CompatibleEngine]":
    """The server that `setup` names, asked what it is; raises EngineError."""
    if setup.base_url is None:
        raise EngineError(
            "the openai engine needs an address", "--base-url http://127.0.0.1:8000/v1, or LONGCTX_BASE_URL"
        )
    check_address(setup.base_url)
    with closing(Connection(setup.base_url, api_key=setup.api_key, timeout_s=setup.timeout_s)) as connection:
        server = inspect(connection, setup.base_url, setup.model, setup.timeout_s)
        yield CompatibleEngine(connection, server, setup.context_tokens, setup.found_port)


class CompatibleEngine:
    """One model of one server. `server` is what was found out about it.

    Several threads may ask it at once: each request has a socket, a deadline and a tally of its own.
    """

    def __init__(
        self,
        connection: Connection,
        server: Server,
        context_tokens: int | None = None,
        found_port: int | None = None,
    ) -> None:
        self.server = server
        self._found_port = found_port
        self._connection = connection
        self._context_tokens = context_tokens or server.context_tokens

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """Send the prompt and give what comes; raises DoesNotFit where not all of it was read, EngineError."""
        self._check_room(prompt, sampling.max_tokens)
        where = show(self.server.base)
        incoming = Incoming(sampling, len(prompt.ids), where, takes_ids=self.server.takes_ids)
        try:
            yield from self._exchange(request(self.server, prompt, sampling), incoming, len(prompt.ids))
        except EngineError:
            if not incoming.is_whole:  # what fails behind the end of an answer takes nothing from it
                raise
        prefill_s, decode_s = incoming.seconds()
        yield from incoming.finish(self._connection.safe)
        read, warned = check_count(incoming.read_tokens, prompt, self.server, self._connection)
        if warned is not None:
            yield warned
        prompt_tokens = len(prompt.ids) if read is None else read
        cached = incoming.cached_tokens
        yield Finished(
            reason=incoming.ending(),
            prompt_tokens=prompt_tokens,
            cached_tokens=None if cached is None else min(cached, prompt_tokens),
            answer_tokens=incoming.answer_tokens,
            prefill_s=prefill_s,
            decode_s=decode_s,
            not_reported=cached_hint(self.server) if cached is None else "",
        )

    def limits(self) -> Limits:
        kind = self.server.kind
        return Limits(
            context_tokens=self._context_tokens,
            concurrent=CONCURRENT if kind in BATCHES else 1,
            is_guided=kind in GUIDED,
        )

    def identity(self) -> Identity:
        version = " ".join(filter(None, [self.server.kind, self.server.version]))
        return Identity(kind="openai", model=self.server.model, version=version, where=self.server.base)

    def describe(self) -> str:
        server = self.server
        program = " ".join(filter(None, [server.kind, server.version]))
        fits = f"{self._context_tokens:,} tokens fit" if self._context_tokens else "it does not say how much fits"
        facts = [program, fits, _prompts(server)]
        if not is_here(server.base) and server.base.startswith("http:"):
            facts.append("sent unencrypted")
        return f"openai: {show(server.model)} at {show(server.base)} ({'; '.join(facts)})"

    def close(self) -> None:
        """End every request, also one that another thread waits for."""
        self._connection.close()

    def _check_room(self, prompt: Prompt, answer_tokens: int) -> None:
        needed, limit = _positions(self.server, prompt) + answer_tokens, self._context_tokens
        if limit is not None and needed > limit:
            raise too_long(
                f"{show(self.server.base)}: the prompt and {answer_tokens:,} tokens of answer need {needed:,} tokens, "
                f"{show(self.server.model)} takes {limit:,} there"
            )

    def _exchange(self, asked: Request, incoming: Incoming, sent: int) -> Iterator[EngineEvent]:
        """One request and its answer, chunk by chunk; leaving this early closes the connection."""
        with ExitStack() as stack:
            reply = yield from self._reply(stack, asked)
            try:
                for part in self._chunks(reply):
                    for event in incoming.take(part):
                        reply.heard()
                        yield event
                    if part.has_content or part.reason:
                        reply.heard(is_last=bool(part.reason))
                    if part.progress and self.server.takes_ids and part.progress.total < sent:
                        raise cut(self.server, part.progress.total, sent)
                    if incoming.is_over:
                        break
            except ServerSaid as said:
                raise self._broken_off(reply.url, str(said), incoming) from said

    def _reply(self, stack: ExitStack, asked: Request) -> Generator[Warned, None, Reply]:
        """The reply to a request: again after a pause where the server is busy, changed where it refuses a field."""
        waited_s, pauses = 0.0, list(PAUSES_S)
        while True:
            url = self.server.base + asked.path
            if self._found_port is not None:  # the port may have changed hands since
                check_owner(self._found_port)
            try:
                return stack.enter_context(self._connection.reply(url, asked.pieces()))
            except Refusal as caught:
                refusal = caught
            if (other := adapted(asked, refusal.status, refusal.said)) is not None:
                asked, changed = other
                if changed:
                    yield Warned(changed)
                continue
            if refusal.status not in BUSY or not pauses:
                raise refusal
            scheduled_s = pauses.pop(0)
            pause_s = scheduled_s if refusal.retry_after_s is None else refusal.retry_after_s
            waited_s += pause_s
            if waited_s > LONGEST_PAUSE_S:
                raise refusal
            yield Warned(f"{show(url)}: {refusal.status}, busy; trying again in {pause_s:g} s")
            time.sleep(pause_s)

    def _chunks(self, reply: Reply) -> Iterator[Chunk]:
        kind = reply.kind.partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            yield from chunks(reply.pieces(), show(reply.url))
        elif kind == "application/json":  # a server that streams nothing
            yield replace(chunk(reply.document()), is_end=True)
        else:
            shown = self._connection.safe(kind) or "nothing"
            raise EngineError(
                f"{show(reply.url)}: the reply is {shown}, no stream of events", "does the address lead to the API?"
            )

    def _broken_off(self, url: str, said: str, incoming: Incoming) -> LongctxError:
        message = f"{show(url)}: {self._connection.safe(said)}"
        if is_too_long(said):
            return too_long(message)
        return EngineError(
            f"{message}; {NOT_WHOLE}" if incoming.has_answer else message, "the server's own log says why"
        )


def _positions(server: Server, prompt: Prompt) -> int:
    """What a prompt takes of a context; only our own server keeps windows apart."""
    if server.kind is not Kind.LONGCTX or not server.takes_ids:
        return len(prompt.ids)
    return (len(prompt.starts) - 1) * prompt.window_tokens + len(prompt.ids) - prompt.starts[-1]


def _prompts(server: Server) -> str:
    if server.takes_ids:
        return "prompts go as token ids"
    read = {
        Specials.CONTROL: "which it reads control tokens from: their spellings are broken",
        Specials.TEXT: "from which it reads no control tokens; their spellings are broken all the same",
        Specials.UNKNOWN: "in which the spellings of control tokens are broken",
    }
    return f"prompts go as text, {read[server.specials]}"
