"""The process: take, compare, tell; end well on SIGTERM."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from modelrollout.comparer import asking, pages
from modelrollout.comparer.asking import Asker
from modelrollout.comparer.counting import Counts
from modelrollout.comparer.intake import Intake
from modelrollout.comparer.options import Options
from modelrollout.comparer.pairing import Work
from modelrollout.comparer.room import Room
from modelrollout.comparer.samples import Samples

_LINGER = 2.0
"""Seconds that a body which is not read gets to be sent, before its connection is closed."""
_CLOSE = 0.5
"""Seconds that answers get to be sent when all is over."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A comparer that listens."""

    port: int
    metrics_port: int
    intake: Intake
    work: Work
    counts: Counts
    samples: Samples
    room: Room


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    """Listen and compare while the block runs; then take nothing more and finish what was taken.

    Raises OSError where it cannot listen.
    """
    limits = options.limits
    counts = Counts(options.namespace, options.rollout, options.stable.revision, options.candidate.revision)
    samples = Samples(limits.samples, limits.samples_bytes, options.redact, keep_inputs=options.keep_inputs)
    room = Room(limits.concurrency + limits.queue, limits.queue_bytes)
    async with asking.session(limits.timeout) as connections:
        work = Work(
            stable=Asker(options.stable.url, connections, limits.max_answer),
            candidate=Asker(options.candidate.url, connections, limits.max_answer),
            rules=options.rules,
            room=room,
            counts=counts,
            samples=samples,
            concurrency=limits.concurrency,
            noise=options.noise,
        )
        intake = Intake(limits, room, counts, work.start)
        counts.watch(lambda: work.waiting, lambda: work.in_flight, lambda: room.held)
        app = pages.application(options, counts, samples, lambda: "stopping" if intake.stopping else None)
        server = web.Server(
            intake.handle,
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGER,
            max_line_size=asking.LONGEST_LINE,
            max_field_size=asking.LONGEST_LINE,
        )
        # Readiness is told only once requests are taken.
        async with (
            _listening(
                web.ServerRunner(server, handle_signals=False, shutdown_timeout=_CLOSE), options.host, options.port
            ) as port,
            _listening(
                web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE),
                options.metrics_host,
                options.metrics_port,
            ) as metrics_port,
        ):
            try:
                yield Running(port, metrics_port, intake, work, counts, samples, room)
            finally:
                intake.stopping = True
                if given_up := await work.drain(limits.drain):
                    _log.warning("%d requests were given up", given_up)


async def run(options: Options) -> int:
    """Compare until SIGTERM; return the exit code."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    try:
        async with running(options) as comparer:
            _log.info(
                "comparing %s with %s of ModelRollout %s/%s; requests on port %d, metrics on port %d",
                options.candidate.revision,
                options.stable.revision,
                options.namespace,
                options.rollout,
                comparer.port,
                comparer.metrics_port,
            )
            await end.wait()
            _log.info("stopping")
    except OSError as error:
        _log.critical("cannot listen: %s", error.strerror)
        return 1
    return 0


@contextlib.asynccontextmanager
async def _listening(runner: web.BaseRunner, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port, which the kernel chose where it was 0."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
