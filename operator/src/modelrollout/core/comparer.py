"""The comparer of a rollout: run only while a shadow step needs it."""

import hashlib

from modelrollout.api.strategy import Comparer, Step
from modelrollout.api.units import parse_duration
from modelrollout.core.actions import Action, DeleteComparer, EnsureComparer
from modelrollout.core.draft import Draft


def digest(settings: Comparer) -> str:
    """Return what tells one comparer's settings from another's, short enough for a label."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]


def prepared(draft: Draft, step: Step) -> bool:
    """Say whether a step has the comparer that it needs; ask for it if not."""
    if step.shadow is None or not step.shadow.comparer.enabled:
        return True
    draft.comparer = step.shadow.comparer
    if _fits(draft) and draft.observed.comparer is not None and draft.observed.comparer.ready:
        return True
    draft.say("waiting for the comparer's pod before requests are mirrored to it")
    draft.wait_for(parse_duration("10s"))
    return False


def actions(draft: Draft) -> list[Action]:
    """Return what is to be done so that a comparer runs where one is needed, and nowhere else."""
    settings, step = draft.comparer, draft.step
    if settings is None and step is not None and step.shadow is not None and step.shadow.comparer.enabled:
        settings = step.shadow.comparer
    status = draft.status
    if settings is not None and status.stable is not None and status.candidate is not None:
        draft.comparer = settings
        return [] if _fits(draft) else [EnsureComparer(status.stable, status.candidate, settings)]
    route = draft.observed.route
    mirrors = route is not None and route.split.mirror is not None
    return [DeleteComparer()] if draft.observed.comparer is not None and not mirrors else []


def _fits(draft: Draft) -> bool:
    found, status = draft.observed.comparer, draft.status
    if found is None or draft.comparer is None:
        return False
    wanted = (status.stable, status.candidate, digest(draft.comparer))
    return (found.stable, found.candidate, found.settings) == wanted
