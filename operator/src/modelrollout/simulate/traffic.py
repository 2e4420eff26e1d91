"""Expected traffic of each version over time, and the shape of what its pods count."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelrollout.simulate.curves import Floats
from modelrollout.simulate.scenario import Incident, Scenario, Spread, Version

BEFORE: Final = 600
"""Seconds before the template was applied that tables reach back to; what was then is as at second 0."""
GROWTH: Final = 1.25
FIRST_BOUND: Final = 0.001
LAST_BOUND: Final = 60.0
RARE: Final = 1e-4
"""Buckets beyond these tails of every version are left out: they would never count."""
PREDICTION_BOUNDS: Final = 20
INPUT_BINS: Final = 10
PAIRED: Final = 0.1
"""Share of all traffic that is compared while a candidate exists, where no step of the rollout says so."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a pod's counters have, as slices: all requests by latency, predictions and inputs."""

    latency: tuple[float, ...] = (math.inf,)
    """Upper bounds in seconds; without the metric one bucket that counts every request."""
    predictions: tuple[float, ...] = ()
    inputs: int = 0

    @property
    def requests(self) -> slice:
        """Columns that partition the requests."""
        return slice(0, len(self.latency))

    @property
    def predicted(self) -> slice:
        """Columns of the prediction histogram."""
        return slice(len(self.latency), len(self.latency) + len(self.predictions))

    @property
    def binned(self) -> slice:
        """Columns of the input bins."""
        start = self.predicted.stop
        return slice(start, start + self.inputs)

    @property
    def width(self) -> int:
        """Columns in all, without the failed requests."""
        return len(self.latency) + len(self.predictions) + self.inputs


def layout(scenario: Scenario, metrics: Sequence[str]) -> Layout:
    """Return the columns that these metrics need."""
    return Layout(
        latency=_latency_bounds(scenario) if "latency" in metrics else (math.inf,),
        predictions=_prediction_bounds(scenario) if "predictions" in metrics else (),
        inputs=INPUT_BINS if "inputs" in metrics else 0,
    )


def _latency_bounds(scenario: Scenario) -> tuple[float, ...]:
    """Return geometric bounds from 1 ms to 60 s, less those beyond every tail."""
    versions = [scenario.stable, scenario.candidate]
    versions += [event.candidate for event in scenario.events if event.name == "newTemplate"]  # type: ignore[union-attr]
    factors = [1.0, *(event.latency_factor for event in scenario.events if isinstance(event, Incident))]
    reach = 3.7  # standard deviations beyond which less than RARE is found
    medians = [value for version in versions for value in version.latency.median.values]
    sigma = max(value for version in versions for value in version.latency.sigma.values)
    low = min(medians) * min(factors) * math.exp(-reach * sigma)
    high = max(medians) * max(factors) * math.exp(reach * sigma) * GROWTH
    count = math.ceil(math.log(LAST_BOUND / FIRST_BOUND) / math.log(GROWTH))
    bounds = [FIRST_BOUND * GROWTH**index for index in range(count + 1)]
    kept = [bound for bound in bounds if low <= bound <= high]
    return (*(float(f"{bound:.4g}") for bound in kept or bounds[:1]), math.inf)


def _prediction_bounds(scenario: Scenario) -> tuple[float, ...]:
    spread = scenario.predictions.stable
    mean, sd = spread.mean.values[0], spread.sd.values[0]
    places = np.linspace(-4.0, 4.0, PREDICTION_BOUNDS)
    return (*(float(f"{mean + sd * place:.6g}") for place in places), math.inf)


@dataclass(frozen=True, slots=True)
class Expected:
    """Cumulative expectations of one version, were all traffic its own, second by second."""

    counts: Floats
    """[second, column of the layout]: expected counts since the table begins."""
    failed: Floats
    """[second]: expected failed requests."""

    def of(self, times: Floats) -> Floats:
        """Return the cumulative counts at some times; shape of `times` and a last axis of columns."""
        return _interpolated(self.counts, times)

    def failures(self, times: Floats) -> Floats:
        """Return the cumulative failed requests at some times."""
        return _interpolated(self.failed, times)

    @property
    def end(self) -> float:
        """The last second of the table."""
        return float(len(self.failed) - 1 - BEFORE)


