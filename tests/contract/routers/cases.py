"""Every router that the suite runs with."""

from typing import Final

from tests.contract.routers import example, gateway_api, istio, service, several, traefik
from tests.contract.routers.case import Case

CASES: Final[tuple[Case, ...]] = (
    *gateway_api.CASES,
    *istio.CASES,
    *traefik.CASES,
    *service.CASES,
    *several.CASES,
    *example.CASES,
)
