"""The step machine: from the first revision, or the first step, to promotion."""

from datetime import datetime, timedelta

from modelrollout.api.status import Phase, StepStatus, VerdictKind
from modelrollout.api.strategy import Step
from modelrollout.api.units import parse_duration
from modelrollout.core import automation, capacity, edits, promotion, schedule, shadowing, steps
from modelrollout.core.draft import Draft
from modelrollout.core.evidence.judge import Question, enter_step, looked_at, unearned
from modelrollout.core.sticky import by_key, named
from modelrollout.core.strategies import first_weight, reports_only, stage_among


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
    edits.follow(draft)
    _verify_step(draft)
    _weigh_evidence(draft)
    if draft.active:
        _reject_unready(draft)
    if not draft.active:
        return
    status = draft.status
    if _held(draft):
        return
    if status.skip_to is not None:
        _enter(draft, status.skip_to)
    elif status.step is None:
        _enter(draft, len(draft.steps) if _nothing_to_try(draft) else 0)
    elif _step_over(draft, status.step) and draft.active and not automation.awaits_person(draft):
        _enter(draft, status.step.index + 1)


def _nothing_to_try(draft: Draft) -> bool:
    """Say whether a rollout without pods, and so without requests, has nobody and nothing to wait for either."""
    asks = any(step.gate is not None for step in draft.steps) or automation.mode(draft, "promotion") == "manual"
    return draft.spec.replicas == 0 and not asks and not reports_only(draft.spec)


def _step_over(draft: Draft, current: StepStatus) -> bool:
    if current.index >= len(draft.steps):
        return True
    return steps.advance(draft, draft.steps[current.index], current)


def _held(draft: Draft) -> bool:
    """Say whether a person or a timeout keeps the rollout where it is."""
    paused, at = draft.status.paused, f"{draft.status.weights.candidate}%"
    if paused is None:
        return False
    draft.set(phase=Phase.PAUSED)
    if paused.startswith(automation.FAILING):
        draft.say(f"at {at}, {paused}; run abort to go back, promote to go on all the same")
    else:
        draft.say(f"paused at {at} ({paused}); run resume to go on")
    return True


def _verify_step(draft: Draft) -> None:
    """Let evidence count once the gateway has confirmed the route as it was written, and only while it stays so."""
    current, status = draft.status.step, draft.status
    if current is None or not draft.exposed:
        return
    want, step = draft.split, draft.step
    withheld = step is not None and step.shadow is not None and not draft.mirrored
    confirmed = draft.routed(want) and not withheld
    if confirmed and current.verified is None:
        since = _exposed_since(draft, current)
        draft.set(
            step=current.model_copy(update={"verified": draft.now}),
            verdicts=enter_step(draft.spec.analysis, status.verdicts, since, draft.stage, _settled(draft, draft.now)),
            verdict=VerdictKind.NO_DATA,
            window_end=since,
        )
    elif not confirmed and current.verified is not None:
        draft.set(step=current.model_copy(update={"verified": None}), verdict=VerdictKind.NO_DATA, window_end=None)
        route, edited = draft.observed.route, draft.rollout.status.observed_generation != status.observed_generation
        if withheld or edited:
            return
        if route is None or not route.current or not route.split.same(want):
            why = "somebody else changed the route; it is written again, and evidence waits until it is confirmed"
            draft.move("Corrected", status.candidate, why, warn=True)


def _settled(draft: Draft, verified: datetime) -> int:
    """Return the first window boundary at which a gateway that confirmed a route splits requests as it says."""
    return draft.settings.grid((verified + draft.settings.settle).timestamp())


def _exposed_since(draft: Draft, current: StepStatus) -> int:
    """Return the boundary before the route was written; where anything happened since then, when it has settled."""
    last = draft.status.history[-1].at if draft.status.history else None
    if last != current.since:
        return _settled(draft, draft.now)
    return draft.settings.grid_before(current.since.timestamp())


def _weigh_evidence(draft: Draft) -> None:
    status = draft.status
    if status.window_end is None or status.step is None:
        return
    verified = status.step.verified
    judgement = draft.judge(
        Question(
            analysis=draft.spec.analysis,
            verdicts=status.verdicts,
            readings=draft.observed.readings,
            since=status.window_end,
            weight=status.weights.candidate if by_key(draft.spec) is None else 0,
            next_weight=first_weight(draft.steps[status.step.index + 1 :]),
            stage=draft.stage,
            settled=_settled(draft, verified) if verified else 0,
        )
    )
    draft.set(verdicts=list(judgement.verdicts), verdict=judgement.worst, window_end=judgement.end)
    if judgement.blamed is not None:
        automation.give_up(draft, "RolledBack", judgement.blamed.message)


def _reject_unready(draft: Draft) -> None:
    """Roll back a candidate whose pods crash again and again or do not come up in time."""
    candidate = draft.workload(draft.status.candidate)
    if candidate is None:
        return
    trouble = candidate.trouble or "its Deployment reports no reason"
    if candidate.crash_loop:
        automation.give_up(draft, "RolledBack", f"pods of the candidate crash again and again: {trouble}")
    elif candidate.deadline_exceeded:
        history = draft.status.history
        started = next((m for m in reversed(history) if m.move == "Started"), history[0] if history else None)
        end = (started.at if started else draft.now) + parse_duration(draft.spec.progress_deadline)
        draft.wait(end)
        if draft.now >= end:
            why = f"the candidate did not become ready within {draft.spec.progress_deadline}: {trouble}"
            automation.give_up(draft, "RolledBack", why)


