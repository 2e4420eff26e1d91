"""The clock of evidence: one reading of all active rollouts at the end of every window."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Clock, Key, Metrics

LONGEST_BACKOFF: Final = 15.0
"""Seconds between questions to a provider that does not answer."""

_log = logging.getLogger(__name__)

Readings = Mapping[str, Reading]


@dataclass(frozen=True, slots=True)
class _Delivery:
    watch: Watch
    readings: Readings


class Collector:
    """Reads metrics on the Unix grid of windows while anybody watches; costs nothing while nobody does."""

    def __init__(  # noqa: PLR0913
        self,
        metrics: Metrics,
        clock: Clock,
        *,
        window: int,
        enqueue: Callable[[Key], None],
        lag: float = 0.3,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._window = window
        self._enqueue = enqueue
        self._lag = lag
        """Seconds after a window's end until the provider has what was scraped in it."""
        self._chance = chance
        self._watches: dict[Key, tuple[ModelRollout, Watch]] = {}
        self._inbox: dict[Key, _Delivery] = {}
        self._anybody = asyncio.Event()
        self._failures = 0

    def watch(self, key: Key, rollout: ModelRollout, watch: Watch | None) -> None:
        """Read for a rollout from now on what `watch` says; None: no longer."""
        if watch is None:
            self.forget(key)
            return
        self._watches[key] = (rollout, watch)
        self._anybody.set()

    def forget(self, key: Key) -> None:
        """Read nothing more for a rollout, and drop what was not consumed."""
        self._watches.pop(key, None)
        self._inbox.pop(key, None)
        if not self._watches:
            self._anybody.clear()

    def peek(self, key: Key) -> Readings:
        """Return the readings not consumed yet, if they answer what the rollout still watches."""
        delivery = self._inbox.get(key)
        current = self._watches.get(key)
        if delivery is None or current is None or not _same_sides(delivery.watch, current[1]):
            return {}
        return delivery.readings

    def consume(self, key: Key, readings: Readings) -> None:
        """Drop readings that were acted upon; newer ones that came meanwhile stay."""
        delivery = self._inbox.get(key)
        if delivery is not None and delivery.readings is readings:
            del self._inbox[key]

    @property
    def active(self) -> int:
        """Rollouts that gather evidence."""
        return len(self._watches)

    async def run(self) -> None:
        """Read window after window, for ever."""
        while True:
            await self._anybody.wait()
            await asyncio.sleep(self._wait())
            if self._watches:
                await self._collect()

    def _wait(self) -> float:
        """Return the seconds until the next window has ended and, after failures, the provider had a rest."""
        now = self._clock.now().timestamp() - self._lag
        rest = 0.0
        if self._failures:
            longest = min(LONGEST_BACKOFF, self._window * 2.0 ** min(self._failures - 1, 10))
            rest = longest * (0.5 + 0.5 * self._chance())
        rested = int((now + rest) // self._window) * self._window
        end = rested if rested > now else (int(now // self._window) + 1) * self._window
        return end - now

    async def _collect(self) -> None:
        now = self._clock.now().timestamp() - self._lag
        until = int(now // self._window) * self._window
        asked = {key: entry for key, entry in self._watches.items() if entry[1].since < until}
        if not asked:
            return
        try:
            answers = await self._metrics.read(asked, until)
        except Exception as error:
            _log.exception("metrics provider broke its promise never to raise")
            answers = {key: _failed(entry[1], type(error).__name__) for key, entry in asked.items()}
        self._count_failures(answers)
        for key, (_, watch) in asked.items():
            current = self._watches.get(key)
            if current is not None and answers.get(key) and _same_sides(watch, current[1]):
                self._inbox[key] = _Delivery(watch, answers[key])
                self._enqueue(key)

    def _count_failures(self, answers: Mapping[Key, Readings]) -> None:
        errors = [reading.error for readings in answers.values() for reading in readings.values()]
        if errors and all(errors):
            self._failures += 1
            _log.warning("metrics provider does not answer: %s", errors[0])
        elif self._failures:
            self._failures = 0
            _log.info("metrics provider answers again")


def _same_sides(one: Watch, other: Watch) -> bool:
    return (one.stable, one.candidate) == (other.stable, other.candidate)


def _failed(watch: Watch, fault: str) -> Readings:
    return {name: Reading(error=f"internal error: {fault}") for name in watch.metrics}
