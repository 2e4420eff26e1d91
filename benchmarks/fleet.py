"""Many rollouts at replicas 0, which is all of the controller's work without a pod."""

from typing import Final

from tests.support.kube import Object

from benchmarks.lab import Lab
from benchmarks.rollouts import WEIGHTS, apply_all, idler, rollout, wait_idle

GUARD: Final = 10


def member(namespace: str, number: int, version: str = "1") -> Object:
    """Return one rollout of the fleet."""
    steps = [{"weight": weight} for weight in WEIGHTS]
    timing = {"minStepDuration": "5s", "guard": {"duration": f"{GUARD}s"}}
    return rollout(namespace, f"idle-{number:04}", container=idler(version), replicas=0, steps=steps, **timing)


def idle_fleet(lab: Lab, namespace: str, count: int) -> None:
    """Bring a namespace to so many idle rollouts of version 1."""
    apply_all(lab, [member(namespace, number) for number in range(count)])
    wait_idle(lab, namespace, count, seconds=120 + count)