def _interpolated(table: Floats, times: Floats) -> Floats:
    place = np.clip(times + BEFORE, 0.0, len(table) - 1.001)
    index = place.astype(np.int64)
    part = place - index
    low = table[index]
    weight = part[..., None] if table.ndim > 1 else part
    result: Floats = low + weight * (table[index + 1] - low)
    return result


def expected(scenario: Scenario, version: Version, shape: Layout, *, candidate: bool) -> Expected:
    """Tabulate a version: half way through each second, what it would do with all the traffic."""
    length = BEFORE + math.ceil(scenario.horizon) + 64 * scenario.window + 2
    middles = np.maximum(np.arange(length) - BEFORE + 0.5, 0.0)
    rate = scenario.traffic.rps.at(middles)
    failing, slower = _with_incidents(scenario, version, middles, candidate=candidate)
    columns = [_latency(version, slower, shape.latency, middles) * rate[:, None]]
    if shape.predictions:
        spread = scenario.predictions.candidate if candidate else scenario.predictions.stable
        columns.append(_predictions(spread, shape.predictions, middles) * rate[:, None])
    if shape.inputs:
        columns.append(np.repeat(rate[:, None] / shape.inputs, shape.inputs, axis=1))
    return Expected(_cumulative(np.concatenate(columns, axis=1)), _cumulative(rate * failing))


def compared(scenario: Scenario) -> Expected:
    """Tabulate the pairs of answers, were all traffic compared, and those that differ."""
    length = BEFORE + math.ceil(scenario.horizon) + 64 * scenario.window + 2
    middles = np.maximum(np.arange(length) - BEFORE + 0.5, 0.0)
    pairs = scenario.traffic.rps.at(middles)
    return Expected(_cumulative(pairs[:, None]), _cumulative(pairs * scenario.shadow.disagreement.at(middles)))


def _cumulative(per_second: Floats) -> Floats:
    zero = np.zeros((1, *per_second.shape[1:]))
    result: Floats = np.concatenate([zero, np.cumsum(per_second, axis=0)])
    return result


def _with_incidents(scenario: Scenario, version: Version, times: Floats, *, candidate: bool) -> tuple[Floats, Floats]:
    """Return the error rate and the latency factor; an incident fails requests that the version itself would not."""
    failing, slower = version.error_rate.at(times), np.ones_like(times)
    for event in scenario.events:
        if isinstance(event, Incident) and event.on in ("both", "candidate" if candidate else "stable"):
            during = (times >= event.at) & (times < event.at + event.duration)
            failing = np.where(during, 1.0 - (1.0 - failing) * (1.0 - event.error_rate), failing)
            slower = np.where(during, slower * event.latency_factor, slower)
    return failing, slower


def _latency(version: Version, slower: Floats, bounds: Sequence[float], times: Floats) -> Floats:
    """Return the share of requests in each bucket; [second, bucket]."""
    if len(bounds) == 1:
        return np.ones((len(times), 1))
    log_median = np.log(version.latency.median.at(times) * slower)
    return _shares(log_median, version.latency.sigma.at(times), np.log(np.array(bounds[:-1])))


def _predictions(spread: Spread, bounds: Sequence[float], times: Floats) -> Floats:
    return _shares(spread.mean.at(times), spread.sd.at(times), np.array(bounds[:-1]))


def _shares(mean: Floats, sd: Floats, bounds: Floats) -> Floats:
    """Return the normal probabilities between bounds, with both tails; rows that repeat are computed once."""
    rows, inverse = np.unique(np.stack([mean, sd], axis=1), axis=0, return_inverse=True)
    below = np.array([[_normal((bound - m) / s) for bound in bounds] for m, s in rows])
    edges = np.concatenate([np.zeros((len(rows), 1)), below, np.ones((len(rows), 1))], axis=1)
    result: Floats = np.diff(edges, axis=1)[inverse.reshape(-1)]
    return result


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
