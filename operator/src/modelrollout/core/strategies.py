"""Strategies are lists of steps: the defaults of each type, and what follows from a list."""

from collections.abc import Sequence
from typing import Final

from modelrollout.api.spec import Spec
from modelrollout.api.strategy import Pause, Shadow, Step, Switch
from modelrollout.core.capacity import reachable_weights
from modelrollout.core.evidence.stages import Stage

CANARY: Final = tuple(Step(weight=weight) for weight in (5, 10, 25, 50))
"""Each step at most about doubles the exposure, once 5 % have shown that nothing is broken outright."""
SHADOW: Final = (Step(shadow=Shadow()),)
BLUE_GREEN: Final = (Step(switch=Switch()),)
_DEFAULTS: Final = {"Canary": CANARY, "Shadow": SHADOW, "BlueGreen": BLUE_GREEN}


def steps_of(spec: Spec) -> tuple[Step, ...]:
    """Return the steps of a rollout, the defaults of its strategy where the user gave none.

    Where a person promotes, a switch is never the first thing that happens: there is a pause before it.
    """
    strategy = spec.strategy
    if strategy.steps is not None:
        steps = tuple(strategy.steps)
    elif strategy.type == "Canary" and spec.traffic.service is not None:
        steps = tuple(Step(weight=weight) for weight in reachable_weights(spec))
    else:
        steps = _DEFAULTS[strategy.type]
    if strategy.automation.promotion == "manual" and steps[0].whole:
        return (Step(pause=Pause()), *steps)
    return steps


def reports_only(spec: Spec) -> bool:
    """Say whether a rollout ends with a report: no step gives the candidate requests of users."""
    return spec.strategy.type == "Shadow" and not any(step.moving for step in steps_of(spec))


def first_weight(steps: Sequence[Step]) -> int:
    """Return the first weight among steps, 100 where there is none."""
    return next((step.weight for step in steps if step.weight is not None), 100)


def stage_at(spec: Spec, step: Step | None) -> Stage | None:
    """Return the stage of a step; None where the strategy has no shadow that compares."""
    return stage_among(steps_of(spec), step)


def stage_among(steps: Sequence[Step], step: Step | None) -> Stage | None:
    """Return the stage of a step among steps; None where no shadow among them compares."""
    if not any(one.shadow is not None and one.shadow.comparer.enabled for one in steps):
        return None
    return Stage.SHADOW if step is not None and step.shadow is not None else Stage.LIVE
