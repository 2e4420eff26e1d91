"""Gateway API: routes of our own, and a rule of somebody else's, of both kinds."""

import copy
from typing import Any, Final

from modelrollout.adapters.kubernetes.resources import GRPC_ROUTES, HTTP_ROUTES, Resource
from tests.contract.routers.case import MATCH, MIRROR, STICKY, Case, Edit, Setting
from tests.support.kube import Object

PARENTS: Final = [{"name": "public", "namespace": "gateway", "sectionName": "web"}, {"name": "internal"}]
THEIR_PARENTS: Final = [{"name": "public", "namespace": "gateway"}]


def parent(
    raw: Object, ref: Object, behind: int = 0, controller: str = "gateway.example/controller", **conditions: str
) -> Object:
    """Return what a gateway says of one parent of a route: Accepted="True" or Accepted="False"."""
    return {
        "parentRef": ref,
        "controllerName": controller,
        "conditions": [
            {
                "type": name,
                "status": status,
                "reason": "NoMatchingParent" if status == "False" else name,
                "message": "no listener named web" if status == "False" else "",
                "observedGeneration": raw["metadata"]["generation"] - behind,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
            for name, status in conditions.items()
        ],
    }


def answer(setting: Setting, raw: Object, *parents: Object) -> None:
    """Play the gateway: give a route this status."""
    setting.api.patch(
        raw["kind"],
        raw["metadata"]["name"],
        {"status": {"parents": list(parents)}},
        api=raw["apiVersion"],
        namespace=setting.key.namespace,
        sub="status",
    )


def accept(setting: Setting) -> None:
    """Play a gateway that takes every route of the rollout as it is."""
    for raw in setting.ours():
        if raw["kind"] in ("HTTPRoute", "GRPCRoute"):
            parents = [parent(raw, ref, Accepted="True", ResolvedRefs="True") for ref in raw["spec"]["parentRefs"]]
            answer(setting, raw, *parents)


def _put(*place: str | int, value: object) -> Edit:
    def edit(spec: Any) -> None:
        for part in place[:-1]:
            spec = spec[part]
        if value is None:
            del spec[place[-1]]
        else:
            spec[place[-1]] = value

    return edit


def _backend(name: str) -> Object:
    return {"name": name, "port": 80}


OWN_EDITS: Final[dict[str, Edit]] = {
    "hostnames": _put("hostnames", value=["other.example.com"]),
    "no hostnames": _put("hostnames", value=None),
    "parents": _put("parentRefs", value=[{"name": "other"}]),
    "weight": _put("rules", 0, "backendRefs", 0, "weight", value=1),
    "port": _put("rules", 0, "backendRefs", 0, "port", value=81),
    "their backend": lambda spec: spec["rules"][0]["backendRefs"].append(_backend("theirs")),
    "no candidate": lambda spec: spec["rules"][0]["backendRefs"].pop(),
    "filter": _put(
        "rules",
        0,
        "filters",
        value=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X-A"]}}],
    ),
    "their rule first": lambda spec: spec["rules"].insert(0, {"backendRefs": [_backend("theirs")]}),
    "name of the rule": _put("rules", 0, "name", value="other"),
}


def _their_rules(kind: str) -> list[Object]:
    """Return rules of somebody else with all that must stay: of which `model` is adopted."""
    modified = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "X-Team", "value": "risk"}]},
    }
    mirrored = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "fraud-audit", "port": 80}}}
    header = [{"headers": [{"name": "X-Region", "value": "eu"}]}]
    if kind == "GRPCRoute":
        other: Object = {"name": "other", "matches": [{"method": {"service": "other.Service"}}]}
        matches = [{"method": {"service": "inference.GRPCInferenceService"}}, *header]
    else:
        other = {"name": "other", "matches": [{"path": {"type": "Exact", "value": "/health"}}]}
        matches = [{"path": {"type": "PathPrefix", "value": "/v2"}, "method": "POST"}, *header]
    other["backendRefs"] = [_backend("health")]
    model = {"name": "model", "matches": matches, "filters": [modified, mirrored], "backendRefs": [_backend("old")]}
    if kind == "HTTPRoute":
        model["timeouts"] = {"request": "10s"}
    return [other, model, {"backendRefs": [{**_backend("rest"), "weight": 3}]}]


def _not_ours(spec: Object) -> object:
    """Return the spec without the backends of the adopted rule, our mirror in it, and our rule before it."""
    spec = copy.deepcopy(spec)
    spec["rules"] = [rule for rule in spec["rules"] if rule.get("name") != "model-fraud"]
    for rule in spec["rules"]:
        if rule.get("name") == "model":
            rule.pop("backendRefs", None)
            rule["filters"] = [
                one
                for one in rule["filters"]
                if one.get("requestMirror", {}).get("backendRef", {}).get("name", "fraud-audit") == "fraud-audit"
            ]
    return spec


def _model(spec: Object) -> Object:
    return next(rule for rule in spec["rules"] if rule.get("name") == "model")


def _weigh(spec: Object) -> None:
    _model(spec)["backendRefs"][0]["weight"] = 1


def _add_backend(spec: Object) -> None:
    _model(spec)["backendRefs"].append(_backend("theirs"))


def _turn_port(spec: Object) -> None:
    _model(spec)["backendRefs"][0]["port"] = 81


ADOPTED_EDITS: Final[dict[str, Edit]] = {"weight": _weigh, "their backend": _add_backend, "port": _turn_port}


def _cases(resource: Resource) -> tuple[Case, ...]:
    kind = resource.kind
    own = {"kind": kind, "parentRefs": PARENTS, "hostnames": ["fraud.example.com"]}
    if kind == "HTTPRoute":
        own["pathPrefix"] = "/v1"
    can, theirs = frozenset({MIRROR, MATCH, STICKY}), {"parentRefs": THEIR_PARENTS, "rules": _their_rules(kind)}
    owned = Case(
        name=f"{kind} of our own",
        router="gatewayAPI",
        traffic={"gatewayAPI": own},
        resource=resource,
        theirs={"hostnames": ["theirs.example.com"]},
        can=can,
        edits=OWN_EDITS,
        previews=True,
        accept=accept,
    )
    adopted = Case(
        name=f"{kind} adopted",
        router="gatewayAPI",
        traffic={"gatewayAPI": {"kind": kind, "route": {"name": "shop", "rule": "model"}}},
        resource=resource,
        object="shop",
        theirs=theirs,
        can=can,
        adopted=True,
        edits=ADOPTED_EDITS,
        kept=_not_ours,
        accept=accept,
    )
    return owned, adopted


CASES: Final = (*_cases(HTTP_ROUTES), *_cases(GRPC_ROUTES))
