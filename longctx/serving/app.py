"""The HTTP interface: OpenAI's completions and chats, vLLM's tokenize, /health and /version; one model behind it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from longctx import __version__
from longctx.engines.base import Finished, Prefilled, Warned
from longctx.errors import DoesNotFit, LongctxError
from longctx.serving import asked as asking
from longctx.serving.asked import Asked
from longctx.serving.body import SMALL, Bodies, largest_body
from longctx.serving.fields import Fields, parse
from longctx.serving.generation import Piece
from longctx.serving.guard import Guard
from longctx.serving.refusal import Refused, error_body
from longctx.serving.served import Served
from longctx.serving.tokens import detokenized, tokenized
from longctx.serving.wire import Reply, comment, error_event, model_card
from longctx.serving.worker import ClientGone, Run, Worker

log = logging.getLogger(__name__)
HEARTBEAT_S = 1.5
OTHER_VALUES = 1 << 20  # that a body may hold beside the ids of a prompt

T = TypeVar("T")
Reader = Callable[[Fields, Served], Asked]


def application(worker: Worker, host: str, token: str | None) -> ASGIApp:
    """The server of one model; it is opened as the application starts."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        worker.start()
        yield

    routes = Routes(worker)
    table: dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
        "/health": ("GET", routes.health),
        "/version": ("GET", routes.version),
        "/v1/models": ("GET", routes.models),
        "/v1/completions": ("POST", routes.completions),
        "/v1/chat/completions": ("POST", routes.chat_completions),
        "/tokenize": ("POST", routes.tokenize),
        "/detokenize": ("POST", routes.detokenize),
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, (method, endpoint) in table.items()],
        exception_handlers={Refused: _refused, HTTPException: _not_routed, Exception: _defect},
        lifespan=lifespan,
    )
    return Guard(app, host, token)


class Routes:
    """What is answered under each path."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._created = int(time.time())
        self._bodies = Bodies()
        self._reading = asyncio.Lock()

    async def health(self, _request: Request) -> Response:
        """Whether requests can be served by now."""
        if self._worker.served is None:
            return JSONResponse({"status": "loading"}, 503)
        return JSONResponse({"status": "ok"})

    async def version(self, _request: Request) -> Response:
        """The program's version."""
        return JSONResponse({"version": __version__, "server": "longctx"})

    async def models(self, _request: Request) -> Response:
        """The one model."""
        return JSONResponse({"object": "list", "data": [model_card(self._served(), self._created)]})

    async def completions(self, request: Request) -> Response:
        """A text, or ids, gone on with."""
        return await self._generate(request, asking.completion)

    async def chat_completions(self, request: Request) -> Response:
        """The next message of a dialogue."""
        return await self._generate(request, asking.chat)

    async def tokenize(self, request: Request) -> Response:
        """The ids of a text or of a dialogue."""
        return await self._converted(request, tokenized)

    async def detokenize(self, request: Request) -> Response:
        """The text of ids."""
        return await self._converted(request, detokenized)

    def _served(self) -> Served:
        if self._worker.served is None:
            raise Refused("the model is being loaded", status=503, code="loading")
        return self._worker.served

    async def _converted(self, request: Request, convert: Callable[[Fields, Served], dict[str, object]]) -> Response:
        run, converted = await self._admitted(request, self._served(), convert)
        run.close()
        return JSONResponse(converted)

    async def _generate(self, request: Request, read: Reader) -> Response:
        served = self._served()
        run, asked = await self._admitted(request, served, read)
        try:
            reply = Reply(asked=asked, model=served.name, version=served.version, created=int(time.time()))
            self._worker.submit(run, asked)
            if asked.stream:
                return Streamed(run, _chunks(run, reply))
            response = await _whole(request, run, reply)
        except BaseException:
            run.close()
            raise
        run.close()
        return response

    async def _admitted(self, request: Request, served: Served, read: Callable[[Fields, Served], T]) -> tuple[Run, T]:
        """A place in the line, taken when all of the body is there, and what it says."""
        async with self._bodies.received(request, largest_body(served.context_tokens)) as body:
            run = self._worker.admit()
            try:
                return run, await self._read(body, lambda fields: read(fields, served), served.context_tokens)
            except BaseException:
                run.close()
                raise

    async def _read(self, body: bytearray, read: Callable[[Fields], T], most_ids: int) -> T:
        """What a body says, read beside the event loop: a million ids take a while. Large ones follow one another."""
        async with self._reading if len(body) > SMALL else nullcontext():
            return await asyncio.to_thread(lambda: read(parse(body, most_ids + OTHER_VALUES)))


