"""Why pods are not ready, told from their status: pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 200
RESTARTS: Final = 3
"""Restarts after which another one is not expected to help."""
_STARTING: Final = ("ContainerCreating", "PodInitializing", None)

Pod = Mapping[str, Any]


def trouble_of(pods: Iterable[Pod]) -> tuple[str | None, bool]:
    """Return the first trouble found among pods, and whether any of them crashes again and again.

    A crash loop is told before anything else, for no wait will mend it.
    """
    looping: str | None = None
    first: str | None = None
    for pod in pods:
        for text, loops in _troubles(pod):
            first = first or text
            looping = looping or (text if loops else None)
    found = looping or first
    return (found[:LONGEST] if found else None), looping is not None


def _troubles(pod: Pod) -> Iterator[tuple[str, bool]]:
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or []:
            yield from _container(container)
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield _join(condition.get("reason"), condition.get("message")), False
    if status.get("phase") == "Failed":
        yield _join(status.get("reason") or "Failed", status.get("message")), False


def _container(container: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    name, restarts = container.get("name"), int(container.get("restartCount", 0))
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended = (container.get("lastState") or {}).get("terminated") or {}
    crashed = int(ended.get("exitCode", 0)) != 0
    reason = waiting.get("reason")
    if reason == "CrashLoopBackOff" or (restarts >= RESTARTS and crashed and not container.get("ready")):
        cause = f"container {name} exited with code {ended.get('exitCode', '?')}"
        if ended.get("reason") not in (None, "Error"):
            cause += f" ({ended['reason']})"
        yield f"CrashLoopBackOff: {cause}, {restarts} restarts", restarts >= RESTARTS
    elif reason not in _STARTING:
        yield _join(reason, waiting.get("message")), False


def _join(reason: str | None, message: str | None) -> str:
    return f"{reason or 'NotReady'}: {message}" if message else str(reason or "NotReady")
