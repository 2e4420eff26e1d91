"""The comparer of a rollout: which one a shadow step needs, and whether that is the one that runs."""

import hashlib

from modelrollout.api.strategy import Comparer
from modelrollout.core.observed import ComparerState


def digest(settings: Comparer) -> str:
    """Return what tells one comparer's settings from another's, short enough for a label."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]


def fits(found: ComparerState | None, stable: str | None, candidate: str | None, settings: Comparer) -> bool:
    """Say whether the comparer that was found is the one that is needed."""
    return found is not None and (found.stable, found.candidate, found.settings) == (
        stable,
        candidate,
        digest(settings),
    )
