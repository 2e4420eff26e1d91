"""The objects that a rollout becomes, as apply bodies: pure, and only with fields that we own."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.fields import items, mapping
from modelrollout.adapters.kubernetes.resources import DEPLOYMENTS, SERVICES, Resource
from modelrollout.api.base import API_VERSION, KIND, NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.units import parse_duration
from modelrollout.core.revision import object_name
from modelrollout.ports import TerminalError

SERVICE_PORT: Final = 80
MANAGED_BY: Final = "app.kubernetes.io/managed-by"

Object = dict[str, Any]


def revision_labels(rollout: str, revision: str) -> dict[str, str]:
    """Return the labels that select the pods of a revision."""
    return {NAME_LABEL: rollout, REVISION_LABEL: revision}


def is_ours(raw: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether an object carries all these labels."""
    found = raw.get("metadata", {}).get("labels") or {}
    return all(found.get(key) == value for key, value in labels.items())


def metadata(resource: Resource, rollout: ModelRollout, name: str, labels: Mapping[str, str]) -> Object:
    """Return the head of an apply body: apiVersion, kind and metadata.

    Without an owner reference the object outlives the rollout, which keeps its traffic flowing.
    """
    meta: Object = {
        "name": name,
        "namespace": rollout.metadata.namespace,
        "labels": {**labels, MANAGED_BY: "modelrollout"},
    }
    if rollout.spec.deletion_policy == "Delete":
        meta["ownerReferences"] = [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": rollout.metadata.name,
                "uid": rollout.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {"apiVersion": resource.api, "kind": resource.kind, "metadata": meta}


def deployment(rollout: ModelRollout, revision: str, template: Mapping[str, Any], replicas: int) -> Object:
    """Return the Deployment of a revision."""
    labels = revision_labels(rollout.metadata.name, revision)
    head = metadata(DEPLOYMENTS, rollout, object_name(rollout.metadata.name, revision), labels)
    return {
        **head,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "progressDeadlineSeconds": round(parse_duration(rollout.spec.progress_deadline).total_seconds()),
            "revisionHistoryLimit": 0,
            "template": _spread(_labelled(template, labels), labels),
        },
    }


def service(rollout: ModelRollout, revision: str, template: Mapping[str, Any]) -> Object:
    """Return the Service of a revision; TerminalError where no container port can be told from the template."""
    labels = revision_labels(rollout.metadata.name, revision)
    head = metadata(SERVICES, rollout, object_name(rollout.metadata.name, revision), labels)
    port = {"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": target_port(rollout, template)}
    return {**head, "spec": {"selector": labels, "ports": [port]}}


def target_port(rollout: ModelRollout, template: Mapping[str, Any]) -> int | str:
    """Return where requests go in a pod: the port asked for, else the one named http, else the first one.

    TerminalError, naming field and remedy, where there is none.
    """
    what = f"ModelRollout {rollout.metadata.namespace}/{rollout.metadata.name}"
    ports = list(_ports(template))
    names = [port["name"] for port in ports if port.get("name")]
    wanted = rollout.spec.traffic.port
    if isinstance(wanted, str) and wanted not in names:
        raise TerminalError(
            f"{what}: spec.traffic.port: no container of the template has a port named {wanted!r} "
            f"(named ports: {', '.join(names) or 'none'}); name a container port so, or give a number"
        )
    if wanted is not None:
        return wanted
    if "http" in names:
        return "http"
    for port in ports:
        if isinstance(port.get("containerPort"), int):
            return int(port["containerPort"])
    raise TerminalError(
        f"{what}: spec.template.spec.containers[0].ports: no port to send requests to; "
        "list the container's port there, or give spec.traffic.port"
    )


def _ports(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for container in items(mapping(template, "spec"), "containers"):
        yield from items(container, "ports")


def _spread(template: Object, labels: Mapping[str, str]) -> Object:
    """Ask for pods on different nodes where the user says nothing of it: one bad node is no bad version."""
    pod = mapping(template, "spec")
    if "topologySpreadConstraints" in pod:
        return template
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }
    return {**template, "spec": {**pod, "topologySpreadConstraints": [constraint]}}


def _labelled(template: Mapping[str, Any], labels: Mapping[str, str]) -> Object:
    meta = mapping(template, "metadata")
    return {**template, "metadata": {**meta, "labels": {**mapping(meta, "labels"), **labels}}}
