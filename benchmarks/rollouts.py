"""The ModelRollouts that benchmarks apply, and what they wait for in them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.support.kube import Object

from benchmarks.lab import Lab, wait

API: Final = "modelrollout.dev/v1alpha1"
KIND: Final = "ModelRollout"
WEIGHTS: Final = (5, 20, 40, 60, 80)
MODEL: Final = "modelrollout/model-server:dev"
IDLE: Final = ("Promoted", "RolledBack")
PARALLEL: Final = 8


def rollout(
    namespace: str, name: str, *, container: Object, replicas: int, steps: Sequence[Object], **more: Any
) -> Object:
    """Return a ModelRollout on the lab's gateway; `more` goes into its strategy."""
    return {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"automountServiceAccountToken": False, "containers": [container]}},
            "traffic": {
                "gatewayAPI": {
                    "parentRefs": [{"name": "public", "namespace": "gateway"}],
                    "hostnames": [host_of(namespace, name)],
                }
            },
            "strategy": {"type": "Canary", "steps": list(steps), **more},
            "analysis": {"preset": "traefik"},
        },
    }


def host_of(namespace: str, name: str) -> str:
    """Return the host name that a rollout's route answers to."""
    return f"{name}.{namespace}.example"


def model(version: str, *, error_rate: float = 0.0) -> Object:
    """Return a container of the reference model server; failures are drawn anew in every process."""
    settings = {"MODEL_VERSION": version, "ERROR_RATE": str(error_rate)}
    return {
        "name": "model",
        "image": MODEL,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "256Mi"}},
    }


def idler(version: str, image: str = MODEL) -> Object:
    """Return a container that only has to exist."""
    return {
        "name": "model",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "MODEL_VERSION", "value": version}],
    }


def apply_all(lab: Lab, documents: Sequence[Object]) -> None:
    """Apply rollouts, some at a time."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda document: lab.kube.apply(document, manager="benchmarks"), documents))


def listed(lab: Lab, namespace: str) -> list[Object]:
    """Return the rollouts of a namespace."""
    return list(lab.kube.list(KIND, api=API, namespace=namespace))


def status_of(lab: Lab, namespace: str, name: str) -> Object:
    """Return a rollout's status; empty while it has none."""
    return dict(lab.kube.get(KIND, name, api=API, namespace=namespace).get("status") or {})


def is_idle(document: Object, attempt: int = 0) -> bool:
    """Whether the operator has acted on the newest spec and is done, with at least that many rollouts begun."""
    status = document.get("status") or {}
    seen = status.get("observedGeneration") == document["metadata"]["generation"]
    return bool(seen and status.get("phase") in IDLE and status.get("attempt", 0) >= attempt)


def wait_idle(lab: Lab, namespace: str, count: int, *, attempt: int = 0, seconds: float) -> None:
    """Wait until so many rollouts of a namespace are idle, and no other is there."""

    def all_idle() -> bool:
        found = listed(lab, namespace)
        return len(found) == count and all(is_idle(one, attempt) for one in found)

    wait(f"{count} idle rollouts in {namespace}", all_idle, seconds=seconds)


def wait_done(lab: Lab, namespace: str, name: str, *, attempt: int, seconds: float) -> Object:
    """Wait for the end of a rollout, good or bad; returns its status."""

    def ended() -> Object | None:
        document = lab.kube.get(KIND, name, api=API, namespace=namespace)
        return dict(document["status"]) if is_idle(document, attempt) else None

    return wait(f"the end of rollout {attempt} of {namespace}/{name}", ended, seconds=seconds) or {}
