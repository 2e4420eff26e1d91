"""TraefikServices and IngressRoutes as values: a split as we write it, and back again.

Weights and mirror are one TraefikService: weighted or, around another that is weighted, mirroring. A match is a route
of our own IngressRoute: it leads to two Services, of which one has no weight, because Traefik counts a lone Service
under the name of the route, and metrics could not tell whose the requests were.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.objects import SERVICE_PORT
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.adapters.kubernetes.resources import INGRESS_ROUTES, TRAEFIK_SERVICES
from modelrollout.adapters.routers.owning import Object, head, target_in
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import Traefik
from modelrollout.core.cookies import cookie_pattern, cookies_of
from modelrollout.core.revision import object_name
from modelrollout.core.split import Matched, Mirror, Pairs, Split

LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request's body that Traefik keeps for a mirror; one that is larger is not mirrored."""
_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_CONDITION: Final = re.compile(rf"(Header|HeaderRegexp)\(({_TEXT}), ({_TEXT})\)")


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
    weighted: Object = {"services": _weighted(rollout.metadata.name, split.weights.items())}
    if split.sticky is not None:
        weighted["sticky"] = {"cookie": {"name": split.sticky}}
    return {**head(TRAEFIK_SERVICES, rollout, name, latch), "spec": {"weighted": weighted}}


def ingress_route(rollout: ModelRollout, settings: Traefik, split: Split) -> Object:
    """Return the apply body of the IngressRoute of our own."""
    name, rule, matched = rollout.metadata.name, settings.match or "", split.matched
    routes: list[Object] = [{"kind": "Rule", "match": rule, "services": [{"name": name, "kind": "TraefikService"}]}]
    if matched is not None:
        others = [(one, 0) for one in split.weights if one != matched.revision]
        route = {
            "kind": "Rule",
            "match": " && ".join([f"({rule})", *_conditions(matched)]),
            # Just before the other: by its length alone it could come before longer rules of other people.
            "priority": len(rule) + 1,
            "services": _weighted(name, [(matched.revision, 100), *others[:1]]),
        }
        routes.insert(0, route)
    return _entry(rollout, name, settings, routes)


def preview_route(rollout: ModelRollout, settings: Traefik, hostnames: Iterable[str]) -> Object:
    """Return the apply body of the IngressRoute that leads to the preview."""
    name = preview_name(rollout.metadata.name)
    service = {"name": name, "kind": "Service", "port": SERVICE_PORT}
    rule = " || ".join(map(_host, hostnames))
    return _entry(rollout, name, settings, [{"kind": "Rule", "match": rule, "services": [service]}])


def split_of(rollout: str, main: Mapping[str, Any], inner: Mapping[str, Any], entry: Mapping[str, Any]) -> Split:
    """Return what specs say; what is not as we write it is left out, and so seen as a difference.

    `main` is of the TraefikService that IngressRoutes name, `inner` of the weighted one: the same, or the one in it.
    """
    weighted = inner.get("weighted") or {}
    weights = {
        target: int(one.get("weight", 1))
        for one in weighted.get("services") or []
        if (target := _target(rollout, one)) is not None
    }
    mirrors = (main.get("mirroring") or {}).get("mirrors") or []
    mirror = None
    if mirrors and (target := _target(rollout, mirrors[0])) is not None:
        mirror = Mirror(int(mirrors[0].get("percent", 0)), target)
    sticky = ((weighted.get("sticky") or {}).get("cookie") or {}).get("name")
    return Split(weights, mirror, _matched(rollout, entry.get("routes") or []), sticky)


def _entry(rollout: ModelRollout, name: str, settings: Traefik, routes: list[Object]) -> Object:
    spec: Object = {"routes": routes}
    if settings.entry_points:
        spec["entryPoints"] = list(settings.entry_points)
    return {**head(INGRESS_ROUTES, rollout, name), "spec": spec}


def _weighted(rollout: str, weights: Iterable[tuple[str, int]]) -> list[Object]:
    return [{**_service(rollout, target), "weight": weight} for target, weight in weights]


def _service(rollout: str, target: str) -> Object:
    return {"name": object_name(rollout, target), "kind": "Service", "port": SERVICE_PORT}


def _target(rollout: str, service: Mapping[str, Any]) -> str | None:
    return target_in(rollout, str(service.get("name", "")))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _host(name: str) -> str:
    if name.startswith("*."):
        return f"HostRegexp({_text('^[^.]+' + re.escape(name[1:]) + '$')})"
    return f"Host({_text(name)})"


def _conditions(matched: Matched) -> Iterator[str]:
    for name, value in matched.headers:
        yield f"Header({_text(name)}, {_text(value)})"
    if matched.cookies:
        yield f"HeaderRegexp({_text('Cookie')}, {_text(cookie_pattern(matched.cookies))})"
    for name, pattern in matched.patterns:
        yield f"HeaderRegexp({_text(name)}, {_text(pattern)})"


def _matched(rollout: str, routes: list[Mapping[str, Any]]) -> Matched | None:
    """Return what the route before the last asks for beside what that asks for."""
    if len(routes) < 2:
        return None
    before, after = routes[-2:]
    targets = [_target(rollout, one) for one in before.get("services") or []]
    if not targets or targets[0] is None:
        return None
    ours = str(before.get("match", "")).removeprefix(f"({after.get('match', '')})")
    headers: list[tuple[str, str]] = []
    patterns: list[tuple[str, str]] = []
    cookies: Pairs = ()
    for function, *texts in _CONDITION.findall(ours):
        name, value = map(json.loads, texts)
        if function == "Header":
            headers.append((name, value))
        elif name == "Cookie" and (found := cookies_of(value)):
            cookies = found
        else:
            patterns.append((name, value))
    return Matched(targets[0], tuple(headers), cookies, tuple(patterns))
