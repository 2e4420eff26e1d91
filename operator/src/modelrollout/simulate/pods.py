"""Pods that count: increments drawn scrape by scrape, each pod on its own phase."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelrollout.simulate.curves import Floats
from modelrollout.simulate.traffic import Expected, Layout

AHEAD: Final = 24
"""Windows drawn at once; what a change of the split makes untrue is drawn again from there on."""
PAST_CELLS: Final = 60
PAST_CELL: Final = 60
"""The hour before evidence begins, in cells of a minute."""
PAST_DRAWN: Final = PAST_CELLS + 8
"""Evidence may begin a little before the template was applied: the grid is that of the clock."""
LIFETIME: Final = 20 * 3600
"""Seconds that pods of stable served before that hour."""

Counts = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of evidence, in scenario time (seconds after the template was applied)."""

    window: int
    phase: float
    """Seconds from the instant of row 0 to second 0."""
    rows: int

    def instant(self, row: int) -> float:
        """Return the time of a row's instant."""
        return row * self.window - self.phase

    def row(self, time: float) -> int:
        """Return the row of the first instant after `time`."""
        return int((time + self.phase) // self.window) + 1


@dataclass(frozen=True, slots=True)
class Dice:
    """How increments are drawn."""

    random: np.random.Generator
    shape: Layout
    cluster: float
    """Mean size of a batch of errors."""

    def increments(self, mean: Floats, failing: Floats) -> Floats:
        """Draw increments; [scrape, pod, counter] from [scrape, pod, column] and [scrape, pod]."""
        counts = self.random.poisson(np.maximum(mean, 0.0))
        parts = self.shape
        requests = counts[..., parts.requests].sum(axis=-1)
        bad = self._failures(requests, mean[..., parts.requests].sum(axis=-1), failing)
        columns = [(requests - bad)[..., None], bad[..., None], np.cumsum(counts[..., parts.requests], axis=-1)]
        if parts.predictions:
            columns.append(np.cumsum(counts[..., parts.predicted], axis=-1))
        if parts.inputs:
            columns.append(counts[..., parts.binned])
        return np.concatenate(columns, axis=-1).astype(np.float64)

    def _failures(self, requests: Counts, mean: Floats, failing: Floats) -> Counts:
        """Draw how many requests fail: each by itself, or in batches of geometric size at the same mean rate."""
        if self.cluster <= 1.0:
            rate = np.divide(failing, mean, out=np.zeros_like(mean), where=mean > 0.0)
            return self.random.binomial(requests, np.clip(rate, 0.0, 1.0))
        batches = self.random.poisson(np.maximum(failing, 0.0) / self.cluster)
        more = self.random.negative_binomial(np.maximum(batches, 1), 1.0 / self.cluster)
        return np.minimum(requests, np.where(batches > 0, batches + more, 0))


@dataclass(eq=False)
class Batch:
    """Pods of one revision that were created together.

    `held[row, pod]` is what the newest scrape at or before a row's instant holds: good requests, failed ones, then
    the cumulative counts of the layout's histograms.
    """

    grid: Grid
    names: tuple[str, ...]
    phases: Floats
    """Seconds after a grid instant at which each pod is scraped; above 0, at most a window."""
    table: Expected
    dice: Dice
    ready: float
    """When they begin to serve and to be scraped."""
    base: Floats | None = None
    """[pod, counter]: what they hold when they begin; nothing when left out."""
    past: Floats | None = None
    """[cell, pod, counter]: what they held each minute of the hour before; the last cell ends at second 0."""

    def __post_init__(self) -> None:
        pods, width = len(self.names), self.dice.shape.width
        self.load: Floats = np.zeros(pods)
        """Share of all traffic that each pod gets now."""
        self.gone: Floats = np.full(pods, np.inf)
        """When each pod is gone."""
        self.first_gone, self.alive = math.inf, pods
        self.held: Floats = np.zeros((self.grid.rows + AHEAD + 2, pods, 2 + width))
        self._from: Floats = np.zeros((pods, 2 + width)) if self.base is None else self.base.copy()
        self._next = self._from
        self._carry: tuple[Floats, Floats] | None = np.zeros((pods, width)), np.zeros(pods)
        self._owed: tuple[Floats, Floats] | None = None
        self._changed = self.ready
        self._start: Floats = np.full(pods, self.ready)
        self._done = self.grid.row(self.ready) - 1
        if self._done >= 0:
            self.held[self._done] = self._from
        late = self.scraped(self._done + 1) <= self.ready
        self.born = np.where(late, self._done + 2, self._done + 1)
        """Row of each pod's first scrape."""
        if self.base is not None:
            self.born[:] = 0
        self.first_born, self.last_born = int(self.born.min()), int(self.born.max())

    def leave(self, time: float, pods: int) -> int:
        """Let the youngest pods go, so many at most; returns how many went."""
        alive = np.flatnonzero(self.gone > time)
        leaving = alive[max(0, len(alive) - pods) :]
        if len(leaving):
            self.gone[leaving], self.first_gone = time, min(self.first_gone, time)
            self.alive -= len(leaving)
        return len(leaving)

    def scraped(self, row: int) -> Floats:
        """Return when each pod is scraped for a row."""
        times: Floats = (row - 1) * self.grid.window + self.phases - self.grid.phase
        return times

    def change(self, time: float, load: Floats) -> None:
        """Give each pod another share of traffic from `time` on."""
        if time >= self.ready and not np.array_equal(load, self.load):
            self._cut(time)
            self.load = load

    def restart(self, time: float, pod: int) -> None:
        """Let a pod's counters start again at 0."""
        if time < self.ready:
            return
        self._cut(time)
        carry, failed = self._carry or (np.zeros(0), np.zeros(0))
        self._from[pod], carry[pod], failed[pod] = 0.0, 0.0, 0.0

    def reach(self, row: int) -> None:
        """Draw up to a row at least."""
        if row > self._done:
            self._draw(min(max(row, self._done + AHEAD), len(self.held) - 1))

    def mark(self) -> Callable[[], None]:
        """Return what takes back all that is drawn from now on; the dice are the caller's to take back."""
        done, held, start, owed = self._done, self._next, self._start, self._owed

        def undo() -> None:
            self._done, self._next, self._start, self._owed = done, held, start, owed

        return undo

    def _cut(self, time: float) -> None:
        """Forget what was drawn after `time`; the part of a scrape's interval before it stays as expected then."""
        row = self.grid.row(time)
        last, now = self.scraped(row - 1), self.scraped(row)
        done = now <= time
        self.reach(row if bool(done.any()) else row - 1)
        last = np.where(done, now, last)
        fresh = last >= self._changed
        held = np.where(done[:, None], self.held[row], self.held[max(0, row - 1)])
        since, at = np.where(fresh, last, self._changed), np.full(len(self.names), time)
        carry, failed = self._carry or (np.zeros((len(self.names), self.dice.shape.width)), np.zeros(len(self.names)))
        grown = self.load[:, None] * (self.table.of(at) - self.table.of(since))
        failing = self.load * (self.table.failures(at) - self.table.failures(since))
        self._carry = np.where(fresh[:, None], 0.0, carry) + grown, np.where(fresh, 0.0, failed) + failing
        self._from = np.where(fresh[:, None], held, self._from)
        self._next, self._owed = self._from, self._carry
        self._changed, self._start, self._done = time, at, row - 1

    def _draw(self, until: int) -> None:
        """Draw the increments of rows up to `until`."""
        rows = np.arange(self._done + 1, until + 1)
        times = (rows[:, None] - 1) * self.grid.window + self.phases - self.grid.phase
        times = np.maximum(times, self._start)
        ends = np.concatenate([self._start[None], times])
        mean = self.load[:, None] * np.diff(self.table.of(ends), axis=0)
        failing = self.load * np.diff(self.table.failures(ends), axis=0)
        if self._owed is not None:
            # What was expected before the last change is due at the first scrape after it.
            first, pods = np.argmax(times > self._start, axis=0), np.arange(len(self.names))
            mean[first, pods] += self._owed[0]
            failing[first, pods] += self._owed[1]
            self._owed = None
        self.held[rows] = self._next + np.cumsum(self.dice.increments(mean, failing), axis=0)
        self._next, self._start, self._done = self.held[until], times[-1], until


def past_of(table: Expected, dice: Dice, pods: int, load: float) -> Floats:
    """Draw the hour before the template was applied, at the traffic of second 0; [minute, pod, counter]."""
    ends = np.array([-1.0, 0.0])
    mean = load * np.diff(table.of(ends), axis=0)[0]
    failing = load * float(np.diff(table.failures(ends))[0])
    cells = (PAST_DRAWN, pods)
    grown = dice.increments(np.broadcast_to(mean * PAST_CELL, (*cells, len(mean))), np.full(cells, failing * PAST_CELL))
    before = dice.increments(
        np.broadcast_to(mean * LIFETIME, (1, pods, len(mean))), np.full((1, pods), failing * LIFETIME)
    )
    result: Floats = np.cumsum(np.concatenate([before, grown]), axis=0)
    return result
