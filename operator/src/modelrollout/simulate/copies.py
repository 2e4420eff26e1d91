"""Copies of requests: the comparer, which asks both revisions and counts, and what pods count of copies themselves.

Whoever answers copies answers as the version does to everybody. Both revisions' counts of the same copies are drawn
each on its own: a real comparer sends them the very same requests, which scatter less.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from modelrollout.api.strategy import Comparer
from modelrollout.core.comparer import digest
from modelrollout.core.observed import ComparerState
from modelrollout.core.split import COMPARER, Mirror
from modelrollout.simulate.pods import Batch, Dice, Grid
from modelrollout.simulate.stage import Stage
from modelrollout.simulate.traffic import PAIRED, Layout


@dataclass(eq=False)
class _Pod:
    """The comparer's pod."""

    stable: str
    candidate: str
    settings: str
    ready: float
    asked: Mapping[str, Batch]
    """What it counts of each revision."""
    pairs: Batch | None

    @property
    def batches(self) -> Iterator[Batch]:
        """Everything that it counts."""
        yield from self.asked.values()
        if self.pairs is not None:
            yield self.pairs


class Copies:
    """What copies of requests do and leave behind."""

    def __init__(self, stage: Stage, grid: Grid, random: np.random.Generator, dice: Dice) -> None:
        self._stage, self._grid, self._random, self._dice = stage, grid, random, dice
        self._pod: _Pod | None = None
        self._made = 0
        self.asked: dict[str, list[Batch]] = {}
        """By revision: requests, failures and times that comparers counted."""
        self.pairs: dict[str, Batch] = {}
        """By candidate: pairs of answers."""
        self.seen: dict[str, Batch] = {}
        """By revision: copies as its pods count them."""

    def ensure(self, stable: str, candidate: str, settings: Comparer, now: float) -> None:
        """Run a comparer; another one is ended."""
        self.delete(now)
        name, phase = (f"comparer-{self._made}",), self._phase()
        ready = now + self._stage.scenario.pod_start
        asked = {
            revision: Batch(self._grid, name, phase, self._stage.tables[revision], self._dice, ready)
            for revision in (stable, candidate)
        }
        pairs = self._pairs(name, phase, ready) if self._stage.pairs is not None else None
        for revision, batch in asked.items():
            self.asked.setdefault(revision, []).append(batch)
        if pairs is not None:
            self.pairs[candidate] = pairs
        self._pod = _Pod(stable, candidate, digest(settings), ready, asked, pairs)
        self._made += 1

    def delete(self, now: float) -> None:
        """End the comparer."""
        for batch in self._pod.batches if self._pod is not None else ():
            batch.change(now, np.zeros(1))
            batch.leave(now, 1)
        self._pod = None

    def state(self, now: float) -> ComparerState | None:
        """Return the comparer's Deployment."""
        pod = self._pod
        return None if pod is None else ComparerState(pod.stable, pod.candidate, pod.settings, pod.ready <= now)

    def next_change(self, now: float) -> float:
        """Return when the comparer becomes ready."""
        return self._pod.ready if self._pod is not None and self._pod.ready > now else math.inf

    def share_out(self, mirror: Mirror | None, ready: Mapping[str, int], now: float) -> None:
        """Send copies where they go; `ready` are the ready pods of each revision."""
        percent = mirror.percent / 100.0 if mirror is not None else 0.0
        to = mirror.to if mirror is not None else ""
        asked: tuple[str, ...] = (to,)
        if self._pod is not None:
            both = (self._pod.stable, self._pod.candidate)
            asks = to == COMPARER and self._pod.ready <= now and all(ready.get(revision) for revision in both)
            for batch in self._pod.batches:
                batch.change(now, np.full(1, percent if asks else 0.0))
            asked = both if asks else asked
        if not self._stage.pairs_at_steps and self._stage.pairs is not None:
            self._compared_by_others(ready, now)
        if self._dice.shape.predictions or self._dice.shape.inputs:
            self._at_pods({revision: percent for revision in asked if ready.get(revision)}, now)

    def _at_pods(self, loads: Mapping[str, float], now: float) -> None:
        for revision in loads:
            if revision not in self.seen:
                table, name = self._stage.tables[revision], (f"{revision}-copies",)
                self.seen[revision] = Batch(self._grid, name, self._phase(), table, self._dice, now)
        for revision, batch in self.seen.items():
            batch.change(now, np.full(1, loads.get(revision, 0.0)))

    def _compared_by_others(self, ready: Mapping[str, int], now: float) -> None:
        """Without a step that compares: something else looks at a part of all traffic while there is a candidate."""
        for _, revision in self._stage.templates:
            if ready.get(revision) and revision not in self.pairs:
                phase = self._phase()
                self.pairs[revision] = self._pairs(("comparer-0",), phase, now)
            if revision in self.pairs:
                self.pairs[revision].change(now, np.full(1, PAIRED if ready.get(revision) else 0.0))

    def _pairs(self, names: tuple[str, ...], phase: np.ndarray, ready: float) -> Batch:
        assert self._stage.pairs is not None  # noqa: S101
        dice = Dice(self._random, Layout(), 1.0)
        return Batch(self._grid, names, phase, self._stage.pairs, dice, ready)

    def _phase(self) -> np.ndarray:
        phase: np.ndarray = self._grid.window * (1.0 - self._random.random(1))
        return phase
