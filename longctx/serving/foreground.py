"""The server of our own model in this process, until it is told to end: the port first, then the model, then requests.

While the model is loaded everything is answered with 503, /health too. What it logs goes to stderr.
"""

import logging
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from longctx.engines.opening import EngineSetup
from longctx.errors import EngineError, LongctxError
from longctx.serving.guard import check_exposure

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp
    from uvicorn import Config

EXTRA = 'a server needs starlette and uvicorn: pip install "longctx[scout]"'
PATIENCE_S = 3.0  # for answers that are being sent, and then for the window that is being read
log = logging.getLogger(__name__)


def serve_scout(setup: EngineSetup, host: str, port: int, token: str | None) -> None:
    """Serve until SIGINT or SIGTERM; raises LongctxError where the port is taken or the model can't be opened."""
    check_exposure(host, token)
    check_installed()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with bound(host, port) as listening:
        _run(setup, host, token, listening)


def check_installed() -> None:
    """Raise EngineError where the packages of the server are missing."""
    from importlib.util import find_spec

    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise EngineError(EXTRA)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises EngineError where it can't."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise EngineError(f"{host}: {error.strerror}", "--host wants an address of this machine") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        hint = "longctx engine stop ends a server of ours; --port takes another"
        raise EngineError(f"{host}:{port}: {error.strerror}", hint) from error
    return listening


def config(app: "ASGIApp") -> "Config":
    """How uvicorn serves an application of ours: no log of its own, as addresses in it may hold what was asked."""
    import uvicorn

    from longctx.serving.connections import Connection

    return uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=int(PATIENCE_S),
    )


def _run(setup: EngineSetup, host: str, token: str | None, listening: socket.socket) -> None:
    import uvicorn

    from longctx.serving.app import application
    from longctx.serving.served import opened
    from longctx.serving.worker import Worker

    def ended() -> None:
        server.should_exit = True

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
            worker.halt()
            super().handle_exit(sig, frame)

    worker = Worker(lambda: opened(setup), ended=ended)
    server = Server(config(application(worker, host, token)))
    log.info("serving %s at %s, pid %d", Path(setup.model or "").name, listening.getsockname(), os.getpid())
    with suppress(KeyboardInterrupt):  # uvicorn has ended, and passes on the signal that it ended for
        server.run(sockets=[listening])
    is_closed = worker.stop(PATIENCE_S)
    if worker.failure is not None:
        raise _failure(worker.failure)
    if not is_closed:
        _leave()


def _failure(error: Exception) -> LongctxError:
    if isinstance(error, LongctxError):
        return error
    return EngineError(f"the model can't be opened: {type(error).__name__}: {error}")


def _leave() -> None:
    """End although torch is computing: what is stored is whole at any moment, and nobody waits for the rest."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)
