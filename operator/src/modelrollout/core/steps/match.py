"""`match`: requests that carry certain headers or cookies go to the candidate, until there are enough of them."""

from modelrollout.api.status import StepStatus
from modelrollout.api.strategy import Match, Step
from modelrollout.core.draft import Draft
from modelrollout.core.evidence.judge import looked_at
from modelrollout.core.steps.holding import hold


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Route by match; True when it lasted long enough, every metric passed and both sides had enough requests."""
    least = (step.match or Match.model_construct()).min_requests
    counted = looked_at(draft.spec.analysis, draft.status.verdicts, draft.stage)
    stable = max((verdict.stable.requests for verdict in counted), default=0)
    candidate = max((verdict.candidate.requests for verdict in counted), default=0)
    missing = None
    if min(stable, candidate) < least:
        missing = f"{candidate} requests matched and {stable} did not, of at least {least} each"
    return hold(draft, step, current, missing)
