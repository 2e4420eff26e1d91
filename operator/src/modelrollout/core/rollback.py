"""The way back: from any phase, in one write to the route."""

from modelrollout.api.status import Phase
from modelrollout.core.draft import Draft


def roll_back(draft: Draft, why: str, message: str, *, by: str | None = None) -> None:
    """Give up the candidate, or, in the guard, the revision just promoted. Idempotent: at rest it does nothing.

    `why` names the kind of move: RolledBack for evidence, Aborted for a person, TimedOut, NotReady.
    """
    status = draft.status
    rejected: str | None
    serving: str | None
    if status.phase is Phase.GUARDING and status.previous is not None:
        rejected, serving = status.stable, status.previous
    elif draft.active:
        rejected, serving = status.candidate, status.stable
    else:
        return
    draft.route_first = True
    draft.weigh(0)
    draft.set(
        phase=Phase.ROLLED_BACK,
        stable=serving,
        candidate=None,
        previous=None,
        step=None,
        guard_until=None,
        paused=None,
        skip_to=None,
        window_end=None,
    )
    draft.move(why, rejected, message, by=by, warn=True)
