"""Traffic by an Istio VirtualService: one of the rollout's own name, or one named HTTP route of somebody else's.

Istio's objects say nothing of whether proxies have taken them, so one counts as accepted as it is written; the
operator's --settle covers the time until they have.
"""

import copy
from collections.abc import Iterator
from typing import Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.owned import Owned
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.adapters.kubernetes.resources import DESTINATION_RULES, VIRTUAL_SERVICES, Resource
from modelrollout.adapters.routers import istio_routes as http
from modelrollout.adapters.routers.adoption import Adoption, Entry, Wanted, own_name
from modelrollout.adapters.routers.owning import Object, head, holds, latch_of, same
from modelrollout.adapters.routers.refusing import asked, asks_for, check_issued, preview_hostnames, refusal, steps
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import Istio, RuleRef
from modelrollout.core.cookies import COOKIE
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER, Split
from modelrollout.ports import Key, TerminalError

NAME: Final = "istio"
FIELD: Final = "spec.traffic.istio.virtualService"
ROUTE: Final = "modelrollout"
MATCH: Final = "modelrollout-match"
PREVIEW: Final = "preview"


class IstioRouter:
    """Writes and reads VirtualServices and DestinationRules."""

    resources: tuple[Resource, ...] = (VIRTUAL_SERVICES, DESTINATION_RULES)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._routes = routes
        self._owned = Owned(api, routes)
        self._adoption = Adoption(api, routes, "http", FIELD)

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing that `check` needs is in the cluster."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse to issue cookies, a match that says two things of one header, a preview beside a route of others."""
        check_issued(rollout, NAME, "issues no cookies for weights: it splits each request anew")
        if _settings(rollout).virtual_service is not None and preview_hostnames(rollout):
            why = "makes no preview route beside a VirtualService that somebody else owns"
            remedy = "remove hostnames, and let a route of yours lead to the Service of the preview"
            raise refusal(rollout, NAME, "spec.traffic.preview.hostnames", why, remedy)
        for place, step in steps(rollout, "match"):
            names = [name.lower() for name in step.match.headers] if step.match else []
            names += [COOKIE] if step.match and step.match.cookies else []
            if twice := sorted({name for name in names if names.count(name) > 1}):
                why = f"cannot match header {twice[0]} twice"
                raise refusal(rollout, NAME, place, why, "ask for each header once")

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the objects; TerminalError where one of that name is somebody else's."""
        bodies = self._policies(rollout, split)
        # Requests must find the policy of where they go; one that is there already can wait for the route.
        made = {name for name in bodies if self._owned.find(DESTINATION_RULES, rollout, name) is not None}
        for name in bodies.keys() - made:
            await self._owned.write(DESTINATION_RULES, rollout, bodies[name])
        ref = _settings(rollout).virtual_service
        if ref is None:
            await self._owned.write(VIRTUAL_SERVICES, rollout, virtual_service(rollout, split, latch))
            await self._write_preview(rollout)
        else:
            await self._adopt(rollout, ref, split, latch)
        for name in made:
            await self._owned.write(DESTINATION_RULES, rollout, bodies[name])
        for name in self._routes.names(DESTINATION_RULES, Key.of(rollout)):
            if name not in bodies:
                await self._owned.drop(DESTINATION_RULES, rollout, name)

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the objects; see the module on what counts as accepted."""
        ref = _settings(rollout).virtual_service
        found = self._read_own(rollout) if ref is None else self._read_adopted(rollout, ref)
        if found is None:
            return None
        split, latch, current = found
        for name, body in self._policies(rollout, split).items():
            raw = self._owned.find(DESTINATION_RULES, rollout, name)
            current &= raw is not None and holds(raw.get("spec") or {}, body["spec"])
        return Route(split=split, current=current, accepted=current, latch=latch)

    def _read_own(self, rollout: ModelRollout) -> tuple[Split, str | None, bool] | None:
        raw = self._owned.find(VIRTUAL_SERVICES, rollout, rollout.metadata.name)
        if raw is None:
            return None
        spec = raw.get("spec") or {}
        named = {str(one.get("name")): one for one in spec.get("http") or []}
        split = http.split_of(rollout.metadata.name, named.get(ROUTE, {}), named.get(MATCH))
        # What others add beside, such as tcp or exportTo, stays theirs.
        current = holds(spec, virtual_service(rollout, split, None)["spec"])
        if preview_hostnames(rollout):
            preview = self._owned.find(VIRTUAL_SERVICES, rollout, preview_name(rollout.metadata.name))
            current &= preview is not None and holds(preview.get("spec") or {}, preview_service(rollout)["spec"])
        else:
            current &= self._owned.made(VIRTUAL_SERVICES, rollout, preview_name(rollout.metadata.name)) is None
        return split, latch_of(raw), current

    def _read_adopted(self, rollout: ModelRollout, ref: RuleRef) -> tuple[Split, str | None, bool] | None:
        entry = self._adoption.read(VIRTUAL_SERVICES, rollout, ref)
        if entry is None:
            return None
        name = rollout.metadata.name
        split = http.split_of(name, entry.rule, entry.before)
        try:
            wanted = list(http.adopted(name, own_name(rollout, ref), entry.rule, split))
        except ValueError:
            # Its owner now matches a header that our step matches too; the next write says so.
            wanted = []
        return split, entry.latch, same([entry.rule, entry.before], wanted)

    async def _adopt(self, rollout: ModelRollout, ref: RuleRef, split: Split, latch: str | None) -> None:
        name = rollout.metadata.name

        def change(entry: Entry) -> Wanted:
            try:
                return Wanted(*http.adopted(name, own_name(rollout, ref), entry.rule, split))
            except ValueError as error:
                raise TerminalError(
                    f"ModelRollout {rollout.metadata.namespace}/{name}: {FIELD}: route {ref.rule!r} of VirtualService "
                    f"{ref.name} matches header {error} itself; match another header in {asks_for(split)}"
                ) from None

        await self._adoption.write(VIRTUAL_SERVICES, rollout, ref, change, latch)

    async def _write_preview(self, rollout: ModelRollout) -> None:
        if preview_hostnames(rollout):
            await self._owned.write(VIRTUAL_SERVICES, rollout, preview_service(rollout))
        else:
            await self._owned.drop(VIRTUAL_SERVICES, rollout, preview_name(rollout.metadata.name))

    def _policies(self, rollout: ModelRollout, split: Split) -> dict[str, Object]:
        """Return the apply bodies of the DestinationRules by name: one for each revision that the split names."""
        policy = _settings(rollout).traffic_policy
        bodies = {}
        for revision in _revisions(split) if policy is not None else ():
            host = object_name(rollout.metadata.name, revision)
            spec = {"host": host, "trafficPolicy": copy.deepcopy(policy)}
            bodies[host] = {**head(DESTINATION_RULES, rollout, host), "spec": spec}
        return bodies


def virtual_service(rollout: ModelRollout, split: Split, latch: str | None) -> Object:
    """Return the apply body of the VirtualService of our own."""
    settings, name = _settings(rollout), rollout.metadata.name
    after, before = http.route(name, {"name": ROUTE}, split), http.matching(name, MATCH, {}, split)
    routes = [after] if before is None else [before, after]
    return _virtual_service(rollout, name, latch, hosts=list(settings.hosts), routes=routes)


def preview_service(rollout: ModelRollout) -> Object:
    """Return the apply body of the VirtualService that leads to the preview."""
    name = rollout.metadata.name
    routes = [http.route(name, {"name": ROUTE}, Split({PREVIEW: 100}))]
    return _virtual_service(rollout, preview_name(name), None, hosts=preview_hostnames(rollout), routes=routes)


def _virtual_service(
    rollout: ModelRollout, name: str, latch: str | None, *, hosts: list[str], routes: list[Object]
) -> Object:
    gateways = list(_settings(rollout).gateways)
    spec = {"hosts": hosts, "gateways": gateways, "http": routes}
    return {**head(VIRTUAL_SERVICES, rollout, name, latch), "spec": spec}


def _revisions(split: Split) -> Iterator[str]:
    yield from split.weights
    if split.mirror is not None and split.mirror.to != COMPARER:
        yield split.mirror.to
    if split.matched is not None:
        yield split.matched.revision


def _settings(rollout: ModelRollout) -> Istio:
    return asked(rollout, NAME, rollout.spec.traffic.istio)
