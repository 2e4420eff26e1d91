"""A router that another package brings: the package, and how the suite uses it."""

from pathlib import Path
from typing import Final

from modelrollout.adapters.kubernetes.resources import Resource
from tests.contract.routers.case import Case
from tests.support.kube import Object

FOLDER: Final = Path(__file__).parent
INGRESSES: Final = Resource("networking.k8s.io/v1", "Ingress", "ingresses")


def _other_class(spec: Object) -> None:
    spec["ingressClassName"] = "other"


def _other_service(spec: Object) -> None:
    spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "other"


CASES: Final = (
    Case(
        name="plugin of another package",
        router="ingress",
        traffic={"plugin": {"name": "ingress", "settings": {"host": "fraud.example.com"}}},
        resource=INGRESSES,
        theirs={"rules": [{"host": "theirs.example.com"}]},
        edits={"class": _other_class, "service": _other_service},
    ),
)
