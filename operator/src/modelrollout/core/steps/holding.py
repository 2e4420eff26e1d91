"""What steps that gather evidence share: hold until every metric passes, or the step's time is over."""

from datetime import datetime

from modelrollout.api.status import Phase, StepStatus, VerdictKind
from modelrollout.api.strategy import Step
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.core import automation
from modelrollout.core.draft import Draft
from modelrollout.core.evidence.judge import looked_at


def hold(draft: Draft, step: Step, current: StepStatus, missing: str | None = None) -> bool:
    """Stay at a step; True when it lasted long enough and every metric passed.

    `missing` says what else has to happen before it may be over.
    """
    status = draft.status
    if current.verified is None:
        problem = draft.observed.route.problem if draft.observed.route else None
        draft.say(f"waiting for the gateway to confirm {_of(step)}" + (f": {problem}" if problem else ""))
        if step.shadow is not None and not draft.mirrored:
            draft.say(f"holding {_of(step)}: the comparer is not ready; requests are mirrored as soon as it is")
        return timed_out(draft, step, current)
    if status.verdict is VerdictKind.PASS and not draft.observed.caught_up:
        # What passed before another operator took over says nothing of the windows since.
        missing = "evidence since the operator took over is yet to be read"
    passed = status.verdict is VerdictKind.PASS and missing is None
    dwell = parse_duration(step.min_duration or draft.spec.strategy.min_step_duration)
    rested = current.since + dwell
    if passed and draft.now >= rested:
        return True
    draft.wait(rested)
    if passed:
        draft.say(f"safe at {_of(step)}; stays there for at least {format_duration(dwell)}")
    else:
        ruling = looked_at(draft.spec.analysis, status.verdicts, draft.stage)
        open_points = dict.fromkeys(v.message for v in ruling if v.verdict is not VerdictKind.PASS)
        text = "; ".join([*open_points, *([missing] if missing else [])])
        draft.say(f"holding {_of(step)}: {text or 'waiting for the first window of evidence'}")
    return not passed and timed_out(draft, step, current)


def timed_out(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Carry out `onTimeout` when `maxDuration` is over; True if the step is to be passed without evidence."""
    if step.max_duration is None or draft.status.paused:
        return False
    if not over(step, current, draft.now):
        draft.wait(current.since + parse_duration(step.max_duration))
        return False
    why = f"no verdict within {step.max_duration} at {_of(step)}: {draft.status.message}"
    if step.on_timeout == "Rollback":
        automation.give_up(draft, "TimedOut", why)
    elif step.on_timeout == "Pause":
        draft.set(phase=Phase.PAUSED, paused=why[:500])
        draft.move("Paused", draft.status.candidate, why, warn=True)
    return step.on_timeout == "Promote"


def over(step: Step, current: StepStatus, now: datetime) -> bool:
    """Say whether the longest time at a step has passed."""
    return step.max_duration is not None and now >= current.since + parse_duration(step.max_duration)


def _of(step: Step) -> str:
    return step.name if step.weight is None else f"{step.weight}%"
