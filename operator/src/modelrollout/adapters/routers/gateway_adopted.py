"""One named rule of a Gateway API route that somebody else owns: its backends, our mirror, and a rule before it."""

from collections.abc import Iterator
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers import gateway_status as status
from modelrollout.adapters.routers.adoption import Adoption, own_name
from modelrollout.adapters.routers.features import Place
from modelrollout.adapters.routers.gateway_own import KINDS
from modelrollout.adapters.routers.gateway_rules import Object, rules_of, split_of
from modelrollout.adapters.routers.owning import same
from modelrollout.adapters.routers.refusing import asks_for
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import GatewayAPI, RuleRef
from modelrollout.core.observed import Route
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError

FIELD: Final = "spec.traffic.gatewayAPI.route"


class AdoptedRoutes:
    """Writes and reads them."""

    def __init__(self, api: Api, routes: Routes) -> None:
        self._routes = routes
        self._adoption = Adoption(api, routes, "rules", FIELD)

    async def set(
        self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef, split: Split, latch: str | None
    ) -> None:
        """Write the rule; TerminalError where it is not there, or another rollout's."""
        name = rollout.metadata.name

        def change(rule: Object) -> tuple[Object, Object | None]:
            try:
                return rules_of(name, rule, split, own_name(rollout, ref))
            except ValueError as error:
                raise TerminalError(
                    f"ModelRollout {rollout.metadata.namespace}/{name}: {FIELD}: rule {ref.rule!r} of {gateway.kind} "
                    f"{ref.name} matches header {error} itself; match another header in {asks_for(split)}"
                ) from None

        await self._adoption.write(KINDS[gateway.kind], rollout, ref, change, latch)

    def read(self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef) -> Route | None:
        """Interpret the rule: what it says, whether it is as we write it, whether the gateways took the route."""
        entry = self._adoption.read(KINDS[gateway.kind], rollout, ref)
        if entry is None:
            return None
        name = rollout.metadata.name
        split = split_of(name, [entry.rule], entry.before)
        try:
            wanted: tuple[Object, Object | None] | None = rules_of(name, entry.rule, split, own_name(rollout, ref))
        except ValueError:
            wanted = None
        problem = next(status.problems(entry.raw), None)
        parents = (entry.raw.get("spec") or {}).get("parentRefs") or []
        return Route(
            split=split,
            current=same(wanted, (entry.rule, entry.before)),
            accepted=problem is None and status.accepted(entry.raw, parents),
            latch=entry.latch,
            problem=problem,
        )

    def gateways(self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef) -> Iterator[Place]:
        """Yield the Gateways of the route, as far as it was watched."""
        namespace = rollout.metadata.namespace
        raw: Any = self._routes.get(KINDS[gateway.kind], namespace, ref.name) or {}
        for parent in (raw.get("spec") or {}).get("parentRefs") or []:
            if parent.get("kind", "Gateway") == "Gateway":
                yield str(parent.get("namespace") or namespace), str(parent["name"])
