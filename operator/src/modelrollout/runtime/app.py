"""The life of the operator process: stand by, lead, stop in good order."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Coroutine
from typing import Any, Final

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import ROLLOUTS
from modelrollout.ports import Metrics, TerminalError, TransientError
from modelrollout.runtime.clock import SystemClock
from modelrollout.runtime.health import Health
from modelrollout.runtime.lease import Lease, LeaseLostError
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.options import Options
from modelrollout.runtime.probes import application, serving
from modelrollout.runtime.shell import Shell

RETRY_SECONDS: Final = 5.0
"""Between two looks at an API server that does not serve our resource yet."""

_log = logging.getLogger(__name__)


async def run(
    options: Options, provider: Metrics, metrics: OperatorMetrics, *, stop: asyncio.Event | None = None
) -> int:
    """Run the operator until SIGTERM, SIGINT or `stop`; returns the exit code: 0, or 1 where it must be restarted.

    Raises TerminalError where there are no credentials for an API server.
    """
    signals = Signals(stop or asyncio.Event())
    signals.install()
    health = Health()
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(
            serving(application(health, metrics.registry), options.host, options.port)
        )
        _log.info("probes and metrics on port %d", port)
        api = await stack.enter_async_context(await Api.connect(options.kubeconfig))
        api.count = metrics.counts_request
        lease = Lease(api, options.lease_namespace) if options.leader_elect else None
        if not await _unless(signals.stop, _served(api, options, health)):
            return 0
        try:
            if lease is not None:
                health.standby = True
                if not await _unless(signals.stop, lease.acquire()):
                    return 0
            health.standby, health.leading = False, True
            shell = Shell(options, api, provider, SystemClock(), health, metrics, lease)
            return await _lead(shell, signals)
        finally:
            if lease is not None:
                await lease.release()


class Signals:
    """SIGTERM and SIGINT as an event."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop

    def install(self) -> None:
        """Take the signals over, again if need be: kopf takes them when it starts."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._arrived, number)

    def _arrived(self, number: signal.Signals) -> None:
        _log.info("%s: stopping", number.name)
        self.stop.set()


async def _lead(shell: Shell, signals: Signals) -> int:
    """Work until asked to stop, or until a part fails without which nothing works."""
    tasks = [_task(name, watch) for name, watch in shell.watches().items()]
    tasks.append(_task("stop", signals.stop.wait()))
    if shell.lease is not None:
        tasks.append(_task("lease", shell.lease.keep()))
    crew: list[asyncio.Task[Any]] = []
    try:
        synced = _task("synced", shell.synced())
        await asyncio.wait([*tasks, synced], return_when=asyncio.FIRST_COMPLETED)
        if synced.done():
            tasks += [_task(name, helper) for name, helper in shell.helpers().items()]
            crew = [_task("worker", worker) for worker in shell.crew()]
            # kopf ends, with itself, every task that began after it; so it begins last.
            tasks.append(_task("kopf", shell.rollouts.run()))
            tasks.append(_task("signals", _reinstall(shell, signals)))
            await asyncio.wait([*tasks, *crew], return_when=asyncio.FIRST_COMPLETED)
        return await _stop(shell, [*tasks, *crew], crew)
    finally:
        await _cancel([*tasks, *crew])


async def _reinstall(shell: Shell, signals: Signals) -> None:
    await shell.rollouts.started.wait()
    signals.install()
    _log.info("watching ModelRollouts of %s", ", ".join(shell.options.namespaces) or "all namespaces")
    await asyncio.Event().wait()


async def _stop(shell: Shell, tasks: list[asyncio.Task[Any]], crew: list[asyncio.Task[Any]]) -> int:
    """Let running reconciles end, unless somebody else may write by now; returns the exit code."""
    shell.queue.close()
    code = 0
    for task in tasks:
        error = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(error, LeaseLostError):
            _log.critical("%s; ending at once", error)
            await _cancel(crew)
            return 1
        if error is not None:
            _log.critical("%s failed: %s: %s", task.get_name(), type(error).__name__, error)
            code = 1
    await _drain(shell, crew)
    if shell.lease is not None:
        await _cancel([task for task in tasks if task.get_name() == "lease"])
        await shell.lease.release()
    return code


async def _drain(shell: Shell, crew: list[asyncio.Task[Any]]) -> None:
    if not crew:
        return
    _, late = await asyncio.wait(crew, timeout=shell.options.drain.total_seconds())
    if late:
        _log.warning("%d workers did not end in time; their rollouts resume from their status", len(late))
        await _cancel(list(late))


async def _served(api: Api, options: Options, health: Health) -> None:
    """Wait until the API server serves our resource, and serves it to us."""
    while True:
        try:
            await api.list(ROLLOUTS, options.namespaces[0] if options.namespaces else None, {"limit": "1"})
            return
        except (TransientError, TerminalError) as error:
            if health.waits_for != str(error):
                _log.warning("waiting: %s", error)
            health.waits_for = str(error)
            await asyncio.sleep(RETRY_SECONDS)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Wait for something unless asked to stop before; returns whether it came to its end."""
    task, stopped = _task("work", work), _task("stop", stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done() and not stop.is_set()
    finally:
        await _cancel([task, stopped])


def _task(name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=name)


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5.0)
