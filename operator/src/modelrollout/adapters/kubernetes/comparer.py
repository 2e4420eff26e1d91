"""The comparer of a rollout as apply bodies: one Deployment and one Service, pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelrollout.adapters.kubernetes.objects import SERVICE_PORT, Object, metadata
from modelrollout.adapters.kubernetes.resources import DEPLOYMENTS, SERVICES
from modelrollout.api.base import COMPARES_LABEL, GROUP, NAME_LABEL, ROLE_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.strategy import Comparer
from modelrollout.core.comparer import digest
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER

ROLE: Final = COMPARER
PODS_LABEL: Final = f"{GROUP}/comparer"
"""On the pods in place of the rollout's name: what selects the rollout's own pods by name, such as an autoscaler or a
disruption budget, must not find these."""
REQUESTS_PORT: Final = 8080
METRICS_PORT: Final = 8081
_USER: Final = 65532


@dataclass(frozen=True, slots=True)
class Shape:
    """What the comparer's pods are like; memory bounds what its queue and answers can take, see docs/comparer.md."""

    replicas: int = 1
    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "96Mi"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "384Mi"})
    pull_policy: str = "IfNotPresent"
    pull_secrets: Sequence[str] = ()
    options: Sequence[str] = ()
    """Further options of `modelrollout comparer`, such as `--concurrency=128`."""


def comparer_name(rollout: ModelRollout) -> str:
    """Return the name that Deployment and Service share: at most 61 characters."""
    return f"{rollout.metadata.name}-{ROLE}"


def compares(stable: str, candidate: str, comparing: Comparer) -> str:
    """Return the label that tells which revisions it asks, and by which settings: `<stable>.<candidate>.<digest>`."""
    return f"{stable}.{candidate}.{digest(comparing)}"


def comparer_deployment(  # noqa: PLR0913 - each says one thing about it
    rollout: ModelRollout, stable: str, candidate: str, image: str, *, comparing: Comparer, shape: Shape | None = None
) -> Object:
    """Return the Deployment of the comparer of two revisions."""
    shape = shape or Shape()
    head = metadata(DEPLOYMENTS, rollout, comparer_name(rollout), _labels(rollout))
    head["metadata"]["labels"][COMPARES_LABEL] = compares(stable, candidate, comparing)
    selector = _selector(rollout)
    pod = {
        "metadata": {
            "labels": selector,
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(METRICS_PORT),
                "prometheus.io/path": "/metrics",
            },
        },
        "spec": _pod(image, shape, [ROLE, *_arguments(rollout, stable, candidate, comparing), *shape.options]),
    }
    return {
        **head,
        "spec": {
            "replicas": shape.replicas,
            "selector": {"matchLabels": selector},
            # Counters of the one before would go on for a while beside those of the next.
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 0,
            "template": pod,
        },
    }


def comparer_service(rollout: ModelRollout) -> Object:
    """Return the Service that gateways mirror to, and through which people read disagreements."""
    head = metadata(SERVICES, rollout, comparer_name(rollout), _labels(rollout))
    ports = [
        {"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": "http"},
        {"name": "metrics", "port": METRICS_PORT, "protocol": "TCP", "targetPort": "metrics"},
    ]
    return {**head, "spec": {"selector": _selector(rollout), "ports": ports}}


def _labels(rollout: ModelRollout) -> dict[str, str]:
    return {NAME_LABEL: rollout.metadata.name, ROLE_LABEL: ROLE}


def _selector(rollout: ModelRollout) -> dict[str, str]:
    return {PODS_LABEL: rollout.metadata.name, ROLE_LABEL: ROLE}


def _pod(image: str, shape: Shape, arguments: Sequence[str]) -> Object:
    container: dict[str, Any] = {
        "name": ROLE,
        "image": image,
        "imagePullPolicy": shape.pull_policy,
        "args": list(arguments),
        "ports": [
            {"name": "http", "containerPort": REQUESTS_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": _probe("/healthz", periodSeconds=10, failureThreshold=3),
        "readinessProbe": _probe("/readyz", periodSeconds=2, failureThreshold=3),
        "resources": {"requests": dict(shape.requests), "limits": dict(shape.limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Object = {
        # It asks the API server for nothing.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if shape.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in shape.pull_secrets]
    return spec


def _probe(path: str, **more: int) -> Object:
    return {"httpGet": {"path": path, "port": "metrics"}, "timeoutSeconds": 5, **more}


def _arguments(rollout: ModelRollout, stable: str, candidate: str, comparing: Comparer) -> Iterator[str]:
    name, namespace = rollout.metadata.name, rollout.metadata.namespace
    yield f"--namespace={namespace}"
    yield f"--rollout={name}"
    for side, revision in (("stable", stable), ("candidate", candidate)):
        yield f"--{side}={revision}"
        yield f"--{side}-url=http://{object_name(name, revision)}.{namespace}.svc:{SERVICE_PORT}"
    yield f"--tolerance={comparing.tolerance:g}"
    yield f"--relative-tolerance={comparing.relative_tolerance:g}"
    yield "--top1" if comparing.top1 else "--no-top1"
    yield from (f"--path={path}" for path in comparing.paths)
    yield from (f"--ignore={path}" for path in comparing.ignore)
    yield f"--noise={comparing.noise}"
    yield f"--timeout={comparing.timeout}"
    yield f"--samples={comparing.samples}"
    yield from (f"--redact={path}" for path in comparing.redact)
    yield "--no-redact-inputs" if comparing.keep_inputs else "--redact-inputs"
    yield "--log-format=json"
