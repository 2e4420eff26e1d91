"""Strategies and routers of the lab, as the rollouts of each are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.load import ENVOY, PATH, TRAEFIK, over_grpc

Object = dict[str, Any]
WEIGHTS: Final = (20, 50)
BUDGET: Final = "5%"
"""Harm that stories about something else than evidence put up with: they need a tenth of the requests."""


@dataclass(frozen=True, slots=True)
class Router:
    """One way for requests to come, end to end."""

    name: str
    preset: str
    """Where errors and latency are read from."""
    traffic: Callable[[str], Object]
    """`spec.traffic` for a host name."""
    target: Callable[[str], str]
    """The URL that clients ask, for a namespace."""
    host: bool = True
    """Whether clients name the rollout's host."""
    connections: str = "keep"
    mirrors: bool = True
    grpc: bool = False
    """Whether clients call by gRPC."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to give a candidate its traffic."""

    name: str
    spec: Callable[[Router], Object]
    metrics: tuple[Mapping[str, Any], ...] = ({"name": "errors"}, {"name": "latency"})
    reaches: str = "Weight"
    """The move after which a candidate is in the middle of its rollout."""


def _gateway(namespace: str) -> Callable[[str], Object]:
    return lambda host: {
        "gatewayAPI": {"parentRefs": [{"name": "public", "namespace": namespace}], "hostnames": [host]}
    }


def _grpc(namespace: str) -> Callable[[str], Object]:
    def traffic(host: str) -> Object:
        route = _gateway(namespace)(host)["gatewayAPI"]
        return {"port": "grpc", "gatewayAPI": {"kind": "GRPCRoute", **route}}

    return traffic


_ROUTERS: Final = (
    Router("gateway-api/traefik", "traefik", _gateway("gateway"), lambda _: TRAEFIK + PATH, mirrors=False),
    Router("gateway-api/envoy", "envoy-gateway", _gateway("envoy"), lambda _: ENVOY + PATH),
    Router(
        "traefik",
        "traefik-crd",
        lambda host: {"traefik": {"match": f"Host(`{host}`)", "entryPoints": ["web"]}},
        lambda _: TRAEFIK + PATH,
    ),
    Router(
        "service",
        "model-server",
        lambda _: {"service": {}},
        lambda namespace: f"http://fraud.{namespace}.svc{PATH}",
        host=False,
        connections="new",
        mirrors=False,
    ),
    Router("grpc/traefik", "model-server", _grpc("gateway"), lambda _: over_grpc(TRAEFIK), mirrors=False, grpc=True),
    Router("grpc/envoy", "model-server", _grpc("envoy"), lambda _: over_grpc(ENVOY), mirrors=False, grpc=True),
)


ROUTERS: Final = {router.name: router for router in _ROUTERS}


def _canary(router: Router) -> Object:
    # Without a gateway the weights follow from the pods, so the defaults are taken.
    steps = {} if router.name == "service" else {"steps": [{"weight": weight} for weight in WEIGHTS]}
    return {"type": "Canary", "minStepDuration": "2s", "guard": {"duration": "5s"}, **steps}


def _blue_green(_: Router) -> Object:
    return {"type": "BlueGreen", "guard": {"duration": "15s"}}


def _shadow(_: Router) -> Object:
    steps: list[Object] = [{"shadow": {"percent": 20}}, *({"weight": weight} for weight in WEIGHTS)]
    return {"type": "Shadow", "steps": steps, "minStepDuration": "2s", "guard": {"duration": "5s"}}


_STRATEGIES: Final = (
    Strategy("canary", _canary),
    Strategy("blue-green", _blue_green, reaches="Promoted"),
    Strategy(
        "shadow",
        _shadow,
        ({"name": "errors"}, {"name": "latency"}, {"name": "agreement", "minAgreement": "90%"}),
        reaches="Shadow",
    ),
)


STRATEGIES: Final = {strategy.name: strategy for strategy in _STRATEGIES}


@dataclass(frozen=True, slots=True)
class Cell:
    """A strategy over a router."""

    strategy: Strategy
    router: Router
    budget: str | None = None
    """`spec.analysis.harmBudget`; None: the default."""

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.strategy.name} {self.router.name}"

    def spec(self, host: str) -> Object:
        """Return what a rollout of this cell has instead of the usual."""
        return {
            "traffic": self.router.traffic(host),
            "strategy": self.strategy.spec(self.router),
            "analysis": {
                "preset": self.router.preset,
                "metrics": [dict(one) for one in self.strategy.metrics],
                **({"harmBudget": self.budget} if self.budget else {}),
            },
        }


def cells() -> tuple[Cell, ...]:
    """Return every combination that the soak plays."""
    return tuple(
        Cell(strategy, router)
        for strategy in STRATEGIES.values()
        for router in ROUTERS.values()
        if not router.grpc and (router.mirrors or strategy.name != "shadow")
    )


def cell(strategy: str, router: str) -> Cell:
    """Return one combination by its names; a few requests are evidence enough that it may go on."""
    return Cell(STRATEGIES[strategy], ROUTERS[router], BUDGET)
