"""Traffic by a Gateway API HTTPRoute of the rollout's own name, which we own as a whole.

Rules and backends are atomic lists, so nobody can own a single weight: what anybody else changes in the spec is
seen as a difference and written over.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import HTTP_ROUTES, Resource
from modelrollout.api.base import LATCH_ANNOTATION, NAME_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError

RULE: Final = "modelrollout"
GATEWAY_GROUP: Final = "gateway.networking.k8s.io"

Object = dict[str, Any]


class GatewayApiRouter:
    """Writes and reads HTTPRoutes."""

    resources: tuple[Resource, ...] = (HTTP_ROUTES,)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._api = api
        self._routes = routes

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what this router cannot do."""

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the route; TerminalError where a route of that name is somebody else's."""
        meta = rollout.metadata
        if self._routes.get(HTTP_ROUTES, meta.namespace, meta.name) is None:
            await self._check_free(rollout)
        written = await self._api.apply(HTTP_ROUTES, http_route(rollout, split.weights, latch))
        self._routes.event(HTTP_ROUTES, "MODIFIED", written)

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret an HTTPRoute: its weights, whether it is as we write it, and whether the gateways took it."""
        raw = self._routes.get(HTTP_ROUTES, rollout.metadata.namespace, rollout.metadata.name)
        if raw is None:
            return None
        weights = dict(_weights(rollout, raw.get("spec") or {}))
        wanted = http_route(rollout, weights, None)["spec"]
        problem = next(_problems(raw), None)
        return Route(
            split=Split(weights),
            current=_canonical(raw.get("spec")) == _canonical(wanted),
            accepted=problem is None and _accepted(wanted["parentRefs"], raw),
            latch=(raw["metadata"].get("annotations") or {}).get(LATCH_ANNOTATION),
            problem=problem,
        )

    async def _check_free(self, rollout: ModelRollout) -> None:
        # Only before the first write: a forced apply would take over the route of somebody else without a word.
        meta = rollout.metadata
        try:
            found = await self._api.get(HTTP_ROUTES, meta.namespace, meta.name)
        except NotFound:
            return
        if not objects.is_ours(found, {NAME_LABEL: meta.name}):
            raise TerminalError(
                f"HTTPRoute {meta.namespace}/{meta.name} exists and was not made by this rollout; delete it, "
                f"label it {NAME_LABEL}={meta.name} to hand it over, or give the rollout another name"
            )


def http_route(rollout: ModelRollout, weights: Mapping[str, int], latch: str | None) -> Object:
    """Return the apply body of the route; every field that the API server would fill in is spelled out."""
    gateway, name = rollout.spec.traffic.gateway_api, rollout.metadata.name
    if gateway is None:
        raise TerminalError(f"ModelRollout {rollout.metadata.namespace}/{name}: spec.traffic.gatewayAPI is missing")
    head = objects.metadata(HTTP_ROUTES, rollout, name, {NAME_LABEL: name})
    if latch is not None:
        head["metadata"]["annotations"] = {LATCH_ANNOTATION: latch}
    parents = [
        {"group": GATEWAY_GROUP, "kind": "Gateway", **ref.model_dump(by_alias=True, exclude_none=True)}
        for ref in gateway.parent_refs
    ]
    backends = [
        {
            "group": "",
            "kind": "Service",
            "name": object_name(name, revision),
            "port": objects.SERVICE_PORT,
            "weight": weight,
        }
        for revision, weight in weights.items()
    ]
    match = {"path": {"type": "PathPrefix", "value": gateway.path_prefix}}
    spec: Object = {"parentRefs": parents, "rules": [{"name": RULE, "matches": [match], "backendRefs": backends}]}
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return {**head, "spec": spec}


def _weights(rollout: ModelRollout, spec: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield revision and weight of each backend that is ours."""
    prefix = object_name(rollout.metadata.name, "")
    for rule in spec.get("rules") or []:
        for backend in rule.get("backendRefs") or []:
            name = str(backend.get("name", ""))
            if name.startswith(prefix):
                yield name.removeprefix(prefix), int(backend.get("weight", 1))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


Identity = tuple[str, str, str, str, str, str]


def _identity(ref: Mapping[str, Any], namespace: str) -> Identity:
    """Return what tells one parent from another; gateways fill in defaults when they repeat a reference."""
    return (
        str(ref.get("group", GATEWAY_GROUP)),
        str(ref.get("kind", "Gateway")),
        str(ref.get("namespace") or namespace),
        str(ref["name"]),
        str(ref.get("sectionName") or ""),
        str(ref.get("port") or ""),
    )


def _conditions(raw: Mapping[str, Any]) -> Iterator[tuple[Identity, Mapping[str, Any]]]:
    """Yield each parent's conditions that speak of this very generation of the route."""
    generation, namespace = int(raw["metadata"].get("generation", 0)), str(raw["metadata"]["namespace"])
    for parent in (raw.get("status") or {}).get("parents") or []:
        for condition in parent.get("conditions") or []:
            if int(condition.get("observedGeneration", 0)) >= generation:
                yield _identity(parent["parentRef"], namespace), condition


def _problems(raw: Mapping[str, Any]) -> Iterator[str]:
    for parent, condition in _conditions(raw):
        if condition.get("type") in ("Accepted", "ResolvedRefs") and condition.get("status") == "False":
            reason, message = condition.get("reason", "?"), condition.get("message", "")
            yield f"Gateway {parent[2]}/{parent[3]}: {condition['type']} is False: {reason}: {message}".strip(": ")


def _accepted(parents: list[Object], raw: Mapping[str, Any]) -> bool:
    accepted = {
        parent
        for parent, condition in _conditions(raw)
        if condition.get("type") == "Accepted" and condition.get("status") == "True"
    }
    namespace = str(raw["metadata"]["namespace"])
    return all(_identity(parent, namespace) in accepted for parent in parents)
