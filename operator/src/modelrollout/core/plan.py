"""The decision: `plan` looks at a rollout and says what to do, what to remember, and when to look again."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelrollout.api.base import NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import AT_REST, Phase, Reason, Status
from modelrollout.core import intake, progress, promotion, rollback
from modelrollout.core.actions import Plan, Watch
from modelrollout.core.conditions import conditions
from modelrollout.core.converge import actions
from modelrollout.core.draft import Draft
from modelrollout.core.evidence import guard
from modelrollout.core.evidence.judge import Judge, judge, measured, past_wanted
from modelrollout.core.evidence.stages import COMPARED, COMPARER, Stage
from modelrollout.core.evidence.wording import with_effect
from modelrollout.core.observed import Observed
from modelrollout.core.settings import Settings

REVISIONS: Final = 32


def plan(rollout: ModelRollout, observed: Observed, now: datetime, settings: Settings, judge: Judge = judge) -> Plan:
    """Decide. Pure: the same arguments give the same plan.

    `rollout.status` is all that is remembered; between two saves the shell hands in the status of the last plan.
    `now` is in UTC; it is cut to the second, as times in a status are.
    """
    draft = Draft(rollout, observed, now.replace(microsecond=0), settings, judge, rollout.status)
    draft.set(observed_generation=rollout.metadata.generation)
    _decide(draft)
    _describe(draft)
    save = _worth_saving(draft)
    if save:
        verdicts = [with_effect(verdict) if verdict.evidence else verdict for verdict in draft.status.verdicts]
        draft.set(reported=draft.now, unsaved=False, verdicts=verdicts)
    elif draft.status != rollout.status:
        draft.set(unsaved=True)
    todo = actions(draft, save=save)
    return Plan(tuple(todo), draft.status, _requeue(draft), _watch(draft))


def refused(raw_status: dict[str, Any], generation: int, message: str, now: datetime) -> Status:
    """Return the status for a resource that cannot even be read; everything else in it stays as it was."""
    try:
        status = Status.model_validate(raw_status)
    except ValueError:
        status = Status()
    now = now.astimezone(UTC).replace(microsecond=0)
    status = status.model_copy(update={"observed_generation": generation, "message": message[:1000]})
    return status.model_copy(update={"conditions": conditions(status, message, now)})


def _decide(draft: Draft) -> None:
    """Run the phase; should the route say that this attempt was already rolled back, the rollout is over."""
    intake.take_template(draft)
    intake.take_request(draft)
    match draft.status.phase:
        case Phase.INITIALIZING:
            progress.initialize(draft)
        case Phase.PROGRESSING | Phase.PAUSED:
            progress.progress(draft)
        case Phase.GUARDING:
            promotion.guard_promoted(draft)
        case _:
            pass
    if draft.status.queued is not None and draft.status.phase in AT_REST:
        draft.wait_for(timedelta(0))
    latch = draft.observed.route.latch if draft.observed.route else None
    attempt, _, why = (latch or "").partition(" ")
    if attempt == str(draft.status.attempt) and draft.rollout.status.attempt == draft.status.attempt:
        rollback.roll_back(draft, "RolledBack", why or "rolled back by an operator that was then restarted")


def _describe(draft: Draft) -> None:
    """Bring the parts of the status up to date that follow from the rest."""
    status, stable = draft.status, draft.workload(draft.status.stable)
    revisions = [r for r in status.revisions if r in draft.observed.workloads or r in (status.stable, status.candidate)]
    for revision in (status.stable, status.target, status.candidate):
        if revision is not None and revision not in revisions:
            revisions.insert(0, revision)
    # An autoscaler measures all pods that share the traffic: with stable's alone it would shrink a stable that has
    # given most of its requests to the candidate, and the whole rollout with it.
    labels = f"{NAME_LABEL}={draft.rollout.metadata.name},{REVISION_LABEL}"
    draft.set(
        replicas=sum(workload.total for workload in draft.observed.workloads.values()),
        ready_replicas=stable.ready if stable else 0,
        selector=labels,
        revisions=revisions[:REVISIONS],
    )
    observed = draft.observed
    told = conditions(draft.status, observed.terminal, draft.now, aside=observed.aside, pods_fail=draft.pods_fail)
    draft.set(conditions=told)


_LAZY: Final = {
    "verdicts",
    "verdict",
    "message",
    "window_end",
    "replicas",
    "ready_replicas",
    "reported",
    "conditions",
    "step",
}
"""Fields that change with every window; by themselves they are written every `report_every` only."""
_EAGER: Final = tuple(sorted(set(Status.model_fields) - _LAZY - {"unsaved"}))
_ODD: Final = (Reason.NO_TRAFFIC, Reason.PROVIDER_ERROR, Reason.UNREADABLE, Reason.DOUBTFUL, Reason.TRAFFIC_SPLIT)


def _worth_saving(draft: Draft) -> bool:
    """Say whether to write the status now; what only evidence changes may wait, so that a window costs no write."""
    before, after = draft.rollout.status, draft.status
    if before == after and not before.unsaved:
        return False
    if _intent_changed(draft) or _oddities(before) != _oddities(after):
        return True
    patience = draft.settings.report_every * (5 if after.phase is Phase.GUARDING else 1)
    due = before.reported + patience if before.reported else draft.now
    draft.wait(due)
    return draft.now >= due


def _oddities(status: Status) -> set[tuple[str, Reason]]:
    return {(verdict.name, verdict.reason) for verdict in status.verdicts if verdict.reason in _ODD}


def _intent_changed(draft: Draft) -> bool:
    before, after = draft.rollout.status, draft.status
    if any(getattr(before, name) != getattr(after, name) for name in _EAGER):
        return True
    truth_before = {c.type: (c.status, c.reason) for c in before.conditions}
    truth_after = {c.type: (c.status, c.reason) for c in after.conditions}
    index_before = before.step.index if before.step else None
    index_after = after.step.index if after.step else None
    return truth_before != truth_after or index_before != index_after


def _watch(draft: Draft) -> Watch | None:
    status = draft.status
    if status.window_end is None or status.stable is None:
        return None
    if status.phase is Phase.GUARDING and status.previous is not None:
        return Watch(status.previous, status.stable, status.window_end, (guard.source(draft.spec.analysis),))
    if draft.exposed and status.candidate is not None:
        names = measured(draft.spec.analysis, draft.stage)
        past = past_wanted(draft.spec.analysis, status.verdicts, draft.stage)
        presets = dict.fromkeys(COMPARED, COMPARER) if draft.stage is Stage.SHADOW else {}
        return Watch(status.stable, status.candidate, status.window_end, names, past, presets)
    return None


def _requeue(draft: Draft) -> timedelta | None:
    if not draft.deadlines:
        return None
    return max(min(draft.deadlines) - draft.now, draft.settings.grain)
