"""`weight`: hold the candidate at a share of traffic until the evidence says that the next share is safe."""

from modelrollout.api.spec import Step
from modelrollout.api.status import StepStatus, VerdictKind
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.core import rollback
from modelrollout.core.draft import Draft


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Hold the weight; True when it lasted long enough and every metric passed."""
    status = draft.status
    if current.verified is None:
        problem = draft.observed.route.problem if draft.observed.route else None
        draft.say(f"waiting for the gateway to confirm {step.weight}%" + (f": {problem}" if problem else ""))
        return False
    passed = status.verdict is VerdictKind.PASS
    dwell = parse_duration(step.min_duration or draft.spec.strategy.min_step_duration)
    rested = current.since + dwell
    if passed and draft.now >= rested:
        return True
    draft.wait(rested)
    if passed:
        draft.say(f"safe at {step.weight}%; stays there for at least {format_duration(dwell)}")
    else:
        missing = dict.fromkeys(v.message for v in status.verdicts if v.verdict is not VerdictKind.PASS)
        open_points = "; ".join(missing)
        draft.say(f"holding {step.weight}%: {open_points or 'waiting for the first window of evidence'}")
    return not passed and _timed_out(draft, step, current)


def _timed_out(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Carry out `onTimeout` when `maxDuration` is over; True if the step is to be passed without evidence."""
    if step.max_duration is None or draft.status.paused:
        return False
    end = current.since + parse_duration(step.max_duration)
    if draft.now < end:
        draft.wait(end)
        return False
    why = f"no verdict within {step.max_duration} at {step.weight}%: {draft.status.message}"
    if step.on_timeout == "Rollback":
        rollback.roll_back(draft, "TimedOut", why)
    elif step.on_timeout == "Pause":
        draft.set(paused=why[:500])
        draft.move("Paused", draft.status.candidate, why, warn=True)
    return step.on_timeout == "Promote"
