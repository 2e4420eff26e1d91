"""Gateway API routes of our own: one of the rollout's name, and one to its preview where host names are given for it.

We own them as a whole: what anybody else changes in their specs is seen as a difference and written over.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.owned import Owned
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.adapters.kubernetes.resources import GRPC_ROUTES, HTTP_ROUTES, Resource
from modelrollout.adapters.routers import gateway_status as status
from modelrollout.adapters.routers.gateway_keeping import CONTROLLER, Warming, keep_rule
from modelrollout.adapters.routers.gateway_rules import Object, rules_of, service, split_of
from modelrollout.adapters.routers.owning import head, latch_of, same
from modelrollout.adapters.routers.refusing import preview_hostnames
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import GatewayAPI
from modelrollout.core.observed import Route
from modelrollout.core.split import Split

KINDS: Final[Mapping[str, Resource]] = {"HTTPRoute": HTTP_ROUTES, "GRPCRoute": GRPC_ROUTES}
RULE: Final = "modelrollout"
MATCH_RULE: Final = "modelrollout-match"
KEEP_RULE: Final = "modelrollout-keep"
PREVIEW: Final = "preview"


class OwnRoutes:
    """Writes and reads them."""

    def __init__(self, api: Api, routes: Routes) -> None:
        self._owned = Owned(api, routes)
        self._warming = Warming(routes)

    async def set(self, rollout: ModelRollout, gateway: GatewayAPI, split: Split, latch: str | None) -> None:
        """Write the routes; TerminalError where one of that name is somebody else's."""
        held = self._owned.find(KINDS[gateway.kind], rollout, rollout.metadata.name)
        if held is not None and CONTROLLER in status.controllers(held):
            if await self._warm(rollout, gateway, held, split):
                return
            kept = _dropped(rollout, held, split)
        else:
            kept = ()
        bodies = [route(rollout, gateway, split, latch, kept)]
        if self._preview(rollout, gateway) is not None:
            bodies.append(preview_route(rollout, gateway))
        for body in bodies:
            await self._owned.write(KINDS[gateway.kind], rollout, body, sole=True)

    async def _warm(self, rollout: ModelRollout, gateway: GatewayAPI, held: Mapping[str, Any], split: Split) -> bool:
        """Name revisions in the route before they get requests; True while Envoy is still to hear of them."""
        known = _kept(rollout, _rules(held))
        cold = [one for one in split.served if one not in (*_said(rollout, held).served, *known)]
        if cold:
            body = route(rollout, gateway, _said(rollout, held), None, (*known, *cold))
            self._warming.begin(rollout, cold)
            await self._owned.write(KINDS[gateway.kind], rollout, body, sole=True)
        taken = not cold and status.accepted(held, _parents(gateway))
        return self._warming.holds(rollout, split, taken=taken)

    def read(self, rollout: ModelRollout, gateway: GatewayAPI) -> Route | None:
        """Interpret the routes: what they say, whether they are as we write them, whether the gateways took them."""
        raw = self._owned.find(KINDS[gateway.kind], rollout, rollout.metadata.name)
        if raw is None:
            return None
        split, kept = _said(rollout, raw), _kept(rollout, _rules(raw))
        wanted = [(raw, route(rollout, gateway, split, None, kept))]
        preview = self._preview(rollout, gateway)
        if preview is not None:
            wanted.append((preview, preview_route(rollout, gateway)))
        there = [(found, body["spec"]) for found, body in wanted if found]
        problems = [problem for found, _ in there for problem in status.problems(found)]
        complete = len(there) == len(wanted)
        return Route(
            split=split,
            current=complete and all(same(found.get("spec"), spec) for found, spec in there),
            accepted=complete and not problems and all(status.accepted(raw, s["parentRefs"]) for raw, s in there),
            latch=latch_of(raw),
            problem=problems[0] if problems else None,
            kept=frozenset(kept),
        )

    def _preview(self, rollout: ModelRollout, gateway: GatewayAPI) -> Mapping[str, Any] | None:
        """Return the preview's route, empty where it is yet to be made; None where it is not wanted.

        One that is no longer wanted is detached from its gateways: routes are never deleted by us.
        """
        held = self._owned.find(KINDS[gateway.kind], rollout, preview_name(rollout.metadata.name))
        return held or {} if preview_hostnames(rollout) else held


def route(
    rollout: ModelRollout, gateway: GatewayAPI, split: Split, latch: str | None, kept: Sequence[str] = ()
) -> Object:
    """Return the apply body of the rollout's route; it goes on naming the revisions that are kept."""
    name = rollout.metadata.name
    rule, match = rules_of(name, _base(gateway), split, MATCH_RULE)
    rules = [rule] if match is None else [match, rule]
    if kept:
        rules.append(keep_rule(rollout, gateway, KEEP_RULE, [service(name, revision) for revision in kept]))
    spec = _spec(_parents(gateway), gateway.hostnames, rules)
    return {**head(KINDS[gateway.kind], rollout, name, latch), "spec": spec}


def preview_route(rollout: ModelRollout, gateway: GatewayAPI) -> Object:
    """Return the apply body of the preview's route; without host names for it, of one that no gateway serves."""
    name = rollout.metadata.name
    parents = _parents(gateway) if preview_hostnames(rollout) else []
    rule = {**_base(gateway), "backendRefs": [service(name, PREVIEW, 1)]}
    spec = _spec(parents, preview_hostnames(rollout), [rule])
    return {**head(KINDS[gateway.kind], rollout, preview_name(name)), "spec": spec}


def _kept(rollout: ModelRollout, rules: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    rule = [one for one in rules if one.get("name") == KEEP_RULE]
    return tuple(split_of(rollout.metadata.name, rule, None).weights)


def _dropped(rollout: ModelRollout, held: Mapping[str, Any], split: Split) -> tuple[str, ...]:
    """Return the revisions that a route gives requests to, and will not by this split."""
    return tuple(revision for revision in _said(rollout, held).served if not split.names(revision))


def _rules(raw: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (raw.get("spec") or {}).get("rules") or []


def _said(rollout: ModelRollout, raw: Mapping[str, Any]) -> Split:
    """Return what a route says, as it is."""
    rules = _rules(raw)
    match = next((rule for rule in rules if rule.get("name") == MATCH_RULE), None)
    others = [rule for rule in rules if rule is not match and rule.get("name") != KEEP_RULE]
    return split_of(rollout.metadata.name, others, match)


def _base(gateway: GatewayAPI) -> Object:
    if gateway.kind == "GRPCRoute":
        return {"name": RULE}
    return {"name": RULE, "matches": [{"path": {"type": "PathPrefix", "value": gateway.path_prefix}}]}


def _parents(gateway: GatewayAPI) -> list[Object]:
    return [
        {"group": status.GROUP, "kind": "Gateway", **ref.model_dump(by_alias=True, exclude_none=True)}
        for ref in gateway.parent_refs
    ]


def _spec(parents: list[Object], names: list[str], rules: list[Object]) -> Object:
    spec: Object = {"parentRefs": parents, "rules": rules}
    return {**spec, "hostnames": list(names)} if names else spec
