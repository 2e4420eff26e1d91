"""Runs a comparer while a shadow step needs one, and only then.

Some gateways answer nobody while a Service that they mirror to has no pods. So nothing mirrors to a comparer that is
not ready, and one that is mirrored to is neither changed nor taken away before the gateway has let go of it.
"""

from modelrollout.api.strategy import Comparer, Step
from modelrollout.api.units import parse_duration
from modelrollout.core.actions import Action, DeleteComparer, EnsureComparer
from modelrollout.core.comparer import fits
from modelrollout.core.draft import Draft


def prepared(draft: Draft, step: Step) -> bool:
    """Say whether a step has the comparer that it needs; ask for it if not."""
    settings = needed(step)
    if settings is None:
        return True
    draft.comparer = settings
    found, status = draft.observed.comparer, draft.status
    if found is not None and found.ready and fits(found, status.stable, status.candidate, settings):
        return True
    draft.say("waiting for the comparer's pod before requests are mirrored to it")
    draft.wait_for(parse_duration("10s"))
    return False


def needed(step: Step | None) -> Comparer | None:
    """Return the settings of the comparer that a step needs, None where it needs none."""
    if step is None or step.shadow is None or not step.shadow.comparer.enabled:
        return None
    return step.shadow.comparer


def actions(draft: Draft) -> list[Action]:
    """Return what is to be done so that a comparer runs where one is needed, and nowhere else."""
    settings, found, status = draft.comparer or needed(draft.step), draft.observed.comparer, draft.status
    if settings is not None and status.stable is not None and status.candidate is not None:
        busy = found is not None and found.ready and _mirrors(draft)
        if busy or fits(found, status.stable, status.candidate, settings):
            return []
        return [EnsureComparer(status.stable, status.candidate, settings)]
    if found is None or _mirrors(draft) or not draft.drained():
        return []
    return [DeleteComparer()]


def _mirrors(draft: Draft) -> bool:
    """Say whether the gateway may still mirror."""
    route = draft.observed.route
    return route is not None and (route.split.mirror is not None or not route.accepted)