def _enter(draft: Draft, index: int) -> None:
    """Begin a step, or end after the last; without what it needs, ask for that and wait."""
    status = draft.status
    step = draft.steps[index] if index < len(draft.steps) else None
    ends = step is None or step.whole
    report = index == len(draft.steps) and reports_only(draft.spec)
    if not report and not _capable(draft, _share(draft, step)):
        return
    if status.skip_to is None and schedule.frozen(draft):
        return
    if status.skip_to is None and not draft.previewed:
        draft.say("waiting for the Service of the preview to lead to the candidate")
        return
    if step is not None and not shadowing.prepared(draft, step):
        return
    evidence = _evidence(draft) if status.skip_to is None else "as asked"
    if report:
        promotion.report(draft, evidence)
    elif ends or step is None:
        promotion.promote(draft, evidence)
    else:
        _begin_step(draft, index, step, evidence)


def _evidence(draft: Draft) -> str:
    if draft.status.step is None:
        return ""
    seen = looked_at(draft.spec.analysis, draft.status.verdicts, draft.stage)
    return "; ".join(f"{v.name} {v.message}" for v in seen)


def _share(draft: Draft, step: Step | None) -> int:
    """Return the per cent of requests, or copies, that a step brings to the candidate."""
    return 100 if step is None else step.share or draft.status.weights.candidate


def _capable(draft: Draft, share: int) -> bool:
    """Say whether the candidate has the pods for a share of requests; ask for them if not."""
    status, candidate = draft.status, draft.status.candidate
    lacking = capacity.lacking(draft.spec)
    if lacking is not None:
        draft.say(lacking)
        return False
    pods = capacity.pods_for(draft.spec, share).candidate
    draft.wanted = max(draft.wanted, share)
    if _surplus(draft, share, pods):
        draft.wait_for(parse_duration("10s"))
        return False
    if draft.workload(candidate) is not None and draft.ready(candidate) >= pods:
        return True
    before = f"{share}%" if status.weights.candidate != share else "the next step"
    draft.say(f"waiting for pods of the candidate before {before}: {_pods(draft, candidate, pods)}")
    draft.wait_for(parse_duration("10s"))
    return False


def _surplus(draft: Draft, share: int, pods: int) -> bool:
    """Say whether there are pods that a Service would select, and that are none of the share that it is to have."""
    status = draft.status
    if not draft.by_number or status.weights.candidate or not 0 < share < 100:
        return False
    roles = (status.stable, status.candidate)
    others = [workload.revision for workload in draft.observed.workloads.values() if workload.total]
    if strangers := sorted(set(others) - set(roles)):
        draft.say(
            f"waiting for pods of {', '.join(strangers)} to go before {share}%: the Service would select them too"
        )
        return True
    candidate = draft.workload(status.candidate)
    if candidate is not None and candidate.total > pods:
        draft.say(f"waiting for pods of the candidate to go before {share}%: {candidate.total} of {pods} are there")
        return True
    return False


def _begin_step(draft: Draft, index: int, step: Step, evidence: str) -> None:
    before = draft.status.weights.candidate
    current = StepStatus(index=index, name=step.name, since=draft.now)
    number = f"step {index + 1} of {len(draft.steps)}"
    if step.pause is not None or step.gate is not None:
        # The weight stays, and so does what is known of the route; a mirror or a match ends with its step.
        verified = draft.status.step.verified if draft.status.step and before > 0 else None
        current = current.model_copy(update={"verified": verified})
        draft.set(step=current, skip_to=None)
        if not verified:
            draft.set(window_end=None)
        long = f"for {step.pause.duration}" if step.pause and step.pause.duration else "until a person goes on"
        if step.pause is not None:
            draft.move("Pausing", draft.status.candidate, f"pauses at {before}% {long}")
        else:
            draft.move("Gate", draft.status.candidate, f"{step.name} ({number}) at {before}%")
        if steps.advance(draft, step, current):
            draft.wait_for(timedelta(0))
        return
    after = step.weight or 0
    draft.weigh(after)
    draft.set(
        step=current,
        skip_to=None,
        window_end=None,
        verdict=VerdictKind.NO_DATA,
        verdicts=unearned(draft.spec.analysis, draft.status.verdicts, stage_among(draft.steps, step)),
    )
    if step.weight is not None:
        made, key = f", made up of {capacity.made_of(draft.spec, after)}" if draft.by_number else "", by_key(draft.spec)
        made = f" of clients by {named(key)}" if key is not None else made
        text = f"{before}% -> {after}%{made} ({number}): {evidence or 'pods are ready'}"
        draft.move("Weight", draft.status.candidate, text)
    elif step.shadow is not None:
        text = f"{step.shadow.percent}% of requests are mirrored ({number}): {evidence or 'pods are ready'}"
        draft.move("Shadow", draft.status.candidate, text)
    else:
        draft.move("Match", draft.status.candidate, f"{step.name} ({number}): {evidence or 'pods are ready'}")


def _pods(draft: Draft, revision: str | None, wanted: int) -> str:
    workload = draft.workload(revision)
    if workload is None:
        return f"0/{wanted} ready"
    draft.pods_fail = workload.trouble is not None
    return f"{workload.ready}/{wanted} ready" + (f" ({workload.trouble})" if workload.trouble else "")
