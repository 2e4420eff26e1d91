"""What a rollout of a version as good as stable would be like: evidence to be earned, and how long that takes."""

import math
from dataclasses import dataclass
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis, Spec
from modelrollout.api.strategy import Step
from modelrollout.api.units import parse_duration, parse_percent
from modelrollout.core.capacity import pods_for
from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.metrics.latency import BUDGET_FACTOR
from modelrollout.core.evidence.rates import Margin, project_bernoulli, project_poisson
from modelrollout.core.settings import Settings
from modelrollout.core.strategies import steps_of

SLOW: Final = 0.1
"""Share of stable's requests above the latency boundary at which safety is shown: nearest to its 90th percentile."""
APPLY: Final = 1.0
"""Seconds until the gateway confirms a weight."""
_SCALE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Need:
    """What one metric has to show at one step."""

    metric: str
    margin: float | None
    """The candidate must be shown to be less than this above stable's rate; None where that cannot be told."""
    requests: int | None
    """Candidate requests that takes, about, for a version exactly as good as stable."""
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the strategy."""

    name: str
    weight: int
    pods: int
    """Pods of the candidate."""
    needs: tuple[Need, ...]
    least: float | None
    """Least seconds at this step, whatever the evidence; None: until a person goes on."""
    seconds: float | None
    """Expected seconds at this step; None where no traffic, or a person, decides."""
    longest: float | None
    """maxDuration in seconds."""
    on_timeout: str | None
    next_weight: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The whole rollout."""

    stages: tuple[Stage, ...]
    guard: float
    """Seconds that the previous version stays ready after promotion."""
    not_estimated: tuple[str, ...]
    """Metrics whose wait depends on more than errors and traffic."""

    @property
    def until_promotion(self) -> float | None:
        """Seconds from the first traffic to promotion; None where a step has no end of its own."""
        parts = [stage.seconds for stage in self.stages]
        return None if None in parts else math.fsum(part for part in parts if part is not None)

    @property
    def requests(self) -> float:
        """Candidate requests that the evidence of all steps takes."""
        return math.fsum(max((need.requests or 0 for need in stage.needs), default=0) for stage in self.stages)


def forecast(spec: Spec, rps: float, error_rate: float, settings: Settings | None = None) -> Forecast:
    """Return what to expect at `rps` requests a second of which stable fails `error_rate`."""
    settings = settings or Settings()
    steps = steps_of(spec)
    stages, weight = [], 0
    for index, step in enumerate(steps):
        weight = weight if step.weight is None else step.weight
        following = next((later.weight for later in steps[index + 1 :] if later.weight is not None), 100)
        stages.append(_stage(spec, step, weight, following, (rps, error_rate), settings))
    known = ("errors", "latency", "slo", "inputs")
    others = tuple(metric.name for metric in spec.analysis.metrics if metric.name not in known)
    return Forecast(tuple(stages), parse_duration(spec.strategy.guard.duration).total_seconds(), others)


def _stage(  # noqa: PLR0913, PLR0917
    spec: Spec, step: Step, weight: int, following: int, load: tuple[float, float], settings: Settings
) -> Stage:
    pods = pods_for(spec, weight).candidate if weight else 0
    if step.weight is None:
        pause = step.pause.duration if step.pause else None
        least = None if pause is None else parse_duration(pause).total_seconds()
        return Stage(step.name, weight, pods, (), least, least, None, None, following)
    least = parse_duration(step.min_duration or spec.strategy.min_step_duration).total_seconds()
    needs = tuple(
        need for metric in spec.analysis.metrics if (need := _need(metric, spec.analysis, weight, following, load))
    )
    waits = [need.seconds for need in needs]
    begin = APPLY + settings.settle.total_seconds() + settings.window / 2.0
    seconds = None if None in waits else max(least, begin + max((_whole(wait, settings) for wait in waits), default=0))
    longest = parse_duration(step.max_duration).total_seconds() if step.max_duration else None
    if longest is not None and (seconds is None or seconds > longest) and step.on_timeout != "Pause":
        seconds = longest
    return Stage(
        step.name, weight, pods, needs, least, seconds, longest, step.on_timeout if longest else None, following
    )


def _whole(wait: float | None, settings: Settings) -> float:
    """Return a wait in whole windows, one at least."""
    return settings.window * max(1.0, math.ceil((wait or 0.0) / settings.window))


def _need(metric: Metric, analysis: Analysis, weight: int, following: int, load: tuple[float, float]) -> Need | None:
    """Return what errors or latency have to show; None for other metrics."""
    rps, error_rate = load
    budget = parse_percent(analysis.harm_budget) / (following / 100.0)
    if metric.name == "errors":
        relative, absolute = metric.tolerated
        margin = Margin(1.0 + relative, min(0.5, absolute + budget))
        rate, bernoulli = max(error_rate, 1e-6), False
    elif metric.name == "latency":
        margin, rate, bernoulli = Margin(1.0, min(0.5, budget * BUDGET_FACTOR)), SLOW, True
    else:
        return None
    gain = _gain(rate, weight / 100.0, margin, bernoulli=bernoulli)
    # So much of the wealth is on the alternatives "exactly as good as stable".
    share = eprocess.SAFETY_PRIOR[0] + eprocess.SAFETY_PRIOR[2]
    nats = -math.log(parse_percent(analysis.false_promotion)) - math.log(share)
    requests = math.ceil(nats / gain)
    flow = rps * weight / 100.0
    return Need(metric.name, margin.of(rate) - rate, requests, requests / flow if flow > 0.0 else None)


def _gain(rate: float, weight: float, margin: Margin, *, bernoulli: bool) -> float:
    """Return the nats that one candidate request is worth when both versions have the same rate."""
    weight = min(weight, 0.999)
    n_c, n_s = round(weight * _SCALE), round((1.0 - weight) * _SCALE)
    project, divergence = (project_bernoulli, _bernoulli) if bernoulli else (project_poisson, _poisson)
    null_c, null_s = project(rate, rate, n_c, n_s, margin)
    return divergence(rate, null_c) + (1.0 - weight) / weight * divergence(rate, null_s)


def _poisson(p: float, q: float) -> float:
    return p * math.log(p / q) - p + q


def _bernoulli(p: float, q: float) -> float:
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
