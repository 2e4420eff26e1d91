"""Simulated traffic: counts of both revisions in windows, from fixed seeds.

Requests arrive as a Poisson process and fail independently at the rate of their revision and window, unless a
scenario says otherwise. Arrays have the shape (runs, windows).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.targets import CHUNK, HORIZON, SEED, STEPS, WINDOW

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and bad ones of candidate and stable; each of shape (runs, windows)."""

    n_c: Ints
    x_c: Ints
    n_s: Ints
    x_s: Ints
    seconds: int = WINDOW
    """Length of a window."""

    def run(self, index: int) -> list[tuple[int, int, int, int]]:
        """Return one run's windows as n_c, x_c, n_s, x_s."""
        columns = (self.n_c[index], self.x_c[index], self.n_s[index], self.x_s[index])
        return list(zip(*(column.tolist() for column in columns), strict=True))


def generator(scenario: str, chunk: int) -> np.random.Generator:
    """Return the random numbers of one chunk of a scenario: a small run is the beginning of a large one."""
    sequence = np.random.SeedSequence([SEED, zlib.crc32(scenario.encode())])
    return np.random.Generator(np.random.PCG64(sequence.spawn(chunk + 1)[chunk]))


def chunks(reps: int) -> list[tuple[int, int]]:
    """Return (chunk, runs) that add up to `reps`."""
    return [(k, min(CHUNK, reps - k * CHUNK)) for k in range((reps + CHUNK - 1) // CHUNK)]


def weights(steps: Sequence[tuple[float, int]] = STEPS, seconds: int = WINDOW) -> Floats:
    """Return the candidate's share of traffic in each window of a schedule."""
    return np.concatenate([np.full(length // seconds, share) for share, length in steps])


WEIGHTS: Final = weights()


def independent(  # noqa: PLR0913, PLR0917 - what a traffic is made of
    rng: np.random.Generator, runs: int, rps: float, p_c: Floats | float, p_s: Floats | float, share: Floats = WEIGHTS
) -> Counts:
    """Return independent requests at `rps` per second in all; rates may vary from window to window."""
    size = (runs, len(share))
    n_c = rng.poisson(rps * WINDOW * share, size)
    n_s = rng.poisson(rps * WINDOW * (1.0 - share), size)
    return Counts(n_c, rng.binomial(n_c, p_c), n_s, rng.binomial(n_s, p_s))


def incident(rng: np.random.Generator, runs: int, rps: float, p0: float) -> Counts:
    """Return equal revisions that share an incident: thirty times the rate, for two minutes, at a random time."""
    starts = rng.integers(0, HORIZON // WINDOW - 8, size=(runs, 1))
    place = np.arange(HORIZON // WINDOW)
    inside = (place >= starts) & (place < starts + 8)
    rate = np.where(inside, min(0.9, 30.0 * p0), p0)
    return independent(rng, runs, rps, rate, rate)


def drift(rng: np.random.Generator, runs: int, rps: float, p0: float) -> Counts:
    """Return equal revisions whose common rate grows tenfold while the weight grows."""
    rate = p0 * np.linspace(1.0, 10.0, HORIZON // WINDOW)
    return independent(rng, runs, rps, rate, rate)


def late(p0: float, p1: float, onset: int) -> Floats:
    """Return the rates of a candidate that turns bad `onset` seconds into the rollout."""
    place = np.arange(HORIZON // WINDOW) * WINDOW
    return np.where(place >= onset, p1, p0)


@dataclass(frozen=True, slots=True)
class Clustered:
    """Windows of a rollout, and stable's pods in the minutes before it (shape runs, minutes, pods)."""

    counts: Counts
    past_n: Ints
    past_x: Ints


PODS: Final = 4
PAST_MINUTES: Final = 60


def clusters(rng: np.random.Generator, runs: int, rps: float, p0: float, mean: float) -> Clustered:
    """Return equal revisions whose bad requests come in batches of one pod each: geometric sizes of a given mean."""
    share = WEIGHTS
    size = (runs, len(share))
    n_c = rng.poisson(rps * WINDOW * share, size)
    n_s = rng.poisson(rps * WINDOW * (1.0 - share), size)
    past_n = rng.poisson(rps * 60.0 / PODS, (runs, PAST_MINUTES, PODS))
    counts = Counts(n_c, _batches(rng, n_c, p0, mean), n_s, _batches(rng, n_s, p0, mean))
    return Clustered(counts, past_n, _batches(rng, past_n, p0, mean))


def _batches(rng: np.random.Generator, n: Ints, p0: float, mean: float) -> Ints:
    events = rng.poisson(n * p0 / mean)
    # A sum of k geometric sizes is k plus a negative binomial count.
    extra = np.where(events > 0, rng.negative_binomial(np.maximum(events, 1), 1.0 / mean), 0)
    return np.minimum(n, events + extra)
