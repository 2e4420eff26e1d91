"""The faults that the server is asked to show, drawn from seeds."""

import asyncio
from random import Random

JITTER = 0.1


class Faults:
    """Delays answers and fails a fraction of them.

    Latency and errors are drawn from two streams, so that asking for one leaves the other as it was.
    """

    def __init__(self, latency: float, error_rate: float, seed: int | None) -> None:
        self._latency = latency / 1000
        self._error_rate = error_rate
        # Fault injection is no cryptography.
        self._delays = Random(None if seed is None else f"{seed}/latency")  # noqa: S311
        self._errors = Random(None if seed is None else f"{seed}/errors")  # noqa: S311

    def delay(self) -> float:
        """Return the seconds that the next answer takes: the set latency, 10 % more or less."""
        if not self._latency:
            return 0.0
        return self._latency * (1 + JITTER * (2 * self._delays.random() - 1))

    def fails(self) -> bool:
        """Tell whether the next answer is an error."""
        return self._error_rate > 0 and self._errors.random() < self._error_rate

    async def strike(self) -> bool:
        """Wait as long as the next answer takes, then tell whether it is an error."""
        seconds, fails = self.delay(), self.fails()
        if seconds:
            await asyncio.sleep(seconds)
        return fails
