"""HTTP routes of VirtualServices as values: a split as we write it, and back again."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from modelrollout.adapters.kubernetes.objects import SERVICE_PORT
from modelrollout.adapters.routers.owning import Object, target_in
from modelrollout.core.cookies import COOKIE, cookie_pattern, cookies_of
from modelrollout.core.revision import object_name
from modelrollout.core.split import Matched, Mirror, Split


def route(rollout: str, entry: Mapping[str, Any], split: Split) -> Object:
    """Return an HTTP route with the weights and the mirror of a split; all else in it stays."""
    weights = [
        {"destination": _destination(rollout, revision), "weight": weight} for revision, weight in split.weights.items()
    ]
    mirrors = [mirror for mirror in entry.get("mirrors") or [] if _target(rollout, mirror) is None]
    if split.mirror is not None:
        share = {"value": split.mirror.percent}
        mirrors.append({"destination": _destination(rollout, split.mirror.to), "percentage": share})
    result = {**copy.deepcopy(dict(entry)), "route": weights, "mirrors": mirrors}
    if not mirrors:
        del result["mirrors"]
    return result


def matching(rollout: str, name: str, entry: Mapping[str, Any], split: Split) -> Object | None:
    """Return the HTTP route to stand before another, for requests of it that a split matches; None without a match.

    ValueError, naming the header, where the other route matches one of these headers itself.
    """
    matched = split.matched
    if matched is None:
        return None
    before = route(rollout, entry, Split({matched.revision: 100}))
    matches = [_both(match, matched) for match in entry.get("match") or [{}]]
    return {**before, "name": name, "match": matches}


def adopted(rollout: str, name: str, entry: Mapping[str, Any], split: Split) -> tuple[Object, Object | None]:
    """Return an HTTP route of somebody else as it should be, and ours, of this name, that has to stand before it.

    ValueError as of `matching`.
    """
    return route(rollout, entry, split), matching(rollout, name, entry, split)


def split_of(rollout: str, entry: Mapping[str, Any], before: Mapping[str, Any] | None) -> Split:
    """Return what two HTTP routes say; what is not as we write it is left out, and so seen as a difference."""
    weights = {
        target: int(one.get("weight", 100))
        for one in entry.get("route") or []
        if (target := _target(rollout, one)) is not None
    }
    mirror = None
    for one in entry.get("mirrors") or []:
        if (target := _target(rollout, one)) is not None:
            mirror = Mirror(round((one.get("percentage") or {}).get("value", 100)), target)
    return Split(weights, mirror, None if before is None else _matched(rollout, before))


def _destination(rollout: str, target: str) -> Object:
    return {"host": object_name(rollout, target), "port": {"number": SERVICE_PORT}}


def _target(rollout: str, one: Mapping[str, Any]) -> str | None:
    return target_in(rollout, str((one.get("destination") or {}).get("host", "")))


def _both(match: Mapping[str, Any], matched: Matched) -> Object:
    """Return a match that asks for what another does, and for our headers, cookies and patterns.

    Its name, which shows in access logs, keeps the headers as they were written: Istio wants them in lower case.
    """
    ours: Object = {name.lower(): {"exact": value} for name, value in matched.headers}
    if matched.cookies:
        ours[COOKIE] = {"regex": cookie_pattern(matched.cookies)}
    ours |= {name.lower(): {"regex": pattern} for name, pattern in matched.patterns}
    theirs = match.get("headers") or {}
    if both := sorted(name for name in theirs if name.lower() in ours):
        raise ValueError(both[0])
    named = ",".join(name for name, _ in (*matched.headers, *matched.patterns)) or COOKIE
    return {**copy.deepcopy(dict(match)), "name": named, "headers": {**theirs, **ours}}


def _matched(rollout: str, before: Mapping[str, Any]) -> Matched | None:
    targets = [target for one in before.get("route") or [] if (target := _target(rollout, one)) is not None]
    matches = before.get("match") or []
    if not targets:
        return None
    first = matches[0] if matches else {}
    headers = first.get("headers") or {}
    pattern = str((headers.get(COOKIE) or {}).get("regex", ""))
    cookies = (cookies_of(pattern) or ()) if pattern else ()
    patterns = () if cookies else tuple(_headers(first, headers, "regex"))
    return Matched(targets[0], tuple(_headers(first, headers, "exact")), cookies, patterns)


def _headers(match: Mapping[str, Any], headers: Mapping[str, Any], how: str) -> Iterator[tuple[str, str]]:
    for name in str(match.get("name", "")).split(","):
        value = (headers.get(name.lower()) or {}).get(how)
        if value is not None:
            yield name, str(value)
