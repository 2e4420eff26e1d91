"""`pause`: wait for a duration, or for a person. Evidence goes on: a candidate with traffic can still fail."""

from modelrollout.api.status import Phase, StepStatus
from modelrollout.api.strategy import Pause, Step
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.core.draft import Draft


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Wait; True when the duration is over."""
    duration = (step.pause or Pause()).duration
    if duration is None:
        draft.set(phase=Phase.PAUSED)
        draft.say(f"paused at {draft.status.weights.candidate}% for a person; run promote to go on, abort to go back")
        return False
    end = current.since + parse_duration(duration)
    if draft.now >= end:
        return True
    draft.wait(end)
    draft.say(f"pausing at {draft.status.weights.candidate}% for {format_duration(end - current.since)}")
    return False
