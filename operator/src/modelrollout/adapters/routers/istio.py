"""Traffic by an Istio VirtualService: one of the rollout's own name, or one named HTTP route of somebody else's.

Istio's objects say nothing of whether proxies have taken them, so one counts as accepted as it is written; the
operator's --settle covers the time until they have.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import DESTINATION_RULES, VIRTUAL_SERVICES, Resource
from modelrollout.adapters.routers import istio_routes as http
from modelrollout.adapters.routers.adoption import Adoption
from modelrollout.adapters.routers.owning import Object, Owned, head, holds, latch_of, same
from modelrollout.adapters.routers.refusing import STICKY, refusal, steps
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import Istio
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER, Split
from modelrollout.ports import Key, TerminalError

NAME: Final = "istio"
ROUTE: Final = "modelrollout"
MATCH: Final = "modelrollout-match"


class IstioRouter:
    """Writes and reads VirtualServices and DestinationRules."""

    resources: tuple[Resource, ...] = (VIRTUAL_SERVICES, DESTINATION_RULES)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._routes = routes
        self._owned = Owned(api, routes)
        self._adoption = Adoption(api, routes, "http", "spec.traffic.istio.virtualService")

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing that `check` needs is in the cluster."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse stickiness, and a match that says of one header two things."""
        if rollout.spec.strategy.sticky is not None:
            why = "splits each request anew, also of one client"
            remedy = "remove sticky, or use a match step or spec.traffic.traefik"
            raise refusal(rollout, NAME, STICKY, why, remedy)
        for place, step in steps(rollout, "match"):
            names = [name.lower() for name in step.match.headers] if step.match else []
            if step.match and step.match.cookies and http.COOKIE in names:
                why = "cannot match cookies and the whole Cookie header at once"
                raise refusal(rollout, NAME, place, why, "remove the header Cookie from match.headers")

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write what differs; TerminalError where an object of that name is somebody else's."""
        settings, rules = _settings(rollout), destination_rules(rollout, split)
        # Requests must find the policy of where they go; one that is there already can wait for the route.
        waiting = []
        for rule in rules:
            if self._owned.find(DESTINATION_RULES, rollout, rule["metadata"]["name"]) is None:
                await self._owned.write(DESTINATION_RULES, rollout, rule)
            else:
                waiting.append(rule)
        if settings.virtual_service is None:
            await self._owned.write(VIRTUAL_SERVICES, rollout, virtual_service(rollout, split, latch))
        else:
            ref, name = settings.virtual_service, rollout.metadata.name
            own = f"{ref.rule}-{name}"
            change = lambda entry: http.adopted(name, own, entry, split)  # noqa: E731
            await self._adoption.write(VIRTUAL_SERVICES, rollout, ref, change, latch)
        for rule in waiting:
            await self._owned.write(DESTINATION_RULES, rollout, rule)
        await self._drop_all_but(rollout, [rule["metadata"]["name"] for rule in rules])

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the objects; see the module on what counts as accepted."""
        settings, name = _settings(rollout), rollout.metadata.name
        if settings.virtual_service is not None:
            entry = self._adoption.read(VIRTUAL_SERVICES, rollout, settings.virtual_service)
            if entry is None:
                return None
            split, latch = http.split_of(name, entry.rule, entry.before), entry.latch
            own = f"{settings.virtual_service.rule}-{name}"
            current = _as_adopted(name, own, entry.rule, entry.before, split)
        else:
            raw = self._owned.find(VIRTUAL_SERVICES, rollout, name)
            if raw is None:
                return None
            spec, latch = raw.get("spec") or {}, latch_of(raw)
            named = {str(one.get("name")): one for one in spec.get("http") or []}
            split = http.split_of(name, named.get(ROUTE, {}), named.get(MATCH))
            # What others add beside, such as tcp or exportTo, stays theirs.
            current = holds(spec, virtual_service(rollout, split, None)["spec"])
        current = current and self._rules_are(rollout, split)
        return Route(split=split, current=current, accepted=current, latch=latch)

    def _rules_are(self, rollout: ModelRollout, split: Split) -> bool:
        for rule in destination_rules(rollout, split):
            found = self._owned.find(DESTINATION_RULES, rollout, rule["metadata"]["name"])
            if found is None or not holds(found.get("spec") or {}, rule["spec"]):
                return False
        return True

    async def _drop_all_but(self, rollout: ModelRollout, kept: list[str]) -> None:
        key = Key(rollout.metadata.namespace, rollout.metadata.name)
        for name in self._routes.names(DESTINATION_RULES, key):
            if name not in kept:
                await self._owned.drop(DESTINATION_RULES, rollout, name)


def virtual_service(rollout: ModelRollout, split: Split, latch: str | None) -> Object:
    """Return the apply body of the VirtualService of our own."""
    settings, name = _settings(rollout), rollout.metadata.name
    after, before = http.route(name, {"name": ROUTE}, split), http.matching(name, MATCH, {}, split)
    spec = {
        "hosts": list(settings.hosts),
        "gateways": list(settings.gateways),
        "http": [*([] if before is None else [before]), after],
    }
    return {**head(VIRTUAL_SERVICES, rollout, name, latch), "spec": spec}


def destination_rules(rollout: ModelRollout, split: Split) -> list[Object]:
    """Return the apply bodies of the DestinationRules: one for each revision that the split names."""
    policy = _settings(rollout).traffic_policy
    if policy is None:
        return []
    bodies = []
    for revision in dict.fromkeys(_revisions(split)):
        host = object_name(rollout.metadata.name, revision)
        body = head(DESTINATION_RULES, rollout, host)
        bodies.append({**body, "spec": {"host": host, "trafficPolicy": copy.deepcopy(policy)}})
    return bodies


def _revisions(split: Split) -> Iterator[str]:
    yield from split.weights
    if split.mirror is not None and split.mirror.to != COMPARER:
        yield split.mirror.to
    if split.matched is not None:
        yield split.matched.revision


def _as_adopted(
    rollout: str, own: str, rule: Mapping[str, Any], before: Mapping[str, Any] | None, split: Split
) -> bool:
    try:
        return same([rule, before], list(http.adopted(rollout, own, rule, split)))
    except TerminalError:
        # Its owner now matches a header that our step matches too; the next write says so.
        return False


def _settings(rollout: ModelRollout) -> Istio:
    settings = rollout.spec.traffic.istio
    if settings is None:
        meta = rollout.metadata
        raise TerminalError(f"ModelRollout {meta.namespace}/{meta.name}: spec.traffic.istio is missing; give it")
    return settings
