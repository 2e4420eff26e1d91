"""From the next status to actions: what the cluster must look like, less what it looks like already."""

from datetime import timedelta
from typing import Final

from modelrollout.api.status import Phase
from modelrollout.core.actions import (
    Action,
    Announce,
    DeleteRevision,
    EnsureRevision,
    SaveStatus,
    ScaleRevision,
    SetRoute,
)
from modelrollout.core.capacity import needed
from modelrollout.core.draft import Draft

DRAIN: Final = timedelta(seconds=5)
"""Requests in flight end before the pods that serve them are asked to."""


def actions(draft: Draft, *, save: bool) -> list[Action]:
    """Return what is to be done, in an order in which every prefix is safe.

    New pods come before the status that counts on them, the status before the route that it intends (so that a
    successor corrects the route forward), and pods are taken away last. A rollback alone writes the route first.
    """
    ensured = _ensure(draft)
    route = _route(draft)
    saved: list[Action] = [SaveStatus()] if save else []
    announced: list[Action] = [Announce(move, move.move in draft.warnings) for move in draft.moves]
    ordered = [*route, *ensured, *saved] if draft.route_first else [*ensured, *saved, *route]
    return [*ordered, *announced, *_shrink(draft)]


def wanted_replicas(draft: Draft) -> dict[str, int]:
    """Return the pods that each revision with a role needs."""
    status, replicas = draft.status, draft.spec.replicas
    wanted: dict[str, int] = {}
    if status.stable is None:
        if status.target is not None:
            wanted[status.target] = replicas
        return wanted
    wanted[status.stable] = replicas
    if status.previous is not None:
        wanted[status.previous] = replicas
    if status.candidate is not None:
        workload = draft.workload(status.candidate)
        has = workload.desired if workload else 0
        first = needed(replicas, draft.steps[0].weight or 0)
        need = max(first, draft.wanted, needed(replicas, status.weights.candidate))
        wanted[status.candidate] = min(replicas, max(need, has))
    return wanted


def _ensure(draft: Draft) -> list[Action]:
    """Create and grow what the roles need; apply the template's own revision anew when the spec has changed."""
    result: list[Action] = []
    changed = draft.rollout.status.observed_generation != draft.rollout.metadata.generation
    for revision, replicas in wanted_replicas(draft).items():
        workload = draft.workload(revision)
        if revision == draft.observed.desired and draft.observed.terminal is None and (workload is None or changed):
            result.append(EnsureRevision(revision, replicas))
        elif workload is not None and workload.desired != replicas:
            result.append(ScaleRevision(revision, replicas))
    return result


def intended_weights(draft: Draft) -> dict[str, int]:
    """Return the split that the status intends, stable first; empty while nothing serves."""
    status = draft.status
    if status.stable is None:
        return {}
    if status.candidate is None or status.weights.candidate == 0:
        return {status.stable: 100}
    return {status.stable: status.weights.stable, status.candidate: status.weights.candidate}


def _route(draft: Draft) -> list[Action]:
    want, route = intended_weights(draft), draft.observed.route
    if not want or draft.workload(draft.status.stable) is None:
        return []
    if route is not None and route.current and dict(route.weights) == want:
        return []
    candidate = draft.status.candidate
    share = want.get(candidate, 0) if candidate else 0
    has = route.weights.get(candidate, 0) if route and candidate else 0
    if share > has and draft.ready(candidate) < needed(draft.spec.replicas, share):
        return []
    rolled_back = draft.status.phase is Phase.ROLLED_BACK
    latch = f"{draft.status.attempt} {draft.status.message}"[:1000] if rolled_back else None
    return [SetRoute(want, latch)]


def _shrink(draft: Draft) -> list[Action]:
    """Take pods from revisions without a role once the gateway has let go of them, and forget the oldest."""
    status, route = draft.status, draft.observed.route
    roles = wanted_replicas(draft)
    idle = [w for r, w in draft.observed.workloads.items() if r not in roles]
    if status.stable is None:
        return [ScaleRevision(workload.revision, 0) for workload in idle if workload.desired]
    if not idle:
        return []
    if draft.moves:
        draft.wait_for(DRAIN + draft.settings.settle)
        return []
    last = status.history[-1].at if status.history else None
    rest = last + DRAIN + draft.settings.settle if last else draft.now
    result: list[Action] = []
    for workload in idle:
        routed = route is not None and workload.revision in route.weights
        if workload.desired == 0 or routed or route is None or not route.accepted:
            continue
        if draft.now < rest:
            draft.wait(rest)
            continue
        result.append(ScaleRevision(workload.revision, 0))
    return [*result, *_forget(draft, roles)]


def _forget(draft: Draft, roles: dict[str, int]) -> list[Action]:
    empty = [
        revision
        for revision in draft.status.revisions
        if revision not in roles
        and revision != draft.status.target
        and (workload := draft.workload(revision)) is not None
        and workload.desired == 0
        and workload.total == 0
    ]
    return [DeleteRevision(revision) for revision in empty[draft.spec.revision_history_limit :]]
