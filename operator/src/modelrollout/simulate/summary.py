"""From many runs to numbers with their uncertainty."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence.rates import Margin, project_poisson
from modelrollout.core.strategies import reports_only, steps_of
from modelrollout.simulate.result import Result
from modelrollout.simulate.stage import Stage

OUTCOMES: Final = ("promoted", "rolledBack", "paused", "open")
REPORTED: Final = "reported"
"""What a rollout ends with that only shadows, in place of promoted."""
CONFIDENCE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Summary:
    """What many runs of one scenario came to."""

    stage: Stage
    seed: int
    results: Sequence[Result]

    def count(self, outcome: str) -> int:
        """Return the runs with an outcome."""
        return sum(result.outcome == outcome for result in self.results)

    def times(self, outcome: str) -> list[float]:
        """Return the times of the runs with an outcome, in seconds from the candidate's first traffic."""
        return [result.time for result in self.results if result.outcome == outcome and result.time is not None]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that there can be."""
        return (*OUTCOMES, REPORTED) if reports_only(self.stage.rollout.spec) else OUTCOMES

    @property
    def violations(self) -> int:
        """Ordering rules broken, over all runs."""
        return sum(len(result.broken) for result in self.results)


def spread(times: Sequence[float]) -> dict[str, float | None]:
    """Return median, 95th percentile and maximum; null for none."""
    if not times:
        return {"median_s": None, "p95_s": None, "max_s": None}
    median, p95 = (float(np.percentile(times, share)) for share in (50, 95))
    return {"median_s": rounded(median), "p95_s": rounded(p95), "max_s": rounded(max(times))}


def rounded(value: float | None) -> float | None:
    """Return a number for a report."""
    return None if value is None else round(value, 3)


def proportion(count: int, runs: int) -> dict[str, Any]:
    """Return a share of the runs with its exact interval."""
    low, high = clopper_pearson(count, runs, CONFIDENCE)
    return {"value": round(count / runs, 6), "ci99": [round(low, 6), round(high, 6)]}


def clopper_pearson(count: int, runs: int, confidence: float) -> tuple[float, float]:
    """Return the exact interval of a proportion: no rate within it makes the count unlikelier than it may be."""
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else _bisect(lambda p: 1.0 - _binomial_cdf(count - 1, runs, p) < tail)
    high = 1.0 if count == runs else _bisect(lambda p: _binomial_cdf(count, runs, p) > tail)
    return low, high


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if below(middle):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _binomial_cdf(count: int, runs: int, p: float) -> float:
    """Return P(X <= count)."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 or count >= runs else 0.0
    k = np.arange(count + 1)
    terms = _log_choose(count, runs) + k * math.log(p) + (runs - k) * math.log1p(-p)
    return float(min(1.0, np.exp(terms).sum()))


@lru_cache(maxsize=2)
def _log_choose(count: int, runs: int) -> np.ndarray:
    """Return the logarithms of the binomial coefficients of 0 to `count`: the same at every rate that is tried."""
    return math.lgamma(runs + 1) - np.array([math.lgamma(k + 1) + math.lgamma(runs - k + 1) for k in range(count + 1)])


def bound(summary: Summary) -> float | None:
    """Return when log(1/alpha) nats about errors were available, in seconds from the candidate's first traffic.

    What a second of traffic is worth is the least divergence of the truth from "tolerable" (Wald, Lorden): the
    minimum over the null of `n_c KL(p_c|.) + n_s KL(p_s|.)`. Weights are the mean over the runs still undecided.
    None where the horizon comes first, and where a shadow tells of errors before users meet any.
    """
    analysis, scenario = summary.stage.rollout.spec.analysis, summary.stage.scenario
    metric = next((metric for metric in analysis.metrics if metric.name == "errors"), None)
    started = [result for result in summary.results if result.first is not None]
    shadow = any(step.shadow is not None for step in steps_of(summary.stage.rollout.spec))
    if metric is None or not started or shadow:
        return None
    first = float(np.mean([result.first for result in started if result.first is not None]))
    weights = _mean_weights(started, int(scenario.horizon - first))
    nats = np.cumsum(_nats(summary.stage, metric, first, weights))
    enough = np.flatnonzero(nats >= needed_nats(analysis))
    return float(enough[0] + 1) if len(enough) else None


def needed_nats(analysis: Analysis) -> float:
    """Return log(1/alpha)."""
    return -math.log(parse_percent(analysis.false_rollback))


def _mean_weights(results: Sequence[Result], seconds: int) -> np.ndarray:
    """Return the candidate's mean share for each second since its first traffic; the last one known goes on."""
    total, runs = np.zeros(max(1, seconds)), np.zeros(max(1, seconds))
    for result in results:
        start = result.first or 0.0
        path = result.path
        end = seconds if result.time is None else math.ceil(result.time)
        for index, (at, weight) in enumerate(path):
            until = min(end, round(path[index + 1][0] - start) if index + 1 < len(path) else end)
            total[round(at - start) : until] += weight
            runs[round(at - start) : until] += 1
    known = np.flatnonzero(runs)
    if not len(known):
        return total
    mean = np.divide(total, runs, out=np.zeros_like(total), where=runs > 0)
    filled: np.ndarray = mean[np.maximum.accumulate(np.where(runs > 0, np.arange(len(runs)), known[0]))]
    return filled / 100.0


def _nats(stage: Stage, metric: Metric, first: float, weights: np.ndarray) -> np.ndarray:
    """Return the nats that each second is worth."""
    times = first + np.arange(len(weights) + 1.0)
    last = stage.templates[-1][1]
    rate = np.diff(stage.tables[last].of(times)[:, stage.shape.requests].sum(axis=-1))
    failing = [np.diff(stage.tables[name].failures(times)) for name in (last, stage.stable)]
    relative, absolute = metric.tolerated
    margin = Margin(1.0 + relative, absolute)
    known: dict[tuple[float, float, float, float], float] = {}
    result = np.zeros(len(weights))
    for index, (requests, weight) in enumerate(zip(rate, weights, strict=True)):
        if requests <= 0.0 or not 0.0 < weight < 1.0:
            continue
        p_c, p_s = (float(one[index] / requests) for one in failing)
        key = (round(weight, 4), round(p_c, 8), round(p_s, 8), round(float(requests), 4))
        if key not in known:
            known[key] = float(requests) * divergence(p_c, p_s, float(weight), margin)
        result[index] = known[key]
    return result


def divergence(p_c: float, p_s: float, weight: float, margin: Margin) -> float:
    """Return the nats of one request: how far rates are from the nearest ones that would be tolerated."""
    if p_c <= margin.of(p_s):
        return 0.0
    scale = 1_000_000
    null_c, null_s = project_poisson(p_c, max(p_s, 1e-12), round(weight * scale), round((1.0 - weight) * scale), margin)
    return weight * _kl(p_c, null_c) + (1.0 - weight) * _kl(p_s, null_s)


def _kl(p: float, q: float) -> float:
    """Return the divergence of Poisson counts at rate p from those at rate q."""
    return (p * math.log(p / q) if p > 0.0 else 0.0) - p + q
