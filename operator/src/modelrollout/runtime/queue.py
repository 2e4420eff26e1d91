"""A delay queue of keys: each key once, at its earliest due time, in one worker's hands at a time."""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class QueueClosedError(Exception):
    """The queue hands out no more keys."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter; seconds."""

    base: float = 0.25
    cap: float = 60.0
    jitter: float = 0.25
    """Share of the delay that is left to chance, to both sides."""

    def delay(self, failures: int, chance: float) -> float:
        """Return the wait after so many failures in a row; `chance` is uniform within [0, 1)."""
        wait = min(self.cap, self.base * 2.0 ** min(failures - 1, 30))
        return wait * (1.0 + self.jitter * (2.0 * chance - 1.0))


class DelayQueue(Generic[K]):
    """Keys with due times, for workers of one event loop.

    A key that is added while it waits keeps the earlier of both due times. A key that is added while a worker holds
    it waits until the worker is done with it: nothing is lost, and no key is ever in two hands.
    """

    def __init__(self, *, backoff: Backoff | None = None, chance: Callable[[], float] = random.random) -> None:
        self._backoff = backoff or Backoff()
        self._chance = chance
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._held: dict[K, float | None] = {}
        """Keys in work; the due time of the earliest addition since, if any."""
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[K]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, key: K, delay: float = 0.0) -> None:
        """Ask for work on a key after `delay` seconds; a closed queue takes nothing."""
        if not self._closed:
            self._schedule(key, self._now() + max(0.0, delay))

    def retry(self, key: K) -> float:
        """Ask for work on a key that failed, later after each failure in a row; returns the delay in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(self._failures[key], self._chance())
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Drop a key that no longer exists: its due time and its failures."""
        self._due.pop(key, None)
        self._failures.pop(key, None)
        if key in self._held:
            self._held[key] = None

    async def get(self) -> K:
        """Wait for a key that is due and hold it until `done`.

        Raises QueueClosedError once the queue is closed.
        """
        if self._closed:
            raise QueueClosedError
        waiter: asyncio.Future[K] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._dispatch()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                key = waiter.result()
                self._held[key] = self._now()
                self.done(key)
            raise

    def done(self, key: K) -> None:
        """Give a key back; additions made meanwhile count from now on."""
        due = self._held.pop(key)
        if due is not None and not self._closed:
            self._schedule(key, due)
        else:
            self._dispatch()

    def close(self) -> None:
        """Hand out nothing more; every `get` ends with QueueClosedError, held keys may still be finished."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(QueueClosedError())

    @property
    def held(self) -> frozenset[K]:
        """The keys in work."""
        return frozenset(self._held)

    def due(self) -> tuple[int, float]:
        """Return how many keys are due but not yet in work, and since how many seconds the oldest of them is."""
        now = self._now()
        waits = [now - due for due in self._due.values() if due <= now]
        return len(waits), max(waits, default=0.0)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _schedule(self, key: K, due: float) -> None:
        if key in self._held:
            earlier = self._held[key]
            self._held[key] = due if earlier is None else min(due, earlier)
            return
        known = self._due.get(key)
        if known is None or due < known:
            self._due[key] = due
            self._sequence += 1
            heapq.heappush(self._heap, (due, self._sequence, key))
            if len(self._heap) > 2 * len(self._due) + 64:
                self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
                heapq.heapify(self._heap)
        self._dispatch()

    def _dispatch(self) -> None:
        """Hand due keys to those who wait, then set the timer for the next one."""
        while self._heap and (self._outdated() or self._heap[0][0] <= self._now()):
            if self._outdated():
                heapq.heappop(self._heap)
                continue
            waiter = self._next_waiter()
            if waiter is None:
                break
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            self._held[key] = None
            waiter.set_result(key)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._heap[0][0] > self._now() and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._dispatch)

    def _outdated(self) -> bool:
        due, _, key = self._heap[0]
        return self._due.get(key) != due

    def _next_waiter(self) -> asyncio.Future[K] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None
