"""Traffic by a TraefikService of the rollout's own name, which IngressRoutes name; and by one of our own.

Weights and mirror are one TraefikService: weighted or, around another that is weighted, mirroring. Traefik takes
both as one configuration, so a change of kind loses no request. A match is a route of our own IngressRoute: it leads
to two Services, of which one has no weight, because Traefik counts a lone Service under the name of the route.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.objects import SERVICE_PORT
from modelrollout.adapters.kubernetes.resources import INGRESS_ROUTES, TRAEFIK_SERVICES, Resource
from modelrollout.adapters.routers import cookies
from modelrollout.adapters.routers.owning import Object, Owned, head, holds, latch_of, same, target_in
from modelrollout.adapters.routers.refusing import refusal, steps
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import Traefik
from modelrollout.core.observed import Route
from modelrollout.core.revision import object_name
from modelrollout.core.split import Matched, Mirror, Split
from modelrollout.ports import TerminalError

NAME: Final = "traefik"
LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request's body that Traefik keeps for a mirror; one that is larger is not mirrored."""
_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_CONDITION: Final = re.compile(rf"(Header|HeaderRegexp)\(({_TEXT}), ({_TEXT})\)")


class TraefikRouter:
    """Writes and reads TraefikServices and IngressRoutes."""

    resources: tuple[Resource, ...] = (TRAEFIK_SERVICES, INGRESS_ROUTES)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._owned = Owned(api, routes)

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing that `check` needs is in the cluster."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse a match without an IngressRoute of our own: the rules of others are theirs."""
        if _settings(rollout).match is not None:
            return
        for place, _ in steps(rollout, "match"):
            why = "cannot match where it writes no IngressRoute"
            raise refusal(rollout, NAME, place, why, "give spec.traffic.traefik.match, or use weight")

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write what differs; TerminalError where an object of that name is somebody else's."""
        entry = self._entry(rollout)
        # A match ends with the first write, and begins with the last, when all that it leads past is in place.
        if entry is not None and split.matched is None:
            await self._write_entry(rollout, split)
        if split.mirror is not None:
            body = weighted_service(rollout, weighted_name(rollout.metadata.name), split)
            await self._owned.write(TRAEFIK_SERVICES, rollout, body, sole=True)
        await self._owned.write(TRAEFIK_SERVICES, rollout, traefik_service(rollout, split, latch), sole=True)
        if entry is None or split.matched is not None:
            await self._write_entry(rollout, split)
        if split.mirror is None:
            await self._owned.drop(TRAEFIK_SERVICES, rollout, weighted_name(rollout.metadata.name))

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the objects. Traefik says nothing of them, so they count as accepted once they are as written."""
        name = rollout.metadata.name
        main = self._owned.find(TRAEFIK_SERVICES, rollout, name)
        if main is None:
            return None
        spec = main.get("spec") or {}
        # What others add to the IngressRoute beside its routes, such as tls, stays theirs.
        inner = self._owned.find(TRAEFIK_SERVICES, rollout, weighted_name(name)) if "mirroring" in spec else main
        entry = self._entry(rollout)
        split = _split(rollout, spec, (inner or {}).get("spec") or {}, (entry or {}).get("spec") or {})
        current = same(spec, traefik_service(rollout, split, None)["spec"])
        if split.mirror is not None:
            current &= inner is not None and same(inner["spec"], weighted_service(rollout, name, split)["spec"])
        if _settings(rollout).match is not None:
            current &= entry is not None and holds(entry["spec"], ingress_route(rollout, split)["spec"])
        return Route(split=split, current=current, accepted=current, latch=latch_of(main))

    def _entry(self, rollout: ModelRollout) -> Mapping[str, Any] | None:
        return self._owned.find(INGRESS_ROUTES, rollout, rollout.metadata.name)

    async def _write_entry(self, rollout: ModelRollout, split: Split) -> None:
        if _settings(rollout).match is None:
            await self._owned.drop(INGRESS_ROUTES, rollout, rollout.metadata.name)
        else:
            await self._owned.write(INGRESS_ROUTES, rollout, ingress_route(rollout, split))


def weighted_name(rollout: str) -> str:
    """Return the name of the TraefikService that a mirroring one is around."""
    return f"{rollout}-weighted"


def traefik_service(rollout: ModelRollout, split: Split, latch: str | None) -> Object:
    """Return the apply body of the TraefikService that IngressRoutes name."""
    name, mirror = rollout.metadata.name, split.mirror
    if mirror is None:
        return weighted_service(rollout, name, split, latch)
    mirroring = {
        "name": weighted_name(name),
        "kind": "TraefikService",
        "mirrorBody": True,
        "maxBodySize": LARGEST_BODY,
        "mirrors": [{**_service(name, mirror.to), "percent": mirror.percent}],
    }
    return {**head(TRAEFIK_SERVICES, rollout, name, latch), "spec": {"mirroring": mirroring}}


def weighted_service(rollout: ModelRollout, name: str, split: Split, latch: str | None = None) -> Object:
    """Return the apply body of a weighted TraefikService."""
    services = [{**_service(rollout.metadata.name, to), "weight": weight} for to, weight in split.weights.items()]
    weighted: Object = {"services": services}
    if split.sticky is not None:
        weighted["sticky"] = {"cookie": {"name": split.sticky}}
    return {**head(TRAEFIK_SERVICES, rollout, name, latch), "spec": {"weighted": weighted}}


def ingress_route(rollout: ModelRollout, split: Split) -> Object:
    """Return the apply body of the IngressRoute of our own."""
    settings, name = _settings(rollout), rollout.metadata.name
    rule = settings.match or ""
    routes: list[Object] = [{"kind": "Rule", "match": rule, "services": [{"name": name, "kind": "TraefikService"}]}]
    if split.matched is not None:
        others = [one for one in split.weights if one != split.matched.revision][:1]
        services = [(split.matched.revision, 100), *((one, 0) for one in others)]
        route = {
            "kind": "Rule",
            "match": " && ".join([f"({rule})", *_conditions(split.matched)]),
            # Just before the other: by its length alone it could come before longer rules of other people.
            "priority": len(rule) + 1,
            "services": [{**_service(name, to), "weight": weight} for to, weight in services],
        }
        routes.insert(0, route)
    spec: Object = {"routes": routes}
    if settings.entry_points:
        spec["entryPoints"] = list(settings.entry_points)
    return {**head(INGRESS_ROUTES, rollout, name), "spec": spec}


def _settings(rollout: ModelRollout) -> Traefik:
    settings = rollout.spec.traffic.traefik
    if settings is None:
        meta = rollout.metadata
        raise TerminalError(f"ModelRollout {meta.namespace}/{meta.name}: spec.traffic.traefik is missing; give it")
    return settings


def _service(rollout: str, to: str) -> Object:
    return {"name": object_name(rollout, to), "kind": "Service", "port": SERVICE_PORT}


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _conditions(matched: Matched) -> Iterator[str]:
    for name, value in matched.headers:
        yield f"Header({_text(name)}, {_text(value)})"
    if matched.cookies:
        yield f"HeaderRegexp({_text('Cookie')}, {_text(cookies.cookie_pattern(matched.cookies))})"


def _split(rollout: ModelRollout, spec: Mapping[str, Any], inner: Mapping[str, Any], entry: Mapping[str, Any]) -> Split:
    """Return what the objects say; what is not as we write it is left out, and so seen as a difference."""
    name = rollout.metadata.name
    weighted = inner.get("weighted") or {}
    weights = {
        to: int(one.get("weight", 1))
        for one in weighted.get("services") or []
        if (to := _target(name, one)) is not None
    }
    mirrors = (spec.get("mirroring") or {}).get("mirrors") or []
    mirror = None
    if mirrors and (to := _target(name, mirrors[0])) is not None:
        mirror = Mirror(int(mirrors[0].get("percent", 0)), to)
    sticky = ((weighted.get("sticky") or {}).get("cookie") or {}).get("name")
    return Split(weights, mirror, _matched(name, entry), sticky)


def _target(rollout: str, service: Mapping[str, Any]) -> str | None:
    return target_in(rollout, str(service.get("name", "")))


def _matched(rollout: str, entry: Mapping[str, Any]) -> Matched | None:
    routes = entry.get("routes") or []
    leading = (routes[0].get("services") or []) if len(routes) > 1 else []
    revision = _target(rollout, leading[0]) if leading else None
    if revision is None:
        return None
    return _read_conditions(revision, str(routes[0].get("match", "")), str(routes[1].get("match", "")))


def _read_conditions(revision: str, match: str, rule: str) -> Matched:
    headers: list[tuple[str, str]] = []
    pairs: tuple[tuple[str, str], ...] = ()
    for function, name, value in _CONDITION.findall(match.removeprefix(f"({rule})")):
        if function == "Header":
            headers.append((json.loads(name), json.loads(value)))
        else:
            pairs = cookies.cookies_of(json.loads(value)) or ()
    return Matched(revision, tuple(headers), pairs)
