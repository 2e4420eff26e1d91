"""Asking both revisions, and stable a second time for a share of requests; bounded, and in the order of arrival."""

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from modelrollout.comparer import counting
from modelrollout.comparer.answers import Answer, End, Request
from modelrollout.comparer.asking import Asker
from modelrollout.comparer.compare import compare
from modelrollout.comparer.counting import Counts
from modelrollout.comparer.room import Room
from modelrollout.comparer.rules import Compared, Rules
from modelrollout.comparer.samples import Samples

_LARGE: Final = 2**17
"""Bytes of two answers from which comparing them would keep gateways waiting, so that it is done in a thread."""
_SILENCE: Final = 60.0
"""Seconds between two lines about the same trouble."""

_log = logging.getLogger(__name__)


class Work:
    """Compares what was taken, at most `concurrency` requests at a time; the others wait."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        *,
        stable: Asker,
        candidate: Asker,
        rules: Rules,
        room: Room,
        counts: Counts,
        samples: Samples,
        concurrency: int,
        noise: float,
    ) -> None:
        self._stable, self._candidate = stable, candidate
        self._rules, self._room, self._counts, self._samples = rules, room, counts, samples
        self._concurrency, self._noise = concurrency, noise
        self._due, self._turn = 0.0, False
        self._waiting: deque[Request] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, "comparing")
        self._told: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Requests that are compared now."""
        return len(self._running)

    def start(self, request: Request) -> None:
        """Compare a request, now or in its turn."""
        if len(self._running) >= self._concurrency:
            self._waiting.append(request)
            return
        task = asyncio.get_running_loop().create_task(self._work(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is left to compare, for so long at most; return whether it is so."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        return not self._running

    async def drain(self, seconds: float) -> int:
        """Let what was taken end within a time, and give up the rest; return how many requests that were."""
        given_up = 0
        if not await self.idle(seconds):
            given_up = len(self._running) + len(self._waiting)
            self._waiting.clear()
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)
        self._thread.shutdown(wait=False, cancel_futures=True)
        return given_up

    async def _work(self, first: Request) -> None:
        request: Request | None = first
        while request is not None:
            try:
                await self._both(request)
            except Exception as error:  # one request must not stop those behind it
                self._counts.unpaired[counting.INTERNAL].inc()
                self._tell("internal", "a request could not be compared: %s", type(error).__name__)
            finally:
                self._room.leave(len(request.body))
            request = self._waiting.popleft() if self._waiting else None

    async def _both(self, request: Request) -> None:
        again = self._noise_is_due()
        stable, candidate = await self._ask(request)
        self._counts.stable.asked(stable)
        self._counts.candidate.asked(candidate)
        self._unreachable("stable", stable)
        self._unreachable("candidate", candidate)
        if stable.failed:
            self._counts.unpaired[counting.STABLE].inc()
            return
        if candidate.end is End.TIMEOUT:
            self._counts.late.inc()
        elif candidate.end is End.UNREACHABLE:
            self._counts.unpaired[counting.UNREACHABLE].inc()
        elif End.TOO_LARGE in (stable.end, candidate.end):
            self._counts.unpaired[counting.LARGE_ANSWER].inc()
        else:
            await self._pair(request, stable, candidate)
        if again and stable.end is End.ANSWERED:
            await self._stable_again(request, stable)

    async def _ask(self, request: Request) -> tuple[Answer, Answer]:
        # Who is asked first waits a little less for us; each is, half of the time.
        self._turn = not self._turn
        if self._turn:
            stable, candidate = await asyncio.gather(self._stable.ask(request), self._candidate.ask(request))
        else:
            candidate, stable = await asyncio.gather(self._candidate.ask(request), self._stable.ask(request))
        return stable, candidate

    async def _pair(self, request: Request, stable: Answer, candidate: Answer) -> None:
        found = await self._compare(stable, candidate)
        self._counts.pair(found)
        if not found.agree:
            self._samples.add(request, stable, candidate, found)

    async def _stable_again(self, request: Request, stable: Answer) -> None:
        # Asked after the pair, so that the pair is asked under equal conditions.
        second = await self._stable.ask(request)
        if not second.failed and second.end is End.ANSWERED:
            self._counts.noise_pair(await self._compare(stable, second))

    async def _compare(self, one: Answer, other: Answer) -> Compared:
        if len(one.body) + len(other.body) < _LARGE:
            return compare(one, other, self._rules)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, compare, one, other, self._rules)

    def _noise_is_due(self) -> bool:
        """Say whether stable is asked twice: for exactly the share of requests, never more."""
        self._due += self._noise
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True

    def _unreachable(self, side: str, answer: Answer) -> None:
        if answer.end is End.UNREACHABLE:
            self._tell(side, "%s cannot be reached: %s", side, answer.fault)

    def _tell(self, subject: str, text: str, *values: object) -> None:
        """Log a trouble, but not each time."""
        now = asyncio.get_running_loop().time()
        if now - self._told.get(subject, -_SILENCE) >= _SILENCE:
            self._told[subject] = now
            _log.warning(text, *values)
