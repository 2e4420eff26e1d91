"""Promotion, and the guard that watches what it promoted."""

from modelrollout.api.status import Phase, VerdictKind
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.core import automation
from modelrollout.core.draft import Draft
from modelrollout.core.evidence import guard


def promote(draft: Draft, evidence: str) -> None:
    """Move the pointer: the candidate is stable from now on; nothing is restarted."""
    status = draft.status
    guarded = parse_duration(draft.spec.strategy.guard.duration)
    draft.weigh(0)
    draft.set(
        phase=Phase.GUARDING,
        stable=status.candidate,
        previous=status.stable,
        candidate=None,
        step=None,
        skip_to=None,
        verdict=None,
        verdicts=[],
        window_end=None,
        guard_until=draft.now + guarded,
    )
    watch = f"; {status.stable} stays ready for {format_duration(guarded)}" if guarded else ""
    draft.move(
        "Promoted", status.candidate, f"all traffic to {status.candidate}: {evidence or 'pods are ready'}{watch}"
    )


def report(draft: Draft, evidence: str) -> None:
    """End without promotion: the candidate was only shadowed, and what was found stays in the status."""
    revision = draft.status.candidate
    draft.set(phase=Phase.REPORTED, candidate=None, step=None, skip_to=None, window_end=None, paused=None)
    draft.move("Reported", revision, f"shadowed, not promoted: {evidence or 'nothing was measured'}")


def guard_promoted(draft: Draft) -> None:
    """Watch a promoted revision while the previous one could still take over."""
    status = draft.status
    if status.window_end is None and draft.routed(draft.split):
        draft.set(window_end=draft.settings.grid((draft.now + draft.settings.settle).timestamp()))
        _begin_late(draft)
    elif status.window_end is not None:
        last = next((v for v in status.verdicts if v.name == guard.NAME), None)
        verdict, end = guard.judge_guard(
            draft.spec.analysis,
            last,
            draft.observed.readings.get(guard.source(draft.spec.analysis)),
            status.window_end,
        )
        draft.set(verdicts=[verdict], verdict=verdict.verdict, window_end=end)
        if verdict.verdict is VerdictKind.FAIL:
            automation.give_up(draft, "RolledBack", verdict.message)
            return
    stable = draft.workload(status.stable)
    if stable is not None and stable.crash_loop:
        why = f"pods of the promoted revision crash again and again: {stable.trouble or 'no reason reported'}"
        automation.give_up(draft, "RolledBack", why)
        return
    _end_guard(draft)


def _begin_late(draft: Draft) -> None:
    """Give the guard its whole time where the route was confirmed so late that little of it would be left."""
    guarded, end = parse_duration(draft.spec.strategy.guard.duration), draft.status.guard_until or draft.now
    if draft.now + 0.9 * guarded > end:
        draft.set(guard_until=draft.now + guarded)


def _end_guard(draft: Draft) -> None:
    status = draft.status
    end = status.guard_until or draft.now
    if status.paused is not None:
        draft.say(f"guarding, paused ({status.paused}); {status.previous} stays ready until resume")
    elif draft.now < end:
        draft.wait(end)
        draft.say(f"guarding {status.stable}; {status.previous} stays ready")
    elif not draft.routed(draft.split):
        # What users do not reach was not guarded, and the revision that they do reach has to keep its pods.
        route = draft.observed.route
        problem = f": {route.problem}" if route is not None and route.problem else ""
        draft.say(f"waiting for the gateway to confirm that {status.stable} has all traffic{problem}")
        draft.wait_for(parse_duration("15s"))
    elif status.window_end is not None and not draft.observed.caught_up:
        draft.say("guard goes on: evidence since the operator took over is yet to be read")
        draft.wait_for(parse_duration("15s"))
    elif status.verdict is VerdictKind.PROVIDER_ERROR:
        draft.say(f"guard goes on: {status.verdicts[0].message}")
        draft.wait_for(parse_duration("15s"))
    else:
        complete(draft)


def complete(draft: Draft, by: str | None = None) -> None:
    """End the guard: by time, or by a person whatever the evidence says."""
    status = draft.status
    draft.set(phase=Phase.PROMOTED, previous=None, guard_until=None, paused=None)
    draft.set(verdict=None, verdicts=[], window_end=None)
    seen = "; ".join(v.message for v in status.verdicts) or "nothing spoke against it"
    over = "is over" if by is None else f"was ended by {by}"
    draft.move("Completed", status.stable, f"guard {over}: {seen}", by=by)
