"""The process: start, crash when asked to, drain on SIGTERM."""

import asyncio
import errno
import gc
import importlib
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from model_server import grpc_server
from model_server.app import App
from model_server.engine import State
from model_server.metadata import ModelError
from model_server.model import Model, load
from model_server.settings import Settings
from model_server.wire import Protocol

# Gateways keep idle connections for about 90 s; the side that closes first must be theirs,
# or a request now and then meets a closing connection.
KEEP_ALIVE_S = 120
FINISH_S = 20  # for requests in flight after the drain
BACKLOG = 2048
FLUSH_S = 1.0
GARBAGE_AFTER = 50_000
CRASHED = 1
BAD_MODEL = 3

log = logging.getLogger("model_server")


class Server(uvicorn.Server):
    """uvicorn that goes on serving for a while after SIGTERM, and then exits with 0.

    A pod is told to end before every gateway and kube-proxy has heard of it: requests still come.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = State()
        self._app = App(settings, None, self._state)
        self._grpc: Any = None
        self.exit_code = 0
        config = uvicorn.Config(
            self._app,
            http=Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FINISH_S,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals inside the event loop; nothing is raised again, so that the exit code is 0."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        loop.add_signal_handler(signal.SIGINT, self._stop)
        yield

    async def run_until_stopped(self) -> None:
        """Listen, load, serve and drain."""
        loop = asyncio.get_running_loop()
        if self._settings.crash_after is not None:
            loop.call_later(self._settings.crash_after, _crash, self._settings.crash_after)
        with _listen(self._settings.port) as listener:
            log.info("listening on port %d", listener.getsockname()[1])
            loading = loop.create_task(self._load())
            flushing = loop.create_task(self._flush())
            await self.serve(sockets=[listener])
            loading.cancel()
            flushing.cancel()
            if self._grpc:
                await self._grpc.stop(FINISH_S)
        if self._app.engine and self._app.engine.log:
            self._app.engine.log.flush(final=True)
        log.info("stopped")

    async def _load(self) -> None:
        await asyncio.sleep(self._settings.start_delay)
        try:
            model, previous = await asyncio.get_running_loop().run_in_executor(None, _models, self._settings)
            self._app.install(model, previous)
            if self._settings.grpc_port is not None:
                self._grpc = await grpc_server.start(self._app, self._settings, self._state)
        except ModelError as error:
            log.error("the model cannot be served: %s", error)
            self.exit_code = BAD_MODEL
            self._stop()
            return
        engine = self._app.engine
        if engine:
            # What is here now stays; what comes is dropped with its request or kept for labels, neither in cycles.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_AFTER, 10, 100)
            self._state.loaded = True
            log.info("model %s version %s is ready", engine.name, engine.version)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            if self._app.engine and self._app.engine.log:
                self._app.engine.log.flush()

    def _drain(self) -> None:
        if self._state.draining:
            self._stop()
            return
        self._state.draining = True
        log.info("draining: not ready any more, serving for another %g s", self._settings.drain)
        asyncio.get_running_loop().call_later(self._settings.drain, self._stop)

    def _stop(self) -> None:
        if self.should_exit:
            return
        self._state.draining = True
        log.info("stopping: finishing requests in flight for at most %d s", FINISH_S)
        self.should_exit = True


def run(settings: Settings) -> int:
    """Serve until told to end; return the exit code: 0, or 3 when the model cannot be served."""
    if settings.crash_after == 0:
        _crash(0)
    server = Server(settings)
    # uvloop is faster where it is installed, and nothing depends on it.
    runner: Any = importlib.import_module("uvloop") if importlib.util.find_spec("uvloop") else asyncio
    runner.run(server.run_until_stopped())
    return server.exit_code


def _models(settings: Settings) -> tuple[Model, Model | None]:
    previous = load(settings.fallback_model_uri) if settings.fallback_model_uri else None
    return load(settings.model_uri, settings.model_sha256), previous


def _listen(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4, or on IPv4 alone where the machine has no IPv6."""
    listener = _bind(port)
    # asyncio sets it only on sockets that name their protocol; without it every answer, written as
    # head and body, waits some 40 ms for the client's delayed acknowledgement. Accepted sockets inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _bind(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104


def _crash(after: float) -> None:
    log.error("crashing %g s after the start (asked for by CRASH_AFTER_S)", after)
    os._exit(CRASHED)
