"""What people want: a new template, or something they ask of the rollout in progress."""

from typing import Final

from modelrollout.api.status import GateState, Phase, Pin, RequestStatus
from modelrollout.core import automation, promotion, rollback
from modelrollout.core.draft import Draft
from modelrollout.core.observed import Request
from modelrollout.core.steps.holding import over

PAST_ALL: Final = 100
"""Beyond the last step of any strategy: promotion, also where the steps end with a report."""


def take_template(draft: Draft) -> None:
    """Act on a change of the desired template, the only thing that starts a rollout."""
    status, desired = draft.status, _desired(draft)
    if desired is None or desired == status.target:
        draft.set(queued=None)
        return
    if _queued(draft, desired):
        return
    draft.set(queued=None)
    if status.stable is None:
        draft.set(target=desired)
        draft.move("Started", desired, "first revision; it serves as soon as its pods are ready")
    elif desired == status.stable and status.phase is not Phase.GUARDING:
        _return_to_stable(draft, desired)
    elif status.phase is Phase.GUARDING and desired == status.previous:
        rollback.roll_back(draft, "Reverted", "the template went back to the previous revision")
        draft.set(target=desired, phase=Phase.PROMOTED)
    elif desired == status.stable:
        draft.set(target=desired)
    else:
        start(draft, desired)


def _queued(draft: Draft, desired: str) -> bool:
    """Let a template wait for the end of the rollout where the strategy says so; of several the newest wins."""
    status = draft.status
    underway = draft.active or status.phase is Phase.GUARDING
    back = desired in (status.stable, status.previous)
    # The template of a candidate is gone with the next one: without its Deployment it can never come up.
    lost = draft.active and draft.workload(status.candidate) is None
    if draft.spec.strategy.on_new_template != "Queue" or not underway or back or lost:
        return False
    if status.queued != desired:
        skipped = f"; {status.queued}, which waited before it, is skipped" if status.queued else ""
        draft.set(queued=desired)
        current = status.candidate or status.stable
        draft.move("Queued", desired, f"new revision {desired} waits until the rollout of {current} is over{skipped}")
    return True


def _desired(draft: Draft) -> str | None:
    """Return the revision to be served: the template's own unless an undo or a refused template says otherwise."""
    status, desired = draft.status, draft.observed.desired
    if draft.observed.terminal is not None:
        return status.target
    if status.pin is not None:
        if status.pin.instead_of == desired:
            return status.pin.revision
        draft.set(pin=None)
    return desired


def _return_to_stable(draft: Draft, desired: str) -> None:
    given_up = draft.status.candidate
    draft.weigh(0)
    draft.set(
        phase=Phase.PROMOTED, candidate=None, step=None, target=desired, skip_to=None, window_end=None, paused=None
    )
    why = (
        f"the template went back to stable; candidate {given_up} is given up" if given_up else "stable is desired again"
    )
    draft.move("Reverted", desired, why)


def start(draft: Draft, revision: str, *, by: str | None = None, why: str = "") -> None:
    """Begin a rollout of a revision; a candidate on trial is replaced, stable never is."""
    status = draft.status
    text = why or f"new revision {revision} replaces {status.stable}"
    # A Service between two revisions would take the pods of a third too.
    draft.route_first = draft.by_number
    if draft.active:
        text += f"; candidate {status.candidate} is given up for it"
    if status.phase is Phase.GUARDING:
        text += f"; the guard of {status.stable} ends early"
    draft.weigh(0)
    draft.set(
        phase=Phase.PROGRESSING,
        candidate=revision,
        previous=None,
        target=revision,
        attempt=status.attempt + 1,
        gate=None,
        queued=None,
        paused=None,
        step=None,
        verdict=None,
        verdicts=[],
        window_end=None,
        guard_until=None,
        skip_to=None,
    )
    draft.move("Started", revision, text, by=by)


def take_request(draft: Draft) -> None:
    """Carry out what somebody asked for, once; record it and what came of it."""
    request = draft.observed.request
    if request is None or (draft.status.request is not None and draft.status.request.id == request.id):
        return
    refused = False
    try:
        outcome = _carry_out(draft, request)
    except _Refused as refusal:
        outcome, refused = str(refusal), True
    draft.set(
        request=RequestStatus(
            id=request.id, action=request.action, by=request.by, at=draft.now, outcome=outcome[:500], refused=refused
        )
    )


class _Refused(Exception):
    """What was asked for makes no sense now; the text says why. Raised before anything is changed."""


def _carry_out(draft: Draft, request: Request) -> str:
    if request.problem:
        raise _Refused(request.problem)
    return _HANDLERS[request.action](draft, request)


def _who(request: Request) -> str:
    return request.by or "somebody"


