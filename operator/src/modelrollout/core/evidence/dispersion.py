"""Overdispersion: how much more bad requests scatter than independent ones would, measured on stable's past.

Bad requests that come in batches of size J carry less evidence than they seem to: with `phi >= E[J^2]/E[J]`, the
ratio of variance to mean, a likelihood ratio to the power 1/phi is an e-value again (compound Poisson counts). Two
looks at an hour of stable's counters measure it, each conditional on a total, so that a load or an incident that all
share inflates neither: how the bad requests of a minute spread over the pods, and how those of two adjacent minutes
divide between the two. The temporal look leaves out the worst of its blocks, so that one incident spoils none.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

Cell = tuple[int, int]
"""Requests and bad ones of one source in one stretch of time."""

ENOUGH: Final = 10
"""Bad requests in the past below which nothing can be said of their scatter."""
SURE: Final = 8
"""Terms that an estimate is made of at least; the scatter of fewer is itself mere chance."""
DEVIATIONS: Final = 2.5
"""Standard errors above 1 at which an estimate counts."""
BLOCK: Final = 10
"""Cells of one block of the temporal look."""
LARGEST: Final = 100.0


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What the past tells of the scatter; frozen for a rollout before its first window is counted."""

    phi: float = 1.0
    """Log likelihood ratios are divided by it; at least 1."""
    cap: float = math.inf
    """Most that one window may add to log E (nats)."""


@dataclass(slots=True)
class _Ratio:
    """Sum of squared deviations over sum of their expectations: 1 in the mean for independent events."""

    observed: float = 0.0
    expected: float = 0.0
    terms: int = 0

    def add(self, x: float, total: float, share: float) -> None:
        if total > 0.0 and 0.0 < share < 1.0:
            self.observed += (x - total * share) ** 2
            self.expected += total * share * (1.0 - share)
            self.terms += 1

    @property
    def value(self) -> float:
        return self.observed / self.expected if self.expected > 0.0 else 1.0

    @property
    def error(self) -> float:
        """Return the standard error of `value` relative to it."""
        return math.sqrt(2.0 / max(self.terms, 1))


def measure(cells: Sequence[Sequence[Cell]], alpha: float) -> Dispersion:
    """Measure on `cells[k][i]`, the counts of source i in minute k; `alpha` sets the cap where one is needed.

    Where the past is too short to tell, nothing is assumed but that one window alone must not decide; where bad
    requests do come in batches, likewise. An estimate counts once it is clearly above 1, and then with one standard
    error added: it is uncertain itself.
    """
    events = sum(x for minute in cells for _, x in minute)
    limit = -math.log(alpha)
    looks = [ratio for ratio in (_across_sources(cells), *_over_time(cells)) if ratio.terms >= SURE]
    if events < ENOUGH or not looks:
        return Dispersion(cap=limit * 2.0 / 3.0)
    phi = max(_inflated(ratio) for ratio in looks)
    if phi > 1.0:
        return Dispersion(min(phi, LARGEST), limit / 2.0)
    calm = all(ratio.value <= 1.0 + ratio.error for ratio in looks)
    return Dispersion() if calm else Dispersion(cap=limit * 2.0 / 3.0)


def _inflated(ratio: _Ratio) -> float:
    return 1.0 if ratio.value <= 1.0 + DEVIATIONS * ratio.error else ratio.value * (1.0 + ratio.error)


def _sum(minute: Sequence[Cell]) -> Cell:
    return sum(n for n, _ in minute), sum(x for _, x in minute)


def _across_sources(cells: Sequence[Sequence[Cell]]) -> _Ratio:
    ratio = _Ratio()
    for minute in cells:
        n, x = _sum(minute)
        for n_i, x_i in minute:
            ratio.add(x_i, x, n_i / n if n else 0.0)
    sources = max((len(minute) for minute in cells), default=0)
    ratio.terms = ratio.terms * max(sources - 1, 0) // max(sources, 1)
    return ratio


def _over_time(cells: Sequence[Sequence[Cell]]) -> Iterator[_Ratio]:
    """Yield what adjacent minutes tell, if anything: how they divide their bad requests.

    An incident begins and ends in pairs of minutes that say nothing of the usual scatter. So the worst block is left
    out where there are three, and the two worst where there are five.
    """
    minutes = [_sum(minute) for minute in cells]
    blocks = []
    for first in range(0, len(minutes), BLOCK):
        ratio = _Ratio()
        block = minutes[first : first + BLOCK]
        for (n, x), (m, y) in zip(block[::2], block[1::2], strict=False):
            ratio.add(x, x + y, n / (n + m) if n + m else 0.0)
        if ratio.terms:
            blocks.append(ratio)
    blocks.sort(key=lambda block: block.observed - block.expected)
    kept = blocks[: len(blocks) - (2 if len(blocks) >= 5 else len(blocks) // 3)]
    if kept:
        yield _Ratio(
            sum(block.observed for block in kept),
            sum(block.expected for block in kept),
            sum(block.terms for block in kept),
        )
