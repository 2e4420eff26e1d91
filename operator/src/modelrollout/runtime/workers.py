"""The crew that works the queue off."""

import asyncio
import logging

from modelrollout.ports import ConflictError, Key, TransientError
from modelrollout.runtime.health import Health
from modelrollout.runtime.lease import LeaseLostError
from modelrollout.runtime.logs import ObjectLog
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.queue import DelayQueue, QueueClosedError
from modelrollout.runtime.reconcile import Reconciler

_log = logging.getLogger(__name__)


async def work(queue: DelayQueue[Key], reconciler: Reconciler, health: Health, metrics: OperatorMetrics) -> None:
    """Reconcile key after key until the queue is closed; no error of one rollout ends it.

    Raises LeaseLostError, after which nobody here may write any more.
    """
    while True:
        try:
            key = await queue.get()
        except QueueClosedError:
            return
        began = asyncio.get_running_loop().time()
        try:
            await _once(key, queue, reconciler, metrics)
        finally:
            queue.done(key)
            health.reconciled()
            metrics.reconcile_seconds.observe(asyncio.get_running_loop().time() - began)


async def _once(key: Key, queue: DelayQueue[Key], reconciler: Reconciler, metrics: OperatorMetrics) -> None:
    log = ObjectLog(_log, key)
    try:
        again = await reconciler.reconcile(key)
    except LeaseLostError:
        raise
    except ConflictError as error:
        metrics.reconcile_errors.labels("conflict").inc()
        log.debug("changed meanwhile, planned anew in %.1f s: %s", queue.retry(key), error)
    except TransientError as error:
        metrics.reconcile_errors.labels("transient").inc()
        log.warning("tried again in %.1f s: %s", queue.retry(key), error)
    except Exception:
        metrics.reconcile_errors.labels("bug").inc()
        log.exception("unexpected error; tried again in %.1f s", queue.retry(key))
    else:
        queue.succeeded(key)
        if again is not None:
            queue.add(key, again.total_seconds())
