"""What keeps Envoy from losing requests while a route changes: backends that a rule names, but sends nothing to.

Envoy Gateway drops the cluster of a Service that no rule names, a moment before Envoy hears of the new rules, and Envoy
may hear of a rule before it hears of the cluster that the rule leads to. A request in between finds no cluster, and
fails. So a Service is named before its first request, and still named after its last.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.routers.gateway_rules import Object
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import AT_REST
from modelrollout.api.traffic import GatewayAPI
from modelrollout.core.split import Split
from modelrollout.ports import Key

CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
"""The controller of Envoy Gateway."""
HEADER: Final = "X-Modelrollout-Keep"
WARM_UP: Final = 1.0
"""Seconds from the first mention of a revision to its first request."""
RETRY: Final = 0.5
"""Seconds until another look at a route that the gateway has not taken yet."""
COOL_DOWN: Final = 5.0
"""Seconds after the last request of a backend until its name may go from somebody else's route."""
MOST_RULES: Final = 16
"""Rules of a route, by the resource definitions."""


def keep_rule(rollout: ModelRollout, gateway: GatewayAPI, name: str, backends: Sequence[Mapping[str, Any]]) -> Object:
    """Return a rule that no request matches, and that names backends which the others do not."""
    asked: Object = {"headers": [{"type": "Exact", "name": HEADER, "value": rollout.metadata.uid or "none"}]}
    if gateway.kind == "HTTPRoute":
        asked |= {"path": {"type": "Exact", "value": "/.modelrollout/keep"}, "method": "TRACE"}
    return {"name": name, "matches": [asked], "backendRefs": [{**backend, "weight": 1} for backend in backends]}


class Warming:
    """Revisions that routes name already and that get requests a moment later; and backends that had their last."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._since: dict[Key, tuple[float, Collection[str]]] = {}
        """By rollout: when they may get requests, and which they are."""
        self._parted: dict[Key, float] = {}
        """By rollout: when the names of backends without requests may go."""

    def begin(self, rollout: ModelRollout, revisions: Collection[str]) -> None:
        """Note revisions that the route names from now on."""
        self._since[Key.of(rollout)] = (asyncio.get_running_loop().time() + WARM_UP, frozenset(revisions))

    def holds(self, rollout: ModelRollout, split: Split, *, taken: bool) -> bool:
        """Say whether a split has to wait; the rollout is then looked at again. `taken`: the gateway has the names."""
        key, loop = Key.of(rollout), asyncio.get_running_loop()
        ready_at, revisions = self._since.get(key, (0.0, ()))
        if not set(revisions).intersection(split.served):
            return False
        wait = ready_at - loop.time()
        if taken and wait <= 0:
            del self._since[key]
            return False
        loop.call_later(max(wait, RETRY), self._routes.wake, key)
        return True

    def part(self, rollout: ModelRollout) -> None:
        """Note that backends get no requests from now on; the rollout is looked at again when their names may go."""
        loop = asyncio.get_running_loop()
        self._parted[Key.of(rollout)] = loop.time() + COOL_DOWN
        loop.call_later(COOL_DOWN, self._routes.wake, Key.of(rollout))

    def over(self, rollout: ModelRollout) -> bool:
        """Say whether nobody needs names of backends without requests any more: nothing is on its way there or back."""
        rests = rollout.status.phase in AT_REST
        return rests and asyncio.get_running_loop().time() >= self._parted.get(Key.of(rollout), 0.0)

    def forget(self, key: Key) -> None:
        """Forget a rollout."""
        self._since.pop(key, None)
        self._parted.pop(key, None)
