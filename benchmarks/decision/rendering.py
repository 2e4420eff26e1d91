"""From simulated counts back to what Prometheus would hold: one counter a gateway instance and kind of answer.

Bad series are born with their first bad request, and an instance is restarted once in a while, which sets its counters
to 0: what the operator must count right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.decision.targets import WINDOW
from benchmarks.decision.traffic import PODS, Ints
from modelrollout.core.evidence.windows import Past, Reading, Series

INSTANCES: Final = tuple(f"10.0.0.{k + 1}:9100" for k in range(PODS))
START: Final = 1_800_000_000
"""When evidence begins; Unix seconds."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything that is there to be read of one rollout."""

    instants: tuple[int, ...]
    stable: tuple[Series, ...]
    candidate: tuple[Series, ...]
    past: Past

    def between(self, first: int, last: int) -> Reading:
        """Return what a query from one instant to another answers (positions, both inside)."""

        def cut(side: tuple[Series, ...]) -> tuple[Series, ...]:
            return tuple(Series(one.bad, one.le, one.source, one.values[first : last + 1]) for one in side)

        past = self.past if first == 0 else None
        return Reading(self.instants[first : last + 1], cut(self.stable), cut(self.candidate), past=past)

    def first(self, windows: int) -> "Rendered":
        """Return what is there of the first windows."""
        reading = self.between(0, windows)
        return Rendered(reading.instants, reading.stable, reading.candidate, self.past)


def render(rng: np.random.Generator, windows: list[tuple[int, int, int, int]], past_n: Ints, past_x: Ints) -> Rendered:
    """Render one run's windows, and stable's past of shape (minutes, pods)."""
    table = np.array(windows)
    restart = int(rng.integers(1, len(windows)))
    nothing = np.zeros(PODS, dtype=np.int64)
    candidate = _side(rng, (table[:, 0], table[:, 1]), restart, (nothing, nothing))
    stable = _side(rng, (table[:, 2], table[:, 3]), restart, (past_n.sum(axis=0), past_x.sum(axis=0)))
    instants = tuple(START + k * WINDOW for k in range(len(windows) + 1))
    return Rendered(instants, stable, candidate, _past(past_n, past_x))


def _side(
    rng: np.random.Generator, counts: tuple[Ints, Ints], restart: int, before: tuple[Ints, Ints]
) -> tuple[Series, ...]:
    """Return the counters of one revision; `counts` and `before`: all and bad requests."""
    n, x = counts
    even = np.full(PODS, 1.0 / PODS)
    good, bad = rng.multinomial(n - x, even), rng.multinomial(x, even)
    series = []
    for pod, source in enumerate(INSTANCES):
        at = restart if pod == 0 else None
        held_n, held_x = int(before[0][pod]), int(before[1][pod])
        series.append(Series(False, None, source, _counter(good[:, pod], held_n - held_x, at, born=0)))
        nonzero = np.flatnonzero(bad[:, pod])
        if held_x or len(nonzero):
            born = 0 if held_x else int(nonzero[0]) + 1
            series.append(Series(True, None, source, _counter(bad[:, pod], held_x, at, born=born)))
    return tuple(series)


def _counter(grown: Ints, before: int, restart: int | None, *, born: int) -> tuple[float | None, ...]:
    """Return a counter's values; a restart, just after instant `restart`, is left out where nobody could see it."""
    values, value = [float(before)], float(before)
    for place, more in enumerate(grown.tolist()):
        value = float(more) if place == restart and more < value else value + more
        values.append(value)
    return tuple(None if place < born else value for place, value in enumerate(values))


def _past(n: Ints, x: Ints) -> Past:
    instants = tuple(START - 60 * (len(n) - k) for k in range(len(n) + 1))
    series = []
    for pod in range(n.shape[1]):
        for bad, grown in ((False, n[:, pod] - x[:, pod]), (True, x[:, pod])):
            values = tuple(float(value) for value in (0, *np.cumsum(grown).tolist()))
            series.append(Series(bad, None, INSTANCES[pod], values))
    return Past(instants, tuple(series))
