"""How many pods a revision needs for its share of traffic, and where they come from."""

import math
from dataclasses import dataclass
from typing import Final

from modelrollout.api.spec import Spec

MIN_CANDIDATE: Final = 2
"""A candidate has two pods where stable has as many: one bad node must not be taken for a bad version."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of the two revisions that share the traffic."""

    stable: int
    candidate: int


def share_of(value: int | str, replicas: int) -> int:
    """Return a number of pods, given as such or as a share of the replicas; shares are rounded up."""
    return value if isinstance(value, int) else math.ceil(replicas * int(value.removesuffix("%")) / 100)


def pods_for(spec: Spec, weight: int) -> Pods:
    """Return the pods that both revisions must have when `weight` per cent of requests reach the candidate.

    The candidate gets what its share needs, stable all that is left of replicas and surge, up to its replicas. Where
    surge is small, stable shrinks as the candidate grows, but not below the floor while it may have to take over.
    """
    replicas = spec.replicas
    if replicas == 0:
        return Pods(0, 0)
    surge = share_of(spec.strategy.surge, replicas)
    floor = min(replicas, max(1, share_of(spec.strategy.floor, replicas)))
    wanted = _by_number(replicas, weight) if spec.traffic.service else _by_share(replicas, weight, surge)
    candidate = max(0, min(wanted, replicas + surge - floor))
    stable = min(replicas, replicas + surge - candidate)
    if spec.traffic.service and 50 < weight < 100:
        stable = min(stable, max(floor, round(candidate * (100 - weight) / weight)))
    return Pods(stable, candidate)


def _by_share(replicas: int, weight: int, surge: int) -> int:
    least = min(MIN_CANDIDATE, max(1, surge))
    return min(replicas, max(least, math.ceil(replicas * weight / 100)))


def _by_number(replicas: int, weight: int) -> int:
    """Return the pods that make up a share of all pods: without a gateway every pod gets as much as any other."""
    if weight >= 50:
        return replicas
    return max(1, round(replicas * weight / (100 - weight)))


NEAR: Final = 3
"""Points by which a share made up of whole pods may miss the weight that was asked for."""


def weight_of(pods: Pods) -> int:
    """Return the share of connections (per cent) that the candidate gets where each pod gets as many."""
    return round(100 * pods.candidate / (pods.stable + pods.candidate)) if pods.candidate else 0


def reachable_weights(spec: Spec) -> tuple[int, ...]:
    """Return weights that whole pods can make up, each about double the one before: default steps without gateway."""
    weights = []
    pods = 1
    while pods <= spec.replicas:
        weights.append(round(100 * pods / (spec.replicas + pods)))
        pods *= 2
    return tuple(dict.fromkeys(weights)) or (50,)


def lacking(spec: Spec) -> str | None:
    """Say why surge and floor leave no pod for a candidate, if so."""
    if spec.replicas and pods_for(spec, 100).candidate == 0:
        return (
            f"spec.strategy: surge {spec.strategy.surge} and floor {spec.strategy.floor} of {spec.replicas} replicas "
            "leave no pod for a candidate; raise surge or replicas"
        )
    return None
