"""Routers: one file for each way to split requests.

Another package brings one with an entry point in the group `modelrollout.routers`, named like the field under
`spec.traffic` that chooses it: a class made from an `Api` and a `Routes`, with the methods of ports.TrafficRouter
and a `resource` that tells what to watch. Under the name of a router that is here, it takes its place.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.adapters.routers.gateway_api import GatewayApiRouter
from modelrollout.api.resource import ModelRollout
from modelrollout.core.observed import Route
from modelrollout.ports import TerminalError

GROUP: Final = "modelrollout.routers"


class Router(Protocol):
    """A TrafficRouter over one kind of object."""

    resource: Resource
    """Watched for it, by the label modelrollout.dev/name."""

    async def set(self, rollout: ModelRollout, weights: Mapping[str, int], latch: str | None) -> None:
        """Write the route; see ports.TrafficRouter."""

    def read(self, rollout: ModelRollout, raw: Mapping[str, Any] | None) -> Route | None:
        """Interpret the route; see ports.TrafficRouter."""


class Routers:
    """Every router there is, made once for a connection and a cache."""

    def __init__(self, api: Api, routes: Routes) -> None:
        self._routers: dict[str, Router] = {"gatewayAPI": GatewayApiRouter(api, routes)}
        for point in entry_points(group=GROUP):
            self._routers[point.name] = point.load()(api, routes)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The kinds of objects to watch."""
        return tuple({router.resource for router in self._routers.values()})

    def router_for(self, rollout: ModelRollout) -> Router:
        """Return the router that a rollout's `spec.traffic` chooses; TerminalError where there is none."""
        chosen = [name for name in rollout.spec.traffic.model_dump(by_alias=True, exclude_none=True) if name != "port"]
        for name in chosen:
            if name in self._routers:
                return self._routers[name]
        raise TerminalError(
            f"ModelRollout {rollout.metadata.namespace}/{rollout.metadata.name}: spec.traffic names no router that "
            f"is installed ({', '.join(sorted(self._routers))}); add one of these fields, or install its package"
        )
