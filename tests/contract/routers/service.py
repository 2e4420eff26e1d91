"""The plain Service: of the rollout's name, and of another."""

from typing import Final

from modelrollout.adapters.kubernetes.resources import SERVICES
from tests.contract.routers.case import CANDIDATE, STABLE, Case, Edit
from tests.support.kube import Object


def _pin(spec: Object) -> None:
    spec["selector"]["modelrollout.dev/revision"] = CANDIDATE


def _widen(spec: Object) -> None:
    spec["selector"] = {"app": "other"}


def _narrow(spec: Object) -> None:
    spec["selector"]["app"] = "other"


def _turn_port(spec: Object) -> None:
    spec["ports"][0]["targetPort"] = 9999


EDITS: Final[dict[str, Edit]] = {
    "pinned": _pin,
    "their pods": _widen,
    "another label": _narrow,
    "port": _turn_port,
}


def _theirs(port: int) -> Object:
    return {"selector": {"app": "theirs", "revision": STABLE}, "ports": [{"port": port, "targetPort": 1234}]}


CASES: Final = (
    Case(
        name="Service",
        router="service",
        traffic={"service": {}},
        resource=SERVICES,
        theirs=_theirs(80),
        edits=EDITS,
        share=33,
    ),
    Case(
        name="Service of another name",
        router="service",
        traffic={"service": {"name": "public", "port": 8000}},
        resource=SERVICES,
        theirs=_theirs(8000),
        object="public",
        edits=EDITS,
        share=50,
    ),
)
