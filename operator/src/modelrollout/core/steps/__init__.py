"""Step kinds: one file each, each with one function that says what the step does now."""

from collections.abc import Callable
from typing import Final

from modelrollout.api.spec import Step
from modelrollout.api.status import StepStatus
from modelrollout.core.draft import Draft
from modelrollout.core.steps import pause, weight

Advance = Callable[[Draft, Step, StepStatus], bool]
"""Do what the step asks for at this moment; True once the step is over."""

KINDS: Final[dict[str, Advance]] = {"weight": weight.advance, "pause": pause.advance}


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Run the step that is in progress; True once it is over."""
    kind = "pause" if step.weight is None else "weight"
    return KINDS[kind](draft, step, current)
