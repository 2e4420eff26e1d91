"""Traefik: a TraefikService of our own, alone and with an IngressRoute of our own."""

from typing import Final

from modelrollout.adapters.kubernetes.resources import TRAEFIK_SERVICES
from tests.contract.routers.case import ISSUED, MATCH, MIRROR, STABLE, STICKY, Case, Edit
from tests.support.kube import Object


def _weigh(spec: Object) -> None:
    spec["weighted"]["services"][0]["weight"] = 1


def _turn_port(spec: Object) -> None:
    spec["weighted"]["services"][0]["port"] = 81


def _add_service(spec: Object) -> None:
    spec["weighted"]["services"].append({"name": "theirs", "port": 80, "weight": 1})


def _drop_candidate(spec: Object) -> None:
    spec["weighted"]["services"].pop()


def _stick(spec: Object) -> None:
    spec["weighted"]["sticky"] = {"cookie": {"name": "theirs", "secure": True}}


def _mirror(spec: Object) -> None:
    spec["mirroring"] = {"name": f"fraud-{STABLE}", "port": 80, "mirrors": [{"name": "theirs", "port": 80}]}


EDITS: Final[dict[str, Edit]] = {
    "weight": _weigh,
    "port": _turn_port,
    "their service": _add_service,
    "no candidate": _drop_candidate,
    "sticky": _stick,
    "mirroring": _mirror,
}
THEIRS: Final[Object] = {"weighted": {"services": [{"name": "theirs", "port": 80}]}}

CASES: Final = (
    Case(
        name="TraefikService",
        router="traefik",
        traffic={"traefik": {}},
        resource=TRAEFIK_SERVICES,
        theirs=THEIRS,
        can=frozenset({MIRROR, ISSUED}),
        edits=EDITS,
    ),
    Case(
        name="TraefikService and IngressRoute",
        router="traefik",
        traffic={"traefik": {"match": "Host(`fraud.example.com`) || Host(`a.example`)", "entryPoints": ["web"]}},
        resource=TRAEFIK_SERVICES,
        theirs=THEIRS,
        can=frozenset({MIRROR, MATCH, STICKY, ISSUED}),
        edits=EDITS,
        previews=True,
    ),
)
