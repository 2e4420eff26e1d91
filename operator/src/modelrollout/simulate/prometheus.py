"""The synthetic Prometheus: what range queries over the pods' counters would return."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelrollout.core.actions import Watch
from modelrollout.core.evidence.stages import COMPARER
from modelrollout.core.evidence.windows import Past, Reading, Series
from modelrollout.simulate.cluster import Cluster
from modelrollout.simulate.curves import Floats
from modelrollout.simulate.pods import PAST_CELL, PAST_CELLS, Batch
from modelrollout.simulate.scenario import PrometheusDown, ScrapeGap
from modelrollout.simulate.traffic import Layout

COPIED: Final = ("predictions", "inputs")
"""What pods count of copies too; gateways count none of them."""
STALENESS: Final = 300.0
"""Seconds for which the newest sample stands for the present."""

Rows = NDArray[np.int64]
Values = Sequence[float | None]
Build = Callable[[Layout, str, Sequence[Values]], list[Series]]
"""Makes the series of one pod from the values of each of its counters."""


class Prometheus:
    """Answers a watch as the adapter's queries would."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._grid = cluster.grid
        events = cluster.stage.scenario.events
        self._down = [(e.at, e.at + e.duration) for e in events if isinstance(e, PrometheusDown)]
        gaps = [(e.at, e.at + e.duration, e.on) for e in events if isinstance(e, ScrapeGap)]
        self._gaps = {
            side: self._down + [(start, end) for start, end, on in gaps if on in (side, "both")]
            for side in ("stable", "candidate")
        }

        self._whole: dict[tuple[Batch, range], list[list[list[float]]] | None] = {}
        """What `_held_by_pod` found in the answer that is being made."""

    def down(self, time: float) -> bool:
        """Say whether queries fail."""
        return any(start <= time < end for start, end in self._down)

    def read(self, watch: Watch, until: int) -> dict[str, Reading]:
        """Answer every metric of a watch up to the instant `until` (Unix seconds)."""
        metrics = dict.fromkeys((*watch.metrics, *watch.past))
        if self.down(self._cluster.now):
            return dict.fromkeys(metrics, Reading(error="connection refused"))
        base, window = self._cluster.stage.base, self._grid.window
        rows = range((watch.since - base) // window, (until - base) // window + 1)
        self._whole.clear()
        instants = tuple(base + row * window for row in rows)
        return {
            name: Reading(
                instants,
                tuple(self._side(name, watch.stable, rows, watch.presets.get(name))),
                tuple(self._side(name, watch.candidate, rows, watch.presets.get(name))),
                past=self._past(name, watch) if name in watch.past else None,
            )
            for name in metrics
        }

    def ahead(self, watch: Watch, rows: range) -> bool:
        """Draw what one query after another would up to each row; True if all pods were scraped all the time."""
        first = (watch.since - self._cluster.stage.base) // self._grid.window
        fleets = [self._cluster.fleets.get(revision) for revision in (watch.stable, watch.candidate)]
        batches = [
            (side, batch)
            for side, fleet in zip(("stable", "candidate"), fleets, strict=True)
            for batch in (fleet.batches if fleet is not None else ())
        ]
        whole = range(first, rows.stop)
        if not all(self._plain(side, batch, whole) for side, batch in batches):
            return False
        for row in rows:
            for _, batch in batches:
                batch.reach(row)
        return True

    def _side(self, name: str, revision: str, rows: range, preset: str | None = None) -> list[Series]:
        if name == "agreement":
            pairs = self._cluster.copies.pairs.get(revision)
            return [] if pairs is None else self._series("errors", "candidate", pairs, rows)
        side = "stable" if revision == self._cluster.stage.stable else "candidate"
        if preset == COMPARER:
            side = "candidate"  # one pod counts both, and scrapes of it fail for both
        result: list[Series] = []
        for batch in self._counting(name, revision, preset):
            result += self._series(name, side, batch, rows)
        return result

    def _counting(self, name: str, revision: str, preset: str | None) -> Sequence[Batch]:
        """Return who counts a metric for a revision."""
        copies = self._cluster.copies
        if preset == COMPARER:
            return copies.asked.get(revision, ())
        fleet = self._cluster.fleets.get(revision)
        batches = list(fleet.batches) if fleet is not None else []
        if name in COPIED and revision in copies.seen:
            batches.append(copies.seen[revision])
        return batches

    def _series(self, name: str, side: str, batch: Batch, rows: range) -> list[Series]:
        if rows[-1] < batch.first_born:
            return []
        batch.reach(rows[-1])
        build, result = _BUILDERS[name], []
        columns = _columns(name, batch.dice.shape)
        whole = self._held_by_pod(side, batch, rows)
        if whole is not None:
            for pod, values in zip(batch.names, whole, strict=True):
                result += build(batch.dice.shape, pod, values[columns])
            return result
        for index, pod in enumerate(batch.names):
            seen = self._visible(side, batch, index, rows)
            if (seen >= 0).any():
                held: list[list[float]] = batch.held[seen, index, columns].T.tolist()
                there: list[bool] = (seen >= 0).tolist()
                counters = [
                    [one if known else None for one, known in zip(values, there, strict=True)] for values in held
                ]
                result += build(batch.dice.shape, pod, counters)
        return result

    def _held_by_pod(self, side: str, batch: Batch, rows: range) -> list[list[list[float]]] | None:
        """Return [pod][counter][row], all metrics at once; None where some pod was not scraped for some row."""
        if (batch, rows) not in self._whole:
            plain = self._plain(side, batch, rows)
            held = batch.held[rows[0] : rows[-1] + 1]
            self._whole[batch, rows] = held.transpose(1, 2, 0).tolist() if plain else None
        return self._whole[batch, rows]

    def _plain(self, side: str, batch: Batch, rows: range) -> bool:
        """Say whether every pod was scraped for every row."""
        first, last = self._grid.instant(rows[0] - 1), self._grid.instant(rows[-1])
        whole = batch.last_born <= rows[0] and batch.first_gone > last
        return whole and not any(start <= last and first - STALENESS <= end for start, end in self._gaps[side])

    def _visible(self, side: str, batch: Batch, pod: int, rows: range) -> Rows:
        """Return for each row the row whose scrape a query at its instant finds; -1 where it finds nothing."""
        asked, born = np.arange(rows[0], rows[-1] + 1), max(int(batch.born[pod]), 0)
        scrapes = np.arange(min(born, rows[0]), rows[-1] + 1)
        times = self._times(batch, pod, scrapes)
        missed = scrapes < born
        for start, end in self._gaps[side]:
            missed |= (start <= times) & (times < end)
        newest: Rows = np.maximum.accumulate(np.where(missed, -1, scrapes))[-len(rows) :]
        instants = asked * self._grid.window - self._grid.phase
        lost = (instants - self._times(batch, pod, newest) > STALENESS) | (instants >= batch.gone[pod])
        return np.where(lost, -1, newest)

    def _times(self, batch: Batch, pod: int, rows: Rows) -> Floats:
        """Return when a pod is scraped for these rows."""
        times: Floats = (rows - 1) * self._grid.window + batch.phases[pod] - self._grid.phase
        return times

    def _past(self, name: str, watch: Watch) -> Past:
        """Return stable's counters of the hour before `since`, a minute apart."""
        base = self._cluster.stage.base
        end = watch.since // PAST_CELL * PAST_CELL
        instants = tuple(end - PAST_CELL * index for index in range(PAST_CELLS, -1, -1))
        result: list[Series] = []
        for batch in self._counting(name, watch.stable, watch.presets.get(name)):
            held = [self._held(batch, instant - base - self._grid.phase) for instant in instants]
            columns = _columns(name, batch.dice.shape)
            for index, pod in enumerate(batch.names):
                if all(one is None for one in held):
                    continue
                values = [
                    tuple(None if one is None else float(one[index, column]) for one in held)
                    for column in range(columns.start, columns.stop)
                ]
                result += _BUILDERS[name](batch.dice.shape, pod, values)
        return Past(instants, tuple(result))

    def _held(self, batch: Batch, time: float) -> Floats | None:
        """Return what a batch's pods held at a time; None before they began."""
        if time < 0.0:
            cell = int(time // PAST_CELL) - 1
            return None if batch.past is None or -cell > len(batch.past) else batch.past[cell]
        row = self._grid.row(time) - 1
        if row < batch.last_born:
            return None
        batch.reach(row)
        held: Floats = batch.held[row]
        return held


_new = object.__new__
_set_bad, _set_le, _set_source, _set_values, _set_part, _set_cohort = (
    Series.__dict__[name].__set__ for name in ("bad", "le", "source", "values", "part", "cohort")
)


def _bucket(le: float, pod: str, values: Values) -> Series:
    """Make a series of a histogram: what most of a simulation's series are, in a third of the constructor's time."""
    made = _new(Series)
    _set_bad(made, False)
    _set_le(made, le)
    _set_source(made, pod)
    _set_values(made, tuple(values))
    _set_part(made, "")
    _set_cohort(made, None)
    return made


def _columns(name: str, shape: Layout) -> slice:
    """Return where a metric's counters are in `Batch.held`."""
    if name in ("errors", "slo"):
        return slice(0, 2)
    part = {"latency": shape.requests, "predictions": shape.predicted, "inputs": shape.binned}[name]
    return slice(part.start + 2, part.stop + 2)


def _outcomes(_: Layout, pod: str, values: Sequence[Values]) -> list[Series]:
    """Good and failed requests; the series of an error code is absent until its first error."""
    good, bad = values
    series = [Series(False, None, pod, tuple(good))]
    if any(bad):
        series.append(Series(True, None, pod, tuple(value or None for value in bad)))
    return series


def _latency(shape: Layout, pod: str, values: Sequence[Values]) -> list[Series]:
    return [_bucket(le, pod, held) for le, held in zip(shape.latency, values, strict=True)]


def _predictions(shape: Layout, pod: str, values: Sequence[Values]) -> list[Series]:
    return [_bucket(le, pod, held) for le, held in zip(shape.predictions, values, strict=True)]


def _inputs(_: Layout, pod: str, values: Sequence[Values]) -> list[Series]:
    return [Series(False, float(index), pod, tuple(held), "feature") for index, held in enumerate(values)]


_BUILDERS: Final[dict[str, Build]] = {
    "errors": _outcomes,
    "slo": _outcomes,
    "latency": _latency,
    "predictions": _predictions,
    "inputs": _inputs,
}
