"""Why pods are not ready."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.pods import trouble_of


def pod(*containers: dict[str, Any], field: str = "containerStatuses", **status: Any) -> dict[str, Any]:
    return {"status": {field: list(containers), **status}}


def waiting(reason: str | None, message: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "model", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
}
CASES = {
    "no pods": ([], None, False),
    "ready": ([pod({"name": "model", "ready": True, "state": {"running": {}}})], None, False),
    "starting": ([pod(waiting("ContainerCreating"), waiting("PodInitializing"))], None, False),
    "no status yet": ([{}], None, False),
    "image": (
        [pod(waiting("ImagePullBackOff", "Back-off pulling image"))],
        "ImagePullBackOff: Back-off pulling image",
        False,
    ),
    "config": (
        [pod(waiting("CreateContainerConfigError", 'secret "x" not found'))],
        'CreateContainerConfigError: secret "x" not found',
        False,
    ),
    "unschedulable": (
        [pod(conditions=[UNSCHEDULED])],
        "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        False,
    ),
    "first crash": (
        [pod(waiting("CrashLoopBackOff", restartCount=1, lastState=ended(1)))],
        "CrashLoopBackOff: container model exited with code 1, 1 restarts",
        False,
    ),
    "crash loop": (
        [pod(waiting("CrashLoopBackOff", restartCount=3, lastState=ended(137, "OOMKilled")))],
        "CrashLoopBackOff: container model exited with code 137 (OOMKilled), 3 restarts",
        True,
    ),
    "between two crashes": (
        [pod({"name": "model", "ready": False, "restartCount": 4, "state": {"running": {}}, "lastState": ended(2)})],
        "CrashLoopBackOff: container model exited with code 2, 4 restarts",
        True,
    ),
    "crashed long ago, serves": (
        [pod({"name": "model", "ready": True, "restartCount": 4, "state": {"running": {}}, "lastState": ended(2)})],
        None,
        False,
    ),
    "stopped in order": (
        [pod({"name": "model", "ready": False, "restartCount": 4, "state": {"running": {}}, "lastState": ended(0)})],
        None,
        False,
    ),
    "init container": (
        [pod(waiting("CrashLoopBackOff", restartCount=5, lastState=ended(1)), field="initContainerStatuses")],
        "CrashLoopBackOff: container model exited with code 1, 5 restarts",
        True,
    ),
    "evicted": (
        [pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")],
        "Evicted: The node was low on resource: memory.",
        False,
    ),
    "a crash loop is told first": (
        [pod(waiting("ErrImagePull", "x")), pod(waiting("CrashLoopBackOff", restartCount=3, lastState=ended(1)))],
        "CrashLoopBackOff: container model exited with code 1, 3 restarts",
        True,
    ),
}


@pytest.mark.parametrize(("pods", "text", "loops"), CASES.values(), ids=CASES)
def test_trouble(pods: list[dict[str, Any]], text: str | None, loops: bool) -> None:
    assert trouble_of(pods) == (text, loops)


def test_long_words_are_cut() -> None:
    text, _ = trouble_of([pod(waiting("ErrImagePull", "x" * 1000))])
    assert text is not None
    assert len(text) == 200
