"""The pods that each step of a strategy asks for."""

from modelrollout.api.spec import Spec
from modelrollout.api.strategy import Step
from modelrollout.core.capacity import Pods, pods_for, share_of
from modelrollout.core.strategies import steps_of


def pods_at(spec: Spec, index: int) -> Pods:
    """Return the pods that both revisions have at a step: a candidate does not shrink during its rollout."""
    steps, replicas = steps_of(spec), spec.replicas
    surge = share_of(spec.strategy.surge, replicas)
    shares = [share_at(step) for step in (steps[0], *steps[: index + 1])]
    by_number = spec.traffic.service is not None and any(0 < (step.weight or 0) < 100 for step in steps)
    if surge >= replicas and not by_number and any(step.switch is not None for step in steps):
        shares.append(100)
    found = [pods_for(spec, share) for share in shares]
    candidate = max(pods.candidate for pods in found)
    return Pods(min(found[shares.index(max(shares))].stable, max(0, replicas + surge - candidate)), candidate)


def share_at(step: Step) -> int:
    """Return the per cent of requests, or copies, that a step brings to the candidate."""
    if step.shadow is not None:
        return step.shadow.percent
    if step.switch is not None:
        return 100
    return step.match.share if step.match is not None else step.weight or 0
