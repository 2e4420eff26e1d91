"""What a rollout of a version as good as stable would be like: evidence to be earned, and how long that takes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis, Spec
from modelrollout.api.strategy import Step
from modelrollout.api.units import parse_duration, parse_percent
from modelrollout.core.automation import mode_of
from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.judge import measured
from modelrollout.core.evidence.metrics.latency import BUDGET_FACTOR
from modelrollout.core.evidence.rates import Margin, project_bernoulli, project_poisson
from modelrollout.core.settings import Settings
from modelrollout.core.strategies import first_weight, reports_only, stage_at, steps_of
from modelrollout.simulate.room import pods_at

SLOW: Final = 0.1
"""Share of stable's requests above the latency boundary at which safety is shown: nearest to its 90th percentile."""
APPLY: Final = 1.0
"""Seconds until the gateway confirms a weight."""
REQUESTS: Final = "requests"
_SCALE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Need:
    """What one metric has to show at one step."""

    metric: str
    """Its name; REQUESTS for a number of requests that has to be seen, whatever they show."""
    margin: float | None
    """The candidate must be shown to be less than this above stable's rate; None where that cannot be told."""
    requests: int | None
    """Candidate requests that takes, about, for a version exactly as good as stable."""
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the strategy."""

    name: str
    kind: str
    weight: int
    """Per cent of the requests of users at it; 0 in a shadow, and where requests are chosen by what they carry."""
    pods: int
    """Pods of the candidate."""
    needs: tuple[Need, ...]
    least: float | None
    """Least seconds at this step, whatever the evidence; None: until a person goes on."""
    seconds: float | None
    """Expected seconds at this step; None where no traffic, or a person, decides."""
    asks: bool
    """Whether a person decides."""
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


@dataclass(frozen=True, slots=True)
class _Flow:
    """Requests at a step that are compared."""

    rps: float
    """Of the candidate."""
    share: float
    """The candidate's part of what is compared."""
    error_rate: float
    """Of stable."""
    following: int


def forecast(spec: Spec, rps: float, error_rate: float, settings: Settings | None = None) -> Forecast:
    """Return what to expect at `rps` requests a second of which stable fails `error_rate`."""
    settings = settings or Settings()
    steps = steps_of(spec)
    stages, weight, others = [], 0, []
    for index, step in enumerate(steps):
        weight = weight if step.weight is None else step.weight
        stages.append(_stage(spec, index, weight, (rps, error_rate), settings))
        if step.gate is not None and step.gate.approval is None:
            others.append(f"gate {step.gate.title}")
    names = [name for step in steps for name in _names(spec, step)]
    others += [name for name in dict.fromkeys(names) if name not in ("errors", "latency", "slo", "inputs")]
    return Forecast(tuple(stages), parse_duration(spec.strategy.guard.duration).total_seconds(), tuple(others))


def _names(spec: Spec, step: Step) -> tuple[str, ...]:
    """Return the metrics that look at a step."""
    return measured(spec.analysis, stage_at(spec, step)) if step.kind in ("shadow", "weight", "match") else ()


def _flow(spec: Spec, index: int, load: tuple[float, float]) -> _Flow | None:
    """Return what is compared at a step; None where nothing is."""
    steps, (rps, error_rate) = steps_of(spec), load
    step, following = steps[index], first_weight(steps[index + 1 :])
    if step.weight is not None and not step.whole:
        return _Flow(rps * step.weight / 100.0, step.weight / 100.0, error_rate, following)
    if step.match is not None:
        return _Flow(rps * step.match.share / 100.0, step.match.share / 100.0, error_rate, following)
    if step.shadow is not None and step.shadow.comparer.enabled:
        return _Flow(rps * step.shadow.percent / 100.0, 0.5, error_rate, following)
    return None


def _stage(spec: Spec, index: int, weight: int, load: tuple[float, float], settings: Settings) -> Stage:
    step = steps_of(spec)[index]
    pods, flow = pods_at(spec, index).candidate, _flow(spec, index, load)
    needs = tuple(_needs(spec, step, flow)) if flow is not None else ()
    least, seconds = _lasts(spec, step, [need.seconds for need in needs], settings)
    asks = _asks(spec, step)
    if asks:
        seconds = None
    longest = parse_duration(step.max_duration).total_seconds() if step.max_duration else None
    if longest is not None and (seconds is None or seconds > longest) and step.on_timeout != "Pause":
        seconds = longest
    timeout = step.on_timeout if longest else None
    following = first_weight(steps_of(spec)[index + 1 :])
    return Stage(
        step.name, step.kind, weight, pods, needs, least, seconds, asks, longest, timeout, next_weight=following
    )


def _lasts(spec: Spec, step: Step, waits: list[float | None], settings: Settings) -> tuple[float | None, float | None]:
    """Return the least and the expected seconds at a step, None where no clock tells."""
    if step.pause is not None:
        pause = parse_duration(step.pause.duration).total_seconds() if step.pause.duration else None
        return pause, pause
    if step.whole or step.gate is not None:
        return 0.0, 0.0
    least = parse_duration(step.min_duration or spec.strategy.min_step_duration).total_seconds()
    begin = APPLY + settings.settle.total_seconds() + settings.window / 2.0
    if None in waits or (step.shadow is not None and not step.shadow.comparer.enabled):
        return least, None
    return least, max(least, begin + max((_whole(wait, settings) for wait in waits), default=0))


def _asks(spec: Spec, step: Step) -> bool:
    """Say whether the step ends with a person's word."""
    if step.pause is not None and step.pause.duration is None:
        return True
    if step.gate is not None and step.gate.approval is not None:
        return True
    last = reports_only(spec) and step is steps_of(spec)[-1]
    return mode_of(spec.strategy, step, "promotion") == "manual" and not step.whole and not last


def _needs(spec: Spec, step: Step, flow: _Flow) -> Iterator[Need]:
    names = _names(spec, step)
    for metric in spec.analysis.metrics:
        if metric.name in names and (need := _need(metric, spec.analysis, flow)) is not None:
            yield need
    if step.match is not None and step.match.min_requests:
        fewer = flow.rps * min(1.0, (1.0 - flow.share) / flow.share)
        least = step.match.min_requests
        yield Need(REQUESTS, None, least, least / fewer if fewer > 0.0 else None)


def _whole(wait: float | None, settings: Settings) -> float:
    """Return a wait in whole windows, one at least."""
    return settings.window * max(1.0, math.ceil((wait or 0.0) / settings.window))


def _need(metric: Metric, analysis: Analysis, flow: _Flow) -> Need | None:
    """Return what errors or latency have to show; None for other metrics."""
    budget = parse_percent(analysis.harm_budget) / (flow.following / 100.0)
    if metric.name == "errors":
        relative, absolute = metric.tolerated
        margin = Margin(1.0 + relative, min(0.5, absolute + budget))
        rate, bernoulli = max(flow.error_rate, 1e-6), False
    elif metric.name == "latency":
        margin, rate, bernoulli = Margin(1.0, min(0.5, budget * BUDGET_FACTOR)), SLOW, True
    else:
        return None
    gain = _gain(rate, flow.share, margin, bernoulli=bernoulli)
    # So much of the wealth is on the alternatives "exactly as good as stable".
    share = eprocess.SAFETY_PRIOR[0] + eprocess.SAFETY_PRIOR[2]
    nats = -math.log(parse_percent(analysis.false_promotion)) - math.log(share)
    requests = math.ceil(nats / gain)
    seconds = requests / flow.rps if flow.rps > 0.0 else None
    return Need(metric.name, margin.of(rate) - rate, requests, seconds)


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
