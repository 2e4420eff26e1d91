"""The preview: a Service that leads to the candidate while there is one, and to what serves else."""

from collections.abc import Callable
from typing import Any

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.resources import SERVICES
from modelrollout.api.base import NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.ports import Key


def preview_name(rollout: str) -> str:
    """Return the name of a rollout's preview Service."""
    return f"{rollout}-preview"


def preview_service(rollout: ModelRollout, revision: str, port: int | str) -> dict[str, Any]:
    """Return the apply body of the preview Service; `port` is where requests go in a pod."""
    name = rollout.metadata.name
    head = objects.metadata(SERVICES, rollout, preview_name(name), {NAME_LABEL: name})
    ports = [{"name": "http", "port": objects.SERVICE_PORT, "protocol": "TCP", "targetPort": port}]
    return {**head, "spec": {"selector": objects.revision_labels(name, revision), "ports": ports}}


def preview_of(routes: Routes) -> Callable[[Key], str | None]:
    """Return what tells the revision that a rollout's preview Service points at."""

    def read(key: Key) -> str | None:
        raw = routes.get(SERVICES, key.namespace, preview_name(key.name))
        if raw is None or not objects.is_ours(raw, {NAME_LABEL: key.name}):
            return None
        selector = (raw.get("spec") or {}).get("selector")
        return str(selector[REVISION_LABEL]) if selector and REVISION_LABEL in selector else None

    return read
