"""Several routers at once: requests from outside come over a gateway, those from inside over the mesh."""

from typing import Final

from modelrollout.adapters.kubernetes.resources import HTTP_ROUTES
from tests.contract.routers.case import MATCH, MIRROR, STICKY, Case
from tests.contract.routers.gateway_api import OWN_EDITS, PARENTS, accept

CASES: Final = (
    Case(
        name="gatewayAPI and istio",
        router="gatewayAPI",
        traffic={
            "gatewayAPI": {"parentRefs": PARENTS, "hostnames": ["fraud.example.com"], "pathPrefix": "/v1"},
            "istio": {"hosts": ["fraud"]},
        },
        resource=HTTP_ROUTES,
        theirs={"hostnames": ["theirs.example.com"]},
        can=frozenset({MIRROR, MATCH, STICKY}),
        edits=OWN_EDITS,
        previews=True,
        accept=accept,
    ),
)
