"""Rollouts and templates for tests, and the operator's own connection to a test's API server."""

from typing import Any

from modelrollout.api.resource import ModelRollout, parse
from tests.support.kube import Kube

REVISION = "b2c3d4f5g6"


def container(**more: Any) -> dict[str, Any]:
    """Return a container with what the API server likes to fill in or to spell anew."""
    return {
        "name": "model",
        "image": "registry.example/fraud:1.5",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "LEVEL", "value": "info"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        **more,
    }


def template(**more: Any) -> dict[str, Any]:
    """Return a pod template; `more` goes into its container."""
    return {"metadata": {"labels": {"team": "risk"}}, "spec": {"containers": [container(**more)]}}


def document(namespace: str, **spec: Any) -> dict[str, Any]:
    """Return a ModelRollout as people write it."""
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": "fraud", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "template": template(),
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "analysis": {"preset": "traefik"},
            **spec,
        },
    }


def rollout_in(api: Kube, namespace: str, **spec: Any) -> ModelRollout:
    """Create a rollout and read it as the operator does."""
    return parse(api.create(document(namespace, **spec)))
