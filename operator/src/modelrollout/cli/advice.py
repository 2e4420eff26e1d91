"""What is allowed in a rollout and yet risky, in words that say why and what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.units import format_duration, parse_percent
from modelrollout.cli import strategy_advice
from modelrollout.cli.strategy_advice import Advice, Place
from modelrollout.simulate.forecast import REQUESTS, forecast

LONG: Final = 6 * 3600.0
"""Seconds at one step after which its gate is more of a standstill."""
USUAL_ERRORS: Final = 0.001


def advice(rollout: ModelRollout, rps: float | None) -> Advice:
    """Yield field and words for each risky setting; `rps` is the expected traffic, where it is known."""
    for part in _PARTS:
        yield from part(rollout.spec)
    if rps is not None:
        yield from _waits(rollout.spec, rps)


def _replicas(spec: Spec) -> Advice:
    if spec.replicas == 0:
        yield ("spec", "replicas"), "0 pods: a new version is promoted without any evidence"
    elif spec.replicas == 1:
        yield (
            ("spec", "replicas"),
            "1 pod: one bad node looks like a bad version, and errors that come in batches cannot be told from it; "
            "run 2 or more",
        )


def _analysis(spec: Spec) -> Advice:
    analysis, base = spec.analysis, ("spec", "analysis")
    for name, field, value, most in (
        ("harmBudget", "extra failed requests of all traffic", analysis.harm_budget, 0.02),
        ("falseRollback", "good versions rolled back", analysis.false_rollback, 0.05),
        ("falsePromotion", "bad versions let through a step", analysis.false_promotion, 0.2),
    ):
        if parse_percent(value) > most:
            yield (*base, name), f"{value} is a lot of {field}; up to {100 * most:g}% is usual"
    if not any(metric.name in ("errors", "slo") for metric in analysis.metrics):
        yield (*base, "metrics"), "nothing looks at failed requests; add {name: errors}"
    for index, metric in enumerate(analysis.metrics):
        relative, absolute = metric.tolerated
        tight = metric.name == "errors" and relative < 0.05 and absolute < 0.0001
        if tight or (metric.name == "latency" and relative < 0.02):
            yield (
                (*base, "metrics", index, "maxIncrease"),
                "hardly anything is tolerated: at high traffic a difference that no user notices rolls back; "
                "the default tolerates a quarter",
            )


def _template(spec: Spec) -> Advice:
    container: dict[str, Any] = spec.template["spec"]["containers"][0]
    base: Place = ("spec", "template", "spec", "containers", 0)
    image = str(container["image"])
    name = image.rpartition("/")[2]
    if "@" not in name and (":" not in name or name.endswith(":latest")):
        yield (
            (*base, "image"),
            f"{image} names no fixed version: a new image behind the same name starts no rollout; write a tag or a "
            "digest",
        )
    if "readinessProbe" not in container:
        yield (
            base,
            "no readinessProbe: pods count as ready while the model still loads, and get traffic; add one",
        )


_PARTS: Final[tuple[Callable[[Spec], Advice], ...]] = (_replicas, *strategy_advice.PARTS, _analysis, _template)


def _waits(spec: Spec, rps: float) -> Advice:
    """Compare the evidence that each step needs with the traffic there is."""
    for index, stage in enumerate(forecast(spec, rps, USUAL_ERRORS).stages):
        place: Place = ("spec", "strategy", "steps", index) if spec.strategy.steps else ("spec", "strategy")
        for need in stage.needs:
            seconds = need.seconds or 0.0
            wait = format_duration(timedelta(seconds=seconds))
            at = f"{stage.weight}%" if stage.kind == "weight" else stage.name
            text = f"{need.metric} needs about {need.requests} candidate requests at {at}, which are {wait}"
            if need.metric == REQUESTS:
                text = f"{need.requests} requests of each revision at {at} are {wait}"
            if stage.longest is not None and seconds > stage.longest:
                end = format_duration(timedelta(seconds=stage.longest))
                yield place, f"{text} at {rps:g} requests/s; maxDuration ends it after {end}"
            elif seconds > LONG:
                yield place, f"{text} at {rps:g} requests/s; {_remedy(need.metric)}"


def _remedy(metric: str) -> str:
    return "lower match.minRequests" if metric == REQUESTS else "raise harmBudget or the share, or take the metric out"
