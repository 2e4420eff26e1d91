"""What is allowed in a rollout and yet risky, in words that say why and what to do."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.units import format_duration, parse_duration, parse_percent
from modelrollout.core.settings import Settings
from modelrollout.core.strategies import steps_of
from modelrollout.simulate.forecast import forecast

Place = tuple[int | str, ...]
Advice = Iterator[tuple[Place, str]]

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


def _strategy(spec: Spec) -> Advice:
    window = Settings().window
    steps, base = steps_of(spec), ("spec", "strategy")
    least = parse_duration(spec.strategy.min_step_duration)
    if least < timedelta(seconds=2 * window):
        yield (
            (*base, "minStepDuration"),
            f"{spec.strategy.min_step_duration} is less than two windows of evidence ({window}s each): a version that "
            "is slow to start failing goes on before it shows; 60s is the default",
        )
    if not parse_duration(spec.strategy.guard.duration):
        yield (
            (*base, "guard", "duration"),
            "no guard: once promoted, nothing watches the new version and the old one is scaled down; 10m is the "
            "default",
        )
    before = 0
    for index, step in enumerate(steps):
        if step.weight is None:
            continue
        place = (*base, "steps", index)
        if (before == 0 and step.weight > 25) or (before and step.weight > 5 * before):
            yield (
                (*place, "weight"),
                f"{before}% to {step.weight}% at once: what goes wrong there hits that much traffic before it is "
                "seen; put a step in between",
            )
        if step.on_timeout == "Promote":
            yield (
                (*place, "onTimeout"),
                f"Promote goes on after {step.max_duration} without evidence; Pause asks a person instead",
            )
        before = step.weight


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


_PARTS: Final[tuple[Callable[[Spec], Advice], ...]] = (_replicas, _strategy, _analysis, _template)


def _waits(spec: Spec, rps: float) -> Advice:
    """Compare the evidence that each step needs with the traffic there is."""
    for index, stage in enumerate(forecast(spec, rps, USUAL_ERRORS).stages):
        place: Place = ("spec", "strategy", "steps", index) if spec.strategy.steps else ("spec", "strategy")
        for need in stage.needs:
            seconds = need.seconds or 0.0
            wait = format_duration(timedelta(seconds=seconds))
            text = f"{need.metric} needs about {need.requests} candidate requests at {stage.weight}%, which are {wait}"
            if stage.longest is not None and seconds > stage.longest:
                end = format_duration(timedelta(seconds=stage.longest))
                yield place, f"{text} at {rps:g} requests/s; maxDuration ends it after {end}"
            elif seconds > LONG:
                yield place, f"{text} at {rps:g} requests/s; raise harmBudget or the weight, or take the metric out"
