"""`shadow`: copies of requests go to the candidate, and users notice nothing; hold until the evidence is there."""

from modelrollout.api.status import StepStatus
from modelrollout.api.strategy import Step
from modelrollout.core.draft import Draft
from modelrollout.core.steps.holding import hold


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Mirror; True when it lasted long enough and every metric that looks at a shadow passed."""
    return hold(draft, step, current)
