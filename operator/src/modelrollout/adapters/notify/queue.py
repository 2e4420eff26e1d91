"""A bounded queue of moves, and one task that hands each to everybody who wants to know."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final, Literal

from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move
from modelrollout.ports import TerminalError

GROUP: Final = "modelrollout.notifiers"
WAITING: Final = 1000
"""Moves that wait to be told; more are dropped."""
SECONDS: Final = 60.0
"""Longest time that one who is told may take."""

Listener = Callable[[ModelRollout, Move], Any]
"""Told of a move; may return something to await. Raises where it could not be told."""
Count = Callable[[Literal["sent", "failed", "dropped"]], None]

_log = logging.getLogger(__name__)


class Notices:
    """Tells every listener of every move; implements ports.Notifier."""

    def __init__(self, listeners: Mapping[str, Listener], count: Count, *, waiting: int = WAITING) -> None:
        self._listeners = listeners
        self._count = count
        self._queue: asyncio.Queue[tuple[ModelRollout, Move]] = asyncio.Queue(waiting)

    def notify(self, rollout: ModelRollout, move: Move) -> None:
        """Send a move on its way; never raises and never waits."""
        try:
            self._queue.put_nowait((rollout, move))
        except asyncio.QueueFull:
            self._count("dropped")
            _log.warning(
                "%s/%s: nobody is told of %s: %d moves wait already",
                rollout.metadata.namespace, rollout.metadata.name, move.move, self._queue.maxsize,
            )  # fmt: skip

    async def run(self) -> None:
        """Tell until cancelled; no error ends it."""
        while True:
            rollout, move = await self._queue.get()
            for name, listener in self._listeners.items():
                await self._tell(name, listener, rollout, move)
            self._queue.task_done()

    async def told(self) -> None:
        """Wait until every move so far was told."""
        await self._queue.join()

    async def _tell(self, name: str, listener: Listener, rollout: ModelRollout, move: Move) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                if inspect.iscoroutinefunction(listener):
                    await listener(rollout, move)
                else:
                    answer = await asyncio.to_thread(listener, rollout, move)
                    if inspect.isawaitable(answer):
                        await answer
        except Exception as error:
            self._count("failed")
            # Of errors that are not ours the text can hold URLs and tokens; their kind says enough.
            words = str(error) if isinstance(error, NotTold) else type(error).__name__
            place = f"{rollout.metadata.namespace}/{rollout.metadata.name}"
            _log.warning("%s: notifier %s not told of %s: %s", place, name, move.move, words)
        else:
            self._count("sent")


class NotTold(Exception):
    """A listener that could not be told; the text says why, without secrets."""


def installed() -> dict[str, Listener]:
    """Return the listeners that other packages bring, by name. TerminalError where one cannot be loaded."""
    found = {}
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise TerminalError(f"notifier {point.name} ({point.value}): {what}; mend or remove its package") from None
    return found
