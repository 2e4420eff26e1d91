"""From the next status to actions: what the cluster must look like, less what it looks like already."""

from dataclasses import replace

from modelrollout.api.status import GateState, Phase
from modelrollout.core import automation, shadowing
from modelrollout.core.actions import (
    Action,
    Announce,
    CloseGate,
    DeleteRevision,
    EnsureBudget,
    EnsureRevision,
    OpenGate,
    SaveStatus,
    ScaleRevision,
    SetPreview,
    SetRoute,
)
from modelrollout.core.capacity import floor_of, pods_for, share_of
from modelrollout.core.draft import Draft
from modelrollout.core.split import Matched, Split
from modelrollout.core.steps.gate import gate_id
from modelrollout.core.sticky import by_key, weight_of


def actions(draft: Draft, *, save: bool) -> list[Action]:
    """Return what is to be done, in an order in which every prefix is safe.

    New pods come before the status that counts on them, the status before the route that it intends (so that a
    successor corrects the route forward), and pods are taken away last. A rollback alone writes the route first.
    """
    ensured = [*_ensure(draft), *shadowing.actions(draft), *_preview(draft), *_budget(draft)]
    route = _route(draft)
    saved: list[Action] = [SaveStatus()] if save else []
    announced: list[Action] = [
        Announce(move, move.move in draft.warnings, automation.tells(draft, move)) for move in draft.moves
    ]
    ordered = [*route, *ensured, *saved] if draft.route_first else [*ensured, *saved, *route]
    return [*ordered, *announced, *_gates(draft), *_shrink(draft)]


def wanted_replicas(draft: Draft) -> dict[str, int]:
    """Return the pods that each revision with a role needs, whether there is room for them by now or not."""
    status, replicas = draft.status, draft.spec.replicas
    surge = share_of(draft.spec.strategy.surge, replicas)
    wanted: dict[str, int] = {}
    if status.stable is None:
        if status.target is not None:
            wanted[status.target] = replicas
        return wanted
    if status.previous is not None:
        guarded = pods_for(draft.spec, 100)
        # All requests reach it: a spec that grants a candidate fewer pods by now takes none away.
        wanted[status.stable] = max(guarded.candidate, _has(draft, status.stable, replicas))
        wanted[status.previous] = min(replicas, max(guarded.stable, replicas + surge - wanted[status.stable]))
        return wanted
    wanted[status.stable] = replicas
    if status.candidate is not None:
        pods = pods_for(draft.spec, _share(draft))
        most = pods_for(draft.spec, 100).candidate
        # Pods that are the share themselves, of an attempt before, have to go before the first share.
        # The spec may leave it none any more, as when replicas go down to 1: while requests reach it, it has one.
        most = max(most, 1) if draft.exposed and replicas else most
        kept = 0 if draft.by_number and not status.weights.candidate else _has(draft, status.candidate, most)
        wanted[status.candidate] = max(pods.candidate, kept)
        rest = max(floor_of(draft.spec), replicas + surge - wanted[status.candidate])
        wanted[status.stable] = min(pods.stable, rest)
    return wanted


def _has(draft: Draft, revision: str, most: int) -> int:
    """Return the pods that a revision has been given, up to `most`: during a rollout it does not shrink."""
    workload = draft.workload(revision)
    return min(workload.desired, most) if workload else 0


def _share(draft: Draft) -> int:
    """Return the largest share of requests that the candidate has, is about to get, or must be ready for."""
    step, first = draft.step, draft.steps[0]
    whole = share_of(draft.spec.strategy.surge, draft.spec.replicas) >= draft.spec.replicas
    if whole and not draft.by_number and any(one.switch is not None for one in draft.steps):
        return 100
    by_step = step.share if step is not None and step.weight is None else 0
    return max(first.weight or 0, draft.wanted, draft.status.weights.candidate, by_step)


def _ensure(draft: Draft) -> list[Action]:
    """Create and grow what the roles need; apply the template's own revision anew when the spec has changed."""
    result: list[Action] = []
    changed = draft.rollout.status.observed_generation != draft.rollout.metadata.generation
    for revision, replicas in _affordable(draft).items():
        workload = draft.workload(revision)
        if revision == draft.observed.desired and draft.observed.terminal is None and (workload is None or changed):
            result.append(EnsureRevision(revision, replicas))
        elif workload is not None and workload.desired != replicas:
            result.append(ScaleRevision(revision, replicas))
    return result


