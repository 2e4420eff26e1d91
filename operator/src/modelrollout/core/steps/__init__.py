"""Step kinds: one file each, each with one function that says what the step does now."""

from collections.abc import Callable
from typing import Final

from modelrollout.api.status import StepStatus
from modelrollout.api.strategy import Step
from modelrollout.core.draft import Draft
from modelrollout.core.steps import gate, match, pause, shadow, switch, weight

Advance = Callable[[Draft, Step, StepStatus], bool]
"""Do what the step asks for at this moment; True once the step is over."""

KINDS: Final[dict[str, Advance]] = {
    "shadow": shadow.advance,
    "weight": weight.advance,
    "match": match.advance,
    "switch": switch.advance,
    "pause": pause.advance,
    "gate": gate.advance,
}


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Run the step that is in progress; True once it is over."""
    return KINDS[step.kind](draft, step, current)
