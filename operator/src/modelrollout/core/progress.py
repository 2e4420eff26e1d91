"""The step machine: from the first revision, or the first weight, to promotion."""

from modelrollout.api.spec import Step
from modelrollout.api.status import Phase, StepStatus, VerdictKind
from modelrollout.api.units import parse_duration
from modelrollout.core import promotion, rollback, steps
from modelrollout.core.capacity import needed
from modelrollout.core.draft import Draft
from modelrollout.core.evidence.judge import Question, enter_step, unearned


def initialize(draft: Draft) -> None:
    """Bring up the very first revision; there is nothing to compare it with."""
    target = draft.status.target
    if target is None:
        draft.say("waiting for a template that the cluster accepts")
        return
    if draft.ready(target) < draft.spec.replicas or draft.workload(target) is None:
        draft.say(f"waiting for pods of the first revision: {_pods(draft, target, draft.spec.replicas)}")
        draft.wait_for(parse_duration("10s"))
        return
    draft.set(phase=Phase.PROMOTED, stable=target)
    draft.move("Promoted", target, f"first revision {target} is ready and serves all traffic")


def progress(draft: Draft) -> None:
    """Take a candidate one move further, or back."""
    _verify_step(draft)
    _weigh_evidence(draft)
    if draft.active:
        _reject_unready(draft)
    if not draft.active:
        return
    status = draft.status
    if draft.spec.replicas == 0:
        _enter(draft, len(draft.steps))
    elif status.skip_to is not None:
        _enter(draft, status.skip_to)
    elif not _held(draft):
        if status.step is None:
            _enter(draft, 0)
        elif _step_over(draft, status.step) and draft.active:
            _enter(draft, status.step.index + 1)


def _step_over(draft: Draft, current: StepStatus) -> bool:
    if current.index >= len(draft.steps):
        return True
    return steps.advance(draft, draft.steps[current.index], current)


def _held(draft: Draft) -> bool:
    """Say whether a person or a timeout keeps the rollout where it is."""
    if draft.status.paused is None:
        return False
    draft.set(phase=Phase.PAUSED)
    draft.say(f"paused at {draft.status.weights.candidate}% ({draft.status.paused}); run resume to go on")
    return True


def _verify_step(draft: Draft) -> None:
    """Let evidence count once the gateway has confirmed the route as it was written, and only while it stays so."""
    current, status = draft.status.step, draft.status
    if current is None or status.weights.candidate == 0:
        return
    want = {str(status.stable): status.weights.stable, str(status.candidate): status.weights.candidate}
    confirmed = draft.routed(want)
    if confirmed and current.verified is None:
        since = draft.settings.grid((draft.now + draft.settings.settle).timestamp())
        draft.set(
            step=current.model_copy(update={"verified": draft.now}),
            verdicts=enter_step(draft.spec.analysis, status.verdicts, since),
            verdict=VerdictKind.NO_DATA,
            window_end=since,
        )
    elif not confirmed and current.verified is not None:
        draft.set(step=current.model_copy(update={"verified": None}), verdict=VerdictKind.NO_DATA, window_end=None)
        route = draft.observed.route
        if route is None or not route.current or dict(route.weights) != want:
            why = "somebody else changed the route; it is written again, and evidence waits until it is confirmed"
            draft.move("Corrected", status.candidate, why, warn=True)


def _weigh_evidence(draft: Draft) -> None:
    status = draft.status
    if status.window_end is None or status.step is None:
        return
    judgement = draft.judge(
        Question(
            analysis=draft.spec.analysis,
            verdicts=status.verdicts,
            readings=draft.observed.readings,
            since=status.window_end,
            weight=status.weights.candidate,
            next_weight=_next_weight(draft, status.step.index),
        )
    )
    draft.set(verdicts=list(judgement.verdicts), verdict=judgement.worst, window_end=judgement.end)
    if judgement.blamed is not None:
        rollback.roll_back(draft, "RolledBack", judgement.blamed.message)


def _next_weight(draft: Draft, index: int) -> int:
    later = (step.weight for step in draft.steps[index + 1 :])
    return next((weight for weight in later if weight is not None), 100)


def _reject_unready(draft: Draft) -> None:
    """Roll back a candidate whose pods crash again and again or do not come up in time."""
    candidate = draft.workload(draft.status.candidate)
    if candidate is None:
        return
    trouble = candidate.trouble or "its Deployment reports no reason"
    if candidate.crash_loop:
        rollback.roll_back(draft, "RolledBack", f"pods of the candidate crash again and again: {trouble}")
    elif candidate.deadline_exceeded:
        started = next((m.at for m in reversed(draft.status.history) if m.move == "Started"), draft.now)
        end = started + parse_duration(draft.spec.progress_deadline)
        draft.wait(end)
        if draft.now >= end:
            why = f"the candidate did not become ready within {draft.spec.progress_deadline}: {trouble}"
            rollback.roll_back(draft, "RolledBack", why)


def _enter(draft: Draft, index: int) -> None:
    """Begin a step, or promote after the last; without pods for it, ask for them and wait."""
    status, candidate = draft.status, draft.status.candidate
    step = draft.steps[index] if index < len(draft.steps) else None
    weight = 100 if step is None else step.weight or status.weights.candidate
    pods = needed(draft.spec.replicas, weight)
    draft.wanted = max(draft.wanted, pods)
    if draft.workload(candidate) is None or draft.ready(candidate) < pods:
        draft.say(f"waiting for pods of the candidate before {weight}%: {_pods(draft, candidate, pods)}")
        draft.wait_for(parse_duration("10s"))
        return
    evidence = "; ".join(f"{v.name} {v.message}" for v in status.verdicts) if status.skip_to is None else "as asked"
    if step is None:
        promotion.promote(draft, evidence)
    else:
        _begin_step(draft, index, step, evidence)


def _begin_step(draft: Draft, index: int, step: Step, evidence: str) -> None:
    before = draft.status.weights.candidate
    current = StepStatus(index=index, name=step.name, since=draft.now)
    if step.weight is None:
        if before:
            current = current.model_copy(update={"verified": draft.now})
        draft.set(step=current, skip_to=None)
        long = f"for {step.pause.duration}" if step.pause and step.pause.duration else "until a person goes on"
        draft.move("Pausing", draft.status.candidate, f"pauses at {before}% {long}")
        steps.advance(draft, step, current)
        return
    draft.weigh(step.weight)
    draft.set(
        step=current,
        skip_to=None,
        window_end=None,
        verdict=VerdictKind.NO_DATA,
        verdicts=unearned(draft.status.verdicts),
    )
    number = f"step {index + 1} of {len(draft.steps)}"
    why = f"{before}% -> {step.weight}% ({number}): {evidence or 'pods are ready'}"
    draft.move("Weight", draft.status.candidate, why)


def _pods(draft: Draft, revision: str | None, wanted: int) -> str:
    workload = draft.workload(revision)
    if workload is None:
        return f"0/{wanted} ready"
    draft.pods_fail = workload.trouble is not None
    return f"{workload.ready}/{wanted} ready" + (f" ({workload.trouble})" if workload.trouble else "")
