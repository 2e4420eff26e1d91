"""The preview: a Service that leads to the candidate while there is one, and to what serves else."""

import json
from collections.abc import Callable
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.resources import SERVICES
from modelrollout.api.base import GROUP, NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout

ASKED: Final = f"{GROUP}/port"
"""`spec.traffic.port` at the last write: where requests go is then asked of the revision."""


def preview_name(rollout: str) -> str:
    """Return the name of a rollout's preview Service."""
    return f"{rollout}-preview"


def preview_service(rollout: ModelRollout, revision: str, port: int | str) -> dict[str, Any]:
    """Return the apply body of the preview Service; `port` is where requests go in a pod."""
    name = rollout.metadata.name
    head = objects.metadata(SERVICES, rollout, preview_name(name), {NAME_LABEL: name})
    head["metadata"]["annotations"] = {ASKED: json.dumps(rollout.spec.traffic.port)}
    ports = [{"name": "http", "port": objects.SERVICE_PORT, "protocol": "TCP", "targetPort": port}]
    return {**head, "spec": {"selector": objects.revision_labels(name, revision), "ports": ports}}


def preview_of(routes: Routes) -> Callable[[ModelRollout], str | None]:
    """Return what tells the revision that a rollout's preview Service points at; '' where it is to be written anew."""

    def read(rollout: ModelRollout) -> str | None:
        name, namespace = rollout.metadata.name, rollout.metadata.namespace
        raw = routes.get(SERVICES, namespace, preview_name(name))
        if raw is None or not objects.is_ours(raw, {NAME_LABEL: name}):
            return None
        selector = (raw.get("spec") or {}).get("selector") or {}
        asked = (raw["metadata"].get("annotations") or {}).get(ASKED)
        return str(selector.get(REVISION_LABEL, "")) if asked == json.dumps(rollout.spec.traffic.port) else ""

    return read
