"""What comes next for a rollout, and what it takes: for every phase and every kind of step."""

from collections.abc import Iterator
from datetime import timedelta

from modelrollout.api.status import Phase
from modelrollout.api.strategy import Step
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.cli import words
from modelrollout.cli.view import View
from modelrollout.core.automation import FAILING


def next_step(view: View) -> Iterator[str]:
    """Say what happens next, and what it takes."""
    status = view.status
    if view.request is not None:
        yield f"first, the operator carries out: {view.request.action}"
    if view.stalled is not None and status.phase is not Phase.ROLLED_BACK:
        yield "nothing, until the spec is changed"
        return
    match status.phase:
        case Phase.INITIALIZING:
            yield "the first revision serves as soon as its pods are ready; there is nothing to compare it with"
        case Phase.PROMOTED:
            yield "nothing, until the template changes"
        case Phase.REPORTED:
            yield "nothing by itself: the shadow is over; report shows what it found, retry runs it again"
        case Phase.ROLLED_BACK:
            yield "nothing by itself: change the template, or run retry to try the same revision again"
        case Phase.GUARDING:
            left = format_duration(max((status.guard_until or view.now) - view.now, timedelta()))
            yield f"in {left} the guard ends and {status.previous} is scaled down; until then it can take over"
        case _:
            yield from _onwards(view)
    if status.queued is not None:
        yield f"when this rollout is over: revision {status.queued}, which waits for it"


def _onwards(view: View) -> Iterator[str]:
    """Say what the next step is, and what keeps the rollout from it."""
    status, step, goal = view.status, view.step, _goal(view)
    if status.paused is not None and status.paused.startswith(FAILING):
        yield f"a person decides: abort goes back, promote goes on to {goal} all the same ({status.paused})"
        return
    if status.paused is not None:
        yield f"paused ({status.paused}): resume goes on to {goal}, abort goes back"
        return
    if step is None:
        yield f"{goal}, as soon as the pods for it are ready"
    elif status.step is not None and status.step.awaiting is not None:
        yield f"{goal}, when a person runs promote: the step is over, and promotion is manual; abort goes back"
    else:
        yield f"{goal}, {_condition(view, step)}"
        yield from _times(view, step)
    if (until := words.until(view)) is not None:
        yield f"not before {until.partition(' (')[0]}: frozen by its schedule"
    if view.mode("rollback") == "manual":
        yield "should it fail: traffic stays as it is and a person decides, for rollback is manual"


def _goal(view: View) -> str:
    status, steps = view.status, view.steps
    following = 0 if status.step is None else status.step.index + 1
    if following >= len(steps):
        return "a report, without promotion" if view.reports else "promotion to 100%"
    step = steps[following]
    name = "the switch of all traffic" if step.whole else step.name
    return f"{name} (step {following + 1})"


def _condition(view: View, step: Step) -> str:
    """Say what ends a step."""
    last = view.status.step is not None and view.status.step.index == len(view.steps) - 1
    manual = view.mode("promotion") == "manual" and not (last and view.reports)
    then = "; then a person runs promote, for promotion is manual" if manual else ""
    if step.pause is not None:
        return f"after {step.pause.duration}{then}" if step.pause.duration else "when a person runs promote"
    if step.gate is not None and step.gate.approval is not None:
        return "when a person runs approve; abort goes back"
    if step.gate is not None:
        fails = "a person decides" if view.mode("rollback") == "manual" else "the rollout goes back"
        return f"as soon as gate {step.gate.title} passes; should it fail, {fails}{then}"
    seen = "every metric passes"
    if step.shadow is not None and step.shadow.comparer.enabled:
        seen = "every metric that looks at a shadow passes"
    elif step.match is not None and step.match.min_requests:
        seen += f", {step.match.min_requests} requests of each revision are seen"
    return f"as soon as {seen} and the pods for it are ready{then}"


def _times(view: View, step: Step) -> Iterator[str]:
    """Say what the clock has to do with it."""
    current = view.status.step
    if current is None or view.spec is None or step.pause is not None:
        return
    if step.gate is None:
        rest = current.since + parse_duration(step.min_duration or view.spec.strategy.min_step_duration) - view.now
        where = "weight" if step.weight is not None else "step"
        if rest > timedelta():
            yield f"not before {format_duration(rest)} from now: the least time at this {where}"
    if step.max_duration is not None:
        left = max(current.since + parse_duration(step.max_duration) - view.now, timedelta())
        yield f"without a verdict within {format_duration(left)}: {step.on_timeout.lower()}"
