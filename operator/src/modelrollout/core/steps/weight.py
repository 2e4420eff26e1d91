"""`weight`: hold the candidate at a share of traffic until the evidence says that the next share is safe."""

from modelrollout.api.status import StepStatus
from modelrollout.api.strategy import Step
from modelrollout.core.draft import Draft
from modelrollout.core.steps.holding import hold


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Hold the weight; True when it lasted long enough and every metric passed."""
    return hold(draft, step, current)
