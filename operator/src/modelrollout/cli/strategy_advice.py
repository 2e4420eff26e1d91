"""What is risky in a strategy's steps, capacity, automation and schedule."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from modelrollout.api.spec import Spec
from modelrollout.api.strategy import Shadow
from modelrollout.api.units import parse_duration
from modelrollout.core.capacity import lacking, pods_for, share_of
from modelrollout.core.schedule import frozen_until
from modelrollout.core.settings import Settings
from modelrollout.core.strategies import steps_of

Place = tuple[int | str, ...]
Advice = Iterator[tuple[Place, str]]

BASE: Final[Place] = ("spec", "strategy")
GATEWAYS: Final = ("traefik", "traefik-crd", "envoy-gateway", "istio-gateway", "nginx")
"""Presets of gateways, which count answered requests of users and no copies."""
_SOME_MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)


def _steps(spec: Spec) -> Advice:
    least = parse_duration(spec.strategy.min_step_duration)
    window = Settings().window
    if least < timedelta(seconds=2 * window):
        yield (
            (*BASE, "minStepDuration"),
            f"{spec.strategy.min_step_duration} is less than two windows of evidence ({window}s each): a version that "
            "is slow to start failing goes on before it shows; 60s is the default",
        )
    before = 0
    for index, step in enumerate(steps_of(spec)):
        place = (*BASE, "steps", index) if spec.strategy.steps else BASE
        if step.on_timeout == "Promote":
            yield (
                (*place, "onTimeout"),
                f"Promote goes on after {step.max_duration} without evidence; Pause asks a person instead",
            )
        if step.weight is None:
            continue
        if (before == 0 and step.weight > 25) or (before and step.weight > 5 * before):
            yield (
                (*place, "weight") if spec.strategy.steps else BASE,
                f"{before}% to {step.weight}% at once: what goes wrong there hits that much traffic before it is "
                "seen; put a step in between",
            )
        before = step.weight


def _guard(spec: Spec) -> Advice:
    if parse_duration(spec.strategy.guard.duration):
        return
    switches = spec.strategy.type == "BlueGreen" or steps_of(spec)[-1].switch is not None
    yield (
        (*BASE, "guard", "duration"),
        "no guard: a switch sends all traffic at once, and with the old version scaled down nothing can go back; 10m "
        "is the default"
        if switches
        else "no guard: once promoted, nothing watches the new version and the old one is scaled down; 10m is the "
        "default",
    )


def _shadows(spec: Spec) -> Advice:
    for index, step in enumerate(steps_of(spec)):
        if step.shadow is not None:
            place = (*BASE, "steps", index, "shadow") if spec.strategy.steps else (*BASE, "type")
            yield from _shadow(spec, step.shadow, place)


def _shadow(spec: Spec, shadow: Shadow, place: Place) -> Advice:
    if not shadow.comparer.enabled:
        blind = [
            metric.name
            for metric in spec.analysis.metrics
            if metric.name in ("errors", "latency", "slo") and (metric.preset or spec.analysis.preset) in GATEWAYS
        ]
        if blind:
            yield (
                (*place, "comparer", "enabled"),
                f"without a comparer nobody counts copies: preset {spec.analysis.preset} sees requests of users "
                f"alone, so {', '.join(blind)} give no evidence and the step never ends; leave it on, or take a "
                "preset of the model server",
            )
    if shadow.percent > 50:
        more = (
            "the candidate answers, and stable answers again," if shadow.comparer.enabled else "the candidate answers"
        )
        yield (
            (*place, "percent"),
            f"{shadow.percent}% of requests are copied: {more} nearly as much as users ask; 10% is the default",
        )


def _capacity(spec: Spec) -> Advice:
    strategy, replicas = spec.strategy, spec.replicas
    lacks = lacking(spec)
    if lacks is not None:
        yield (*BASE, "surge"), lacks.removeprefix("spec.strategy: ")
        return
    small = replicas > 0 and share_of(strategy.surge, replicas) < replicas
    if small and "floor" not in strategy.model_fields_set:
        least = pods_for(spec, 100).stable
        yield (
            (*BASE, "floor"),
            f"left out, and surge {strategy.surge} is too small for both: stable shrinks to {least} of {replicas} "
            "pods while it may have to take over all traffic; say how many it must keep",
        )


def _automation(spec: Spec) -> Advice:
    places = [((*BASE, "automation"), spec.strategy.automation)]
    places += [
        ((*BASE, "steps", index, "automation"), step.automation)
        for index, step in enumerate(spec.strategy.steps or ())
        if step.automation is not None
    ]
    for place, automation in places:
        if automation.rollback == "manual":
            yield (
                (*place, "rollback"),
                "manual: a candidate that fails keeps its traffic until a person runs abort; notify goes back at once "
                "and tells",
            )


def _sticky(spec: Spec) -> Advice:
    sticky = spec.strategy.sticky
    if sticky is not None and not any(0 < (step.weight or 0) < 100 for step in steps_of(spec)):
        yield (*BASE, "sticky"), "no step has a weight below 100, so nothing is split that clients could stay with"


def _schedule(spec: Spec) -> Advice:
    schedule = spec.strategy.schedule
    until = frozen_until(schedule, _SOME_MONDAY) if schedule is not None else None
    if until is not None and until - _SOME_MONDAY >= timedelta(days=7):
        yield (*BASE, "schedule"), "the freeze never ends: no moment of the week allows a move; shorten it"


PARTS: Final[tuple[Callable[[Spec], Advice], ...]] = (
    _steps,
    _guard,
    _shadows,
    _capacity,
    _automation,
    _sticky,
    _schedule,
)
