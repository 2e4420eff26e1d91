"""One named rule of a Gateway API route that somebody else owns: its backends, our mirror, and a rule before it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers import gateway_status as status
from modelrollout.adapters.routers.adoption import KEEP, Adoption, Entry, Wanted, own_name
from modelrollout.adapters.routers.features import Place
from modelrollout.adapters.routers.gateway_keeping import CONTROLLER, MOST_RULES, Warming, keep_rule
from modelrollout.adapters.routers.gateway_own import KINDS
from modelrollout.adapters.routers.gateway_rules import Object, rules_of, split_of
from modelrollout.adapters.routers.owning import same
from modelrollout.adapters.routers.refusing import asks_for
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import GatewayAPI, RuleRef
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import Split
from modelrollout.ports import Key, TerminalError

FIELD: Final = "spec.traffic.gatewayAPI.route"


class AdoptedRoutes:
    """Writes and reads them."""

    def __init__(self, api: Api, routes: Routes) -> None:
        self._routes = routes
        self._adoption = Adoption(api, routes, "rules", FIELD)
        self._warming = Warming(routes)

    async def set(
        self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef, split: Split, latch: str | None
    ) -> None:
        """Write the rule; TerminalError where it is not there, or another rollout's."""
        name = rollout.metadata.name

        def change(entry: Entry) -> Wanted:
            try:
                rule, before = rules_of(name, entry.rule, split, own_name(rollout, ref))
            except ValueError as error:
                raise TerminalError(
                    f"ModelRollout {rollout.metadata.namespace}/{name}: {FIELD}: rule {ref.rule!r} of {gateway.kind} "
                    f"{ref.name} matches header {error} itself; match another header in {asks_for(split)}"
                ) from None
            if CONTROLLER not in status.controllers(entry.raw):
                return Wanted(rule, before)
            kept = self._kept(rollout, gateway, ref, entry, Wanted(rule, before), split)
            if kept.keep is None or _room(entry, ref, rollout, kept):
                return kept
            if not kept.waits or latch is not None:
                # A request may be lost, which is less than those that a candidate fails that cannot be left.
                return Wanted(rule, before)
            raise TerminalError(
                f"ModelRollout {rollout.metadata.namespace}/{name}: {FIELD}: {gateway.kind} {ref.name} has "
                f"{MOST_RULES} rules, the most that there can be, and at Envoy Gateway needs room for one of ours "
                f"({own_name(rollout, ref)}{KEEP}) lest requests be lost; take a rule out, or split the route"
            )

        await self._adoption.write(KINDS[gateway.kind], rollout, ref, change, latch)

    def _kept(  # noqa: PLR0913, PLR0917
        self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef, entry: Entry, wanted: Wanted, split: Split
    ) -> Wanted:
        """Return what to write on a route of Envoy Gateway, which names backends before and after their time."""
        now, known = _backends(entry.rule, entry.before), _backends(entry.keep)
        then = _backends(wanted.rule, wanted.before)
        cold = {name: backend for name, backend in then.items() if name not in now and name not in known}
        own = own_name(rollout, ref) + KEEP
        if cold:
            revisions = [one for one in split.served if object_name(rollout.metadata.name, one) in cold]
            self._warming.begin(rollout, revisions)
            keep = keep_rule(rollout, gateway, own, [*known.values(), *cold.values()])
        else:
            keep = entry.keep or {}
        if self._warming.holds(rollout, split, taken=not cold and status.accepted(entry.raw, _parents(entry))):
            return Wanted(entry.rule, entry.before, keep or None, waits=True)
        gone = {name: backend for name, backend in now.items() if name not in then}
        if gone:
            self._warming.part(rollout)
        elif now.keys() == then.keys() and not self._warming.over(rollout):
            # What only puts weights right must not make the way back cold.
            gone = {name: backend for name, backend in known.items() if name not in then}
        return replace(wanted, keep=keep_rule(rollout, gateway, own, list(gone.values())) if gone else None)

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
        kept = split_of(name, [entry.keep or {}], None).weights
        # In somebody else's route nothing of ours stays that has no use.
        surplus = entry.keep is not None and self._warming.over(rollout)
        return Route(
            split=split,
            current=same(wanted, (entry.rule, entry.before)) and not surplus,
            accepted=problem is None and status.accepted(entry.raw, _parents(entry)),
            latch=entry.latch,
            problem=problem,
            kept=frozenset(kept),
        )

    async def leave(self, key: Key) -> None:
        """Take the rules that no request matches out of the routes that a rollout adopted which is gone.

        All else stays, so that traffic goes on flowing. ConflictError where somebody else was faster.
        """
        self._warming.forget(key)
        for resource in KINDS.values():
            await self._adoption.leave(resource, key)

    def gateways(self, rollout: ModelRollout, gateway: GatewayAPI, ref: RuleRef) -> Iterator[Place]:
        """Yield the Gateways of the route, as far as it was watched."""
        namespace = rollout.metadata.namespace
        raw: Any = self._routes.get(KINDS[gateway.kind], namespace, ref.name) or {}
        for parent in (raw.get("spec") or {}).get("parentRefs") or []:
            if parent.get("kind", "Gateway") == "Gateway":
                yield str(parent.get("namespace") or namespace), str(parent["name"])


def _room(entry: Entry, ref: RuleRef, rollout: ModelRollout, wanted: Wanted) -> bool:
    """Say whether a route has room for its own rules and ours."""
    own = own_name(rollout, ref)
    theirs = [one for one in entry.raw["spec"]["rules"] if one.get("name") not in (own, own + KEEP)]
    return len(theirs) + sum(one is not None for one in (wanted.before, wanted.keep)) <= MOST_RULES


def _parents(entry: Entry) -> list[Object]:
    return (entry.raw.get("spec") or {}).get("parentRefs") or []


def _backends(*rules: Object | None) -> dict[str, Object]:
    """Return the backends that rules send requests to, by their names."""
    found = (backend for rule in rules if rule is not None for backend in rule.get("backendRefs") or [])
    return {str(backend.get("name")): backend for backend in found if backend.get("weight", 1) > 0}
