"""A router for an ingress controller that reads weights from an annotation of the Ingress.

An example: it can weigh and nothing else, and says so. What it needs of the operator is a connection to the API server
and the cache of watched objects; `Owned` writes an object without taking one of somebody else over.
"""

from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.objects import SERVICE_PORT
from modelrollout.adapters.kubernetes.owned import Owned
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.adapters.routers.owning import annotation, head, latch_of, same
from modelrollout.adapters.routers.refusing import PREVIEW, STICKY, preview_hostnames, refusal, steps
from modelrollout.api.resource import ModelRollout
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import Split

NAME: Final = "ingress"
INGRESSES: Final = Resource("networking.k8s.io/v1", "Ingress", "ingresses")
WEIGHTS: Final = "ingress.example.com/weights"
"""Revision and weight of each backend: `b2c3d4f5g6=95 c3d4f5g6h7=5`."""


class IngressRouter:
    """Writes and reads Ingresses."""

    resources: tuple[Resource, ...] = (INGRESSES,)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._owned = Owned(api, routes)

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing has to be learnt."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what weights alone cannot do."""
        if preview_hostnames(rollout):
            remedy = "remove hostnames, and let an Ingress of yours lead to the Service of the preview"
            raise refusal(rollout, NAME, PREVIEW, "makes no preview route", remedy)
        if not isinstance(_settings(rollout).get("host"), str):
            place = "spec.traffic.plugin.settings.host"
            raise refusal(rollout, NAME, place, "needs a host name", "give the host of the Ingress")
        if rollout.spec.strategy.sticky is not None:
            raise refusal(rollout, NAME, STICKY, "cannot keep clients with one revision", "remove sticky")
        for kind, what in (("shadow", "mirror"), ("match", "route by headers or cookies")):
            for place, _ in steps(rollout, kind):
                raise refusal(rollout, NAME, place, f"cannot {what}", f"take the {kind} step out, or use gatewayAPI")

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the Ingress; TerminalError where it is somebody else's."""
        await self._owned.write(INGRESSES, rollout, ingress(rollout, split.weights, latch), sole=True)

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the Ingress; without a word of the controller it is accepted as it is written."""
        raw = self._owned.find(INGRESSES, rollout, rollout.metadata.name)
        if raw is None:
            return None
        words = (annotation(raw, WEIGHTS) or "").split()
        weights = {revision: int(weight) for revision, _, weight in (word.partition("=") for word in words)}
        current = bool(weights) and same(raw["spec"], ingress(rollout, weights, None)["spec"])
        return Route(Split(weights), current=current, accepted=True, latch=latch_of(raw))


def ingress(rollout: ModelRollout, weights: Mapping[str, int], latch: str | None) -> dict[str, Any]:
    """Return the apply body of the Ingress; a controller that knows no weights serves the first revision."""
    body = head(INGRESSES, rollout, rollout.metadata.name, latch)
    notes = body["metadata"].setdefault("annotations", {})
    notes[WEIGHTS] = " ".join(f"{revision}={weight}" for revision, weight in weights.items())
    first = object_name(rollout.metadata.name, next(iter(weights)))
    backend = {"service": {"name": first, "port": {"number": SERVICE_PORT}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    rule = {"host": _settings(rollout).get("host", ""), "http": {"paths": [path]}}
    return {**body, "spec": {"rules": [rule]}}


def _settings(rollout: ModelRollout) -> Mapping[str, Any]:
    plugin = rollout.spec.traffic.plugin
    return plugin.settings if plugin else {}
