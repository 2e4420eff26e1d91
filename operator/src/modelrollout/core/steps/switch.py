"""`switch`: all traffic to the candidate in one move. The step itself never lasts: entering it is the promotion."""

from modelrollout.api.status import StepStatus
from modelrollout.api.strategy import Step
from modelrollout.core.draft import Draft


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:  # noqa: ARG001
    """Return True: where a spec was edited under a rollout so that it stands here, it goes on to promotion."""
    return True
