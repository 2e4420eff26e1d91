"""Carries out what a plan asks for, on the synthetic cluster."""

from modelrollout.core.actions import (
    Action,
    CloseGate,
    DeleteComparer,
    DeleteRevision,
    EnsureComparer,
    EnsureRevision,
    OpenGate,
    ScaleRevision,
    SetPreview,
    SetRoute,
)
from modelrollout.simulate.checks import Checks
from modelrollout.simulate.cluster import Cluster


def act(action: Action, cluster: Cluster, checks: Checks) -> bool:
    """Carry out an action; True where the operator will see a change of its own making."""
    match action:
        case EnsureRevision(revision, replicas) | ScaleRevision(revision, replicas):
            cluster.scale(revision, replicas)
        case DeleteRevision(revision):
            cluster.delete(revision)
        case SetRoute(split, latch):
            cluster.set_route(split, latch)
        case SetPreview(revision):
            cluster.preview = revision
        case EnsureComparer(stable, candidate, settings):
            cluster.ensure_comparer(stable, candidate, settings)
        case DeleteComparer():
            cluster.delete_comparer()
        case OpenGate():
            checks.open(action, cluster.now)
        case CloseGate(ident):
            checks.close(ident)
        case _:
            return False
    return True
