"""Istio: a VirtualService of our own, with DestinationRules, and one named route of somebody else's."""

import copy
from typing import Final

from modelrollout.adapters.kubernetes.resources import VIRTUAL_SERVICES
from tests.contract.routers.case import MATCH, MIRROR, STICKY, Case, Edit
from tests.support.kube import Object


def _to(host: str) -> Object:
    return {"destination": {"host": host, "port": {"number": 80}}}


def _weigh(spec: Object) -> None:
    spec["http"][-1]["route"][0]["weight"] = 1


def _turn_port(spec: Object) -> None:
    spec["http"][-1]["route"][0]["destination"]["port"]["number"] = 81


def _add_target(spec: Object) -> None:
    spec["http"][-1]["route"].append({**_to("theirs"), "weight": 0})


def _drop_candidate(spec: Object) -> None:
    spec["http"][-1]["route"].pop()


def _rename(spec: Object) -> None:
    spec["http"][-1]["name"] = "other"


def _insert(spec: Object) -> None:
    spec["http"].insert(0, {"name": "other", "route": [_to("theirs")]})


def _delay(spec: Object) -> None:
    spec["http"][-1]["fault"] = {"delay": {"fixedDelay": "1s", "percentage": {"value": 100}}}


def _host(spec: Object) -> None:
    spec["hosts"] = ["other.example.com"]


def _gateway(spec: Object) -> None:
    spec["gateways"] = ["mesh"]


OWN_EDITS: Final[dict[str, Edit]] = {
    "weight": _weigh,
    "port": _turn_port,
    "their target": _add_target,
    "no candidate": _drop_candidate,
    "name of the route": _rename,
    "their route first": _insert,
    "fault": _delay,
    "hosts": _host,
    "gateways": _gateway,
}

_OTHER: Final[Object] = {"name": "other", "match": [{"uri": {"exact": "/health"}}], "route": [_to("health")]}
_MODEL: Final[Object] = {
    "name": "model",
    "match": [{"uri": {"prefix": "/v2"}, "headers": {"x-region": {"exact": "eu"}}}, {"uri": {"prefix": "/v3"}}],
    "route": [_to("old")],
    "mirrors": [{**_to("audit"), "percentage": {"value": 1}}],
    "timeout": "10s",
    "retries": {"attempts": 0},
    "headers": {"request": {"set": {"x-team": "risk"}}},
}
_REST: Final[Object] = {"route": [_to("rest")]}


def _model(spec: Object) -> Object:
    return next(one for one in spec["http"] if one.get("name") == "model")


def _not_ours(spec: Object) -> object:
    """Return the spec without the targets of the adopted route, our mirror in it, and our route before it."""
    spec = copy.deepcopy(spec)
    spec["http"] = [one for one in spec["http"] if one.get("name") != "model-fraud"]
    model = _model(spec)
    del model["route"]
    model["mirrors"] = [one for one in model["mirrors"] if not one["destination"]["host"].startswith("fraud-")]
    return spec


def _weigh_adopted(spec: Object) -> None:
    _model(spec)["route"][0]["weight"] = 1


def _add_adopted(spec: Object) -> None:
    _model(spec)["route"].append({**_to("theirs"), "weight": 0})


POLICY: Final[Object] = {
    "connectionPool": {"http": {"http2MaxRequests": 100}},
    "loadBalancer": {"simple": "LEAST_REQUEST"},
}
HOSTS: Final = ["fraud.example.com", "fraud"]

CASES: Final = (
    Case(
        name="VirtualService of our own",
        router="istio",
        traffic={"istio": {"hosts": HOSTS, "gateways": ["gateway/public", "mesh"]}},
        resource=VIRTUAL_SERVICES,
        theirs={"hosts": ["theirs.example.com"], "http": [{"route": [_to("theirs")]}]},
        can=frozenset({MIRROR, MATCH, STICKY}),
        edits=OWN_EDITS,
        previews=True,
        kept=lambda spec: {key: value for key, value in spec.items() if key not in ("hosts", "gateways", "http")},
    ),
    Case(
        name="VirtualService and DestinationRules",
        router="istio",
        traffic={"istio": {"hosts": HOSTS, "gateways": ["gateway/public"], "trafficPolicy": POLICY}},
        resource=VIRTUAL_SERVICES,
        theirs={"hosts": ["theirs.example.com"], "http": [{"route": [_to("theirs")]}]},
        can=frozenset({MIRROR, MATCH, STICKY}),
        edits=OWN_EDITS,
        previews=True,
    ),
    Case(
        name="VirtualService adopted",
        router="istio",
        traffic={"istio": {"virtualService": {"name": "shop", "rule": "model"}}},
        resource=VIRTUAL_SERVICES,
        object="shop",
        theirs={"hosts": ["shop.example.com"], "gateways": ["mesh"], "http": [_OTHER, _MODEL, _REST]},
        can=frozenset({MIRROR, MATCH, STICKY}),
        adopted=True,
        edits={"weight": _weigh_adopted, "their target": _add_adopted},
        kept=_not_ours,
    ),
)
