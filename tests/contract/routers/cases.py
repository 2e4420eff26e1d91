"""Every router that the suite runs with."""

from typing import Final

from tests.contract.routers import gateway_api, istio, service, traefik
from tests.contract.routers.case import Case

CASES: Final[tuple[Case, ...]] = (*gateway_api.CASES, *istio.CASES, *traefik.CASES, *service.CASES)