def _affordable(draft: Draft) -> dict[str, int]:
    """Return the pods to ask for now, those that shrink first.

    In all never more than replicas and surge: what grows waits until others have let go of theirs. Pods beyond that
    would wait for a node that is not there, or have one bought for the seconds until the others are gone.
    """
    wanted = wanted_replicas(draft)
    held = {revision: workload.desired for revision, workload in draft.observed.workloads.items()}
    has = {revision: held.get(revision, 0) for revision in wanted}
    granted = {revision: min(pods, has[revision]) for revision, pods in wanted.items()}
    room = draft.spec.replicas + share_of(draft.spec.strategy.surge, draft.spec.replicas)
    room -= sum({**held, **granted}.values())
    for revision, pods in wanted.items():
        more = max(0, min(pods - granted[revision], room))
        granted[revision] += more
        room -= more
    return dict(sorted(granted.items(), key=lambda item: item[1] >= has[item[0]]))


def _carried(draft: Draft) -> Split:
    """Return what the route should say, less matches and copies that are new to a candidate without pods for them."""
    want, route, step = draft.split, draft.observed.route, draft.step
    share = max(step.share if step is not None else 0, draft.status.weights.candidate)
    if draft.ready(draft.status.candidate) >= pods_for(draft.spec, share).candidate:
        return want
    said = route.split if route is not None else Split()
    matched = said.matched if want.matched == said.matched or _grew(draft, said) else None
    copied = want.mirror is None or want.mirror == said.mirror or want.mirror.to != draft.status.candidate
    return replace(want, matched=matched, mirror=want.mirror if copied else None)


def _grew(draft: Draft, said: Split) -> bool:
    """Say whether a route gives the candidate some of the clients that it is to have: those never go back to stable."""
    key, candidate, matched = by_key(draft.spec), draft.status.candidate, said.matched
    if key is None or candidate is None or matched is None or matched != Matched(candidate, patterns=matched.patterns):
        return False
    return 0 < weight_of(key, candidate, matched.patterns) <= draft.status.weights.candidate


def _route(draft: Draft) -> list[Action]:
    want, route = _carried(draft), draft.observed.route
    if not want.weights or draft.workload(draft.status.stable) is None:
        return []
    if route is not None and route.current and route.split == want:
        return []
    # In the guard it is the revision just promoted: its pods may be gone since that was decided.
    gains = draft.status.candidate or (draft.status.stable if draft.status.previous is not None else None)
    share, has = want.share(gains), route.split.share(gains) if route else 0
    if share > has and draft.ready(gains) < pods_for(draft.spec, share).candidate:
        return []
    rolled_back = draft.status.phase is Phase.ROLLED_BACK
    latch = f"{draft.status.attempt} {draft.status.message}"[:1000] if rolled_back else None
    return [SetRoute(want, latch)]


def _preview(draft: Draft) -> list[Action]:
    """Point the preview at the candidate while there is one, else at what serves."""
    if not draft.previews:
        return [] if draft.observed.preview is None else [SetPreview(None)]
    revision = (draft.status.candidate if draft.active else None) or draft.status.stable
    if revision is None or draft.workload(revision) is None or draft.observed.preview == revision:
        return []
    return [SetPreview(revision)]


def _budget(draft: Draft) -> list[Action]:
    seen = draft.observed
    fits = seen.budget_fits or seen.terminal is not None or seen.aside is not None
    return [] if fits else [EnsureBudget()]


def _gates(draft: Draft) -> list[Action]:
    """Open the gate that the rollout stands at, and stop the check that nobody waits for any more."""
    status, step, found = draft.status, draft.step, draft.observed.gate
    index = status.step.index if step is not None and status.step is not None else 0
    gate, standing = step.gate if step is not None else None, status.gate
    if gate is None or standing is None or standing.id != gate_id(draft, index):
        return [] if found is None else [CloseGate(found.id)]
    if found is not None and found.id == standing.id:
        return []
    result: list[Action] = [] if found is None else [CloseGate(found.id)]
    over = standing.state in (GateState.PASSED, GateState.FAILED)
    if gate.approval is None and not over and status.stable and status.candidate and draft.previewed:
        result.append(OpenGate(standing.id, gate, status.stable, status.candidate, index, status.attempt))
    return result


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
        draft.drained()
        return []
    result: list[Action] = []
    for workload in idle:
        routed = route is not None and route.split.names(workload.revision)
        if workload.desired == 0 or routed or route is None or not route.accepted:
            continue
        if not draft.drained():
            break
        result.append(ScaleRevision(workload.revision, 0))
    return [*result, *_forget(draft, roles)]


def _forget(draft: Draft, roles: dict[str, int]) -> list[Action]:
    empty = [
        revision
        for revision in draft.status.revisions
        if revision not in roles
        and revision != draft.status.target
        and not (draft.observed.route and revision in draft.observed.route.kept)
        and (workload := draft.workload(revision)) is not None
        and workload.desired == 0
        and workload.total == 0
    ]
    return [DeleteRevision(revision) for revision in empty[draft.spec.revision_history_limit :]]