def _promote(draft: Draft, request: Request) -> str:
    if draft.status.phase is Phase.GUARDING:
        promotion.complete(draft, _who(request))
        return "the guard ends now"
    if not draft.active:
        raise _Refused("nothing to promote: no rollout is in progress")
    current = draft.status.step
    following = 0 if current is None else current.index + 1
    draft.set(skip_to=PAST_ALL if request.full else following, paused=None, phase=Phase.PROGRESSING)
    where = "to 100%" if request.full else "to the next step"
    draft.move(
        "Skipped", draft.status.candidate, f"{_who(request)} promotes {where} without further evidence", by=request.by
    )
    return f"goes {where} as soon as pods are ready for it"


def _approve(draft: Draft, request: Request) -> str:
    gate, step = draft.status.gate, draft.step
    asked = step is not None and step.gate is not None and step.gate.approval is not None
    if not asked or gate is None or gate.state is not GateState.WAITING:
        raise _Refused("nothing to approve: no gate waits for a person")
    by = _who(request)
    draft.set(gate=gate.model_copy(update={"state": GateState.PASSED, "message": f"approved by {by}", "by": by}))
    draft.move("Approved", draft.status.candidate, f"{by} approved {gate.name}", by=request.by)
    return f"gate {gate.name} is approved"


def _abort(draft: Draft, request: Request) -> str:
    if not draft.active and draft.status.phase is not Phase.GUARDING:
        raise _Refused("nothing to abort: no rollout is in progress")
    rollback.roll_back(draft, "Aborted", f"{_who(request)} aborted the rollout", by=request.by)
    return "all traffic goes to stable"


def _pause(draft: Draft, request: Request) -> str:
    if not draft.active and draft.status.phase is not Phase.GUARDING:
        raise _Refused("nothing to pause: no rollout is in progress")
    if draft.status.paused is None:
        draft.set(paused=f"by {_who(request)}")
        draft.move("Paused", draft.status.candidate or draft.status.stable, f"{_who(request)} paused", by=request.by)
    asked = automation.mode(draft, "rollback") == "manual"
    return "paused; a failing candidate is " + ("still told, not rolled back" if asked else "still rolled back")


def _resume(draft: Draft, request: Request) -> str:
    status = draft.status
    waiting = status.step is not None and (status.step.name == "pause" or status.step.awaiting is not None)
    if status.paused is None and not waiting:
        raise _Refused("nothing to resume: the rollout is not paused")
    if status.paused is None and status.step is not None:
        draft.set(skip_to=status.step.index + 1)
    phase = Phase.PROGRESSING if status.phase is Phase.PAUSED else status.phase
    step = draft.step
    if status.step is not None and step is not None and over(step, status.step, draft.now):
        # Else a step that was paused because its time was over would be paused again at once.
        draft.set(step=status.step.model_copy(update={"since": draft.now}))
    draft.set(paused=None, phase=phase)
    draft.move("Resumed", status.candidate or status.stable, f"{_who(request)} resumed", by=request.by)
    return "resumed"


def _retry(draft: Draft, request: Request) -> str:
    target = draft.status.target
    over = draft.status.phase in (Phase.ROLLED_BACK, Phase.REPORTED)
    if not over or target is None or target == draft.status.stable:
        raise _Refused("nothing to retry: the last rollout was neither rolled back nor ended with a report")
    start(draft, target, by=request.by, why=f"{_who(request)} retries revision {target}")
    return f"rollout of {target} begins anew"


def _undo(draft: Draft, request: Request) -> str:
    status = draft.status
    if draft.active:
        raise _Refused("a rollout is in progress; use abort")
    if status.stable is None:
        raise _Refused("nothing to go back from: no revision serves yet; apply the template that is to serve")
    older = [r for r in status.revisions if r not in (status.stable, status.target) and r in draft.observed.workloads]
    to = request.to or status.previous or (older[0] if older else None)
    if to is None:
        raise _Refused("no earlier revision is kept; raise spec.revisionHistoryLimit to keep some")
    if to == status.stable:
        raise _Refused(f"revision {to} serves already")
    if to not in draft.observed.workloads:
        known = ", ".join(older) or "none"
        raise _Refused(f"revision {to} is not kept; known: {known}")
    if status.phase is Phase.GUARDING and to == status.previous:
        rollback.roll_back(draft, "Undone", f"{_who(request)} went back to {to}", by=request.by)
        draft.set(phase=Phase.PROMOTED, target=to)
    else:
        start(draft, to, by=request.by, why=f"{_who(request)} goes back to revision {to}")
        draft.set(skip_to=PAST_ALL)
    draft.set(pin=Pin(revision=to, instead_of=draft.observed.desired))
    return f"goes back to {to}; it stays until the template changes"


_HANDLERS: Final = {
    "promote": _promote,
    "approve": _approve,
    "abort": _abort,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "undo": _undo,
}