class Streamed(StreamingResponse):
    """An answer as it comes; the run is given up when the client is gone."""

    def __init__(self, run: Run, chunks: AsyncIterator[bytes]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(chunks, media_type="text/event-stream", headers=headers)
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._run.close()


async def _chunks(run: Run, reply: Reply) -> AsyncIterator[bytes]:
    """The events of an answer, and something at least every two seconds while there is nothing to say."""
    began, is_first = time.monotonic(), True
    yield comment("accepted")
    try:
        while True:
            match await run.next(HEARTBEAT_S):
                case None:
                    yield comment("working")
                case Prefilled() as prefilled if reply.asked.progress:
                    yield reply.progress(prefilled, time.monotonic() - began)
                case Piece(text, ids):
                    for chunk in reply.opening() if is_first else ():
                        yield chunk
                    if text or (ids and reply.asked.token_ids):
                        yield reply.piece(text, ids, is_first=is_first)
                        is_first = False
                case Warned(message):
                    log.warning("%s", message)
                case Finished() as finished:
                    _log_run(finished)
                    for chunk in reply.closing(finished):
                        yield chunk
                    return
    except Exception as error:  # noqa: BLE001 - the wall: headers are sent, so it is told in the stream
        yield error_event(_told(error))


async def _whole(request: Request, run: Run, reply: Reply) -> Response:
    """The answer when it is complete."""
    watch = asyncio.create_task(_abandon(request, run))
    text, ids = list[str](), list[int]()
    try:
        while not isinstance(said := await run.next(HEARTBEAT_S), Finished):
            if isinstance(said, Piece):
                text.append(said.text)
                ids.extend(said.ids)
            elif isinstance(said, Warned):
                log.warning("%s", said.message)
    except ClientGone:
        return Response(status_code=499)
    except Exception as error:
        raise _failure(error) from error
    finally:
        watch.cancel()
    _log_run(said)
    return JSONResponse(reply.whole("".join(text), ids, said))


async def _abandon(request: Request, run: Run) -> None:
    """Give the run up when the client goes; after the body nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    run.abandon()


def _failure(error: Exception) -> Refused:
    """What a run died of, as an answer; a request that does not fit is its sender's."""
    if isinstance(error, DoesNotFit):
        return Refused(_told(error), param="prompt", code="context_length_exceeded")
    return Refused(_told(error), status=500)


def _told(error: Exception) -> str:
    """What may be said of an error: what we raised on purpose, else only its kind."""
    if isinstance(error, LongctxError | Refused):
        return str(error)
    log.error("defect: %s", type(error).__name__)
    return f"a defect of longctx: {type(error).__name__}"


def _log_run(finished: Finished) -> None:
    log.info(
        "%d prompt tokens, %d cached, %d answered (%s); prefill %.3f s, decode %.3f s",
        finished.prompt_tokens,
        finished.cached_tokens or 0,
        finished.answer_tokens,
        finished.reason,
        finished.prefill_s,
        finished.decode_s,
    )


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"retry-after": "1"} if error.status in (429, 503) else None
    return JSONResponse(error.body(), error.status, headers)


def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} is not answered there" if error.status_code == 405 else "there is nothing here"
    refused = Refused(message, status=error.status_code)
    return JSONResponse(refused.body(), error.status_code, error.headers)


def _defect(_request: Request, error: Exception) -> Response:
    """Anything that was not expected; the guard, to which it goes on, logs it."""
    return JSONResponse(error_body(f"a defect of longctx: {type(error).__name__}", kind="server_error"), 500)
