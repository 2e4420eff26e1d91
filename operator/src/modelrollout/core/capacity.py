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


def floor_of(spec: Spec) -> int:
    """Return the pods that stable keeps at least, however small surge is."""
    return min(spec.replicas, max(1, share_of(spec.strategy.floor, spec.replicas)))


def pods_for(spec: Spec, weight: int) -> Pods:
    """Return the pods that both revisions must have when `weight` per cent of requests reach the candidate.

    The candidate gets what its share needs, stable all that is left of replicas and surge, up to its replicas. Where
    surge is small, stable shrinks as the candidate grows, but not below the floor while it may have to take over.
    """
    replicas = spec.replicas
    if replicas == 0:
        return Pods(0, 0)
    surge = share_of(spec.strategy.surge, replicas)
    floor = floor_of(spec)
    most = min(replicas, replicas + surge - floor)
    if spec.traffic.service and 0 < weight < 100 and most:
        return _by_number(replicas, surge, floor, weight)
    wanted = _by_share(replicas, weight, surge)
    if spec.traffic.service:
        wanted = replicas if weight else 1
    candidate = max(0, min(wanted, most))
    return Pods(min(replicas, replicas + surge - candidate), candidate)


def _by_share(replicas: int, weight: int, surge: int) -> int:
    least = min(MIN_CANDIDATE, max(1, surge))
    return min(replicas, max(least, math.ceil(replicas * weight / 100)))


NEAR: Final = 3
"""Points by which a share made up of whole pods may miss the weight that was asked for."""


def weight_of(pods: Pods) -> int:
    """Return the share of connections (per cent) that the candidate gets where each pod gets as many."""
    return round(_exact(pods)) if pods.candidate else 0


def made_of(spec: Spec, weight: int) -> str:
    """Say what pods make up a weight, and how near they come: `1 of 11 pods (9%)`."""
    pods = pods_for(spec, weight)
    return f"{pods.candidate} of {pods.candidate + pods.stable} pods ({weight_of(pods)}%)"


def _exact(pods: Pods) -> float:
    return 100 * pods.candidate / (pods.stable + pods.candidate)


def _by_number(replicas: int, surge: int, floor: int, weight: int) -> Pods:
    """Return the pods that make up a share of all pods: without a gateway every pod gets as much as any other.

    The candidate has what its share of a whole stable takes, stable as many as leave that share near enough; where
    none does, the nearest. Both together are no fewer than the replicas. The candidate never shrinks as weights rise.
    """
    most = replicas + surge
    candidate = min(round(replicas * weight / (100 - weight)), round(most * weight / 100), most - floor, replicas)
    candidate = max(1, candidate)
    low, high = max(floor, replicas - candidate), min(replicas, most - candidate)
    least = weight - NEAR
    stable = math.floor(candidate * (100 - least) / least) if least > 0 else high
    near, next_one = (Pods(max(low, min(high, pods)), candidate) for pods in (stable, stable + 1))
    return next_one if _missed(next_one, weight) < _missed(near, weight) > NEAR else near


def _missed(pods: Pods, weight: int) -> float:
    return abs(_exact(pods) - weight)


def reachable_weights(spec: Spec) -> tuple[int, ...]:
    """Return weights that whole pods can make up, each about double the one before: default steps without gateway."""
    surge = share_of(spec.strategy.surge, spec.replicas)
    weights: list[int] = []
    pods = 1
    while pods <= spec.replicas:
        weight = weight_of(Pods(max(1, min(spec.replicas, spec.replicas + surge - pods)), pods))
        if weight <= 50 and weight == weight_of(pods_for(spec, weight)):
            weights.append(weight)
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
