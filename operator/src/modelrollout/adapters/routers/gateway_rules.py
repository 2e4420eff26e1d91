"""Rules of Gateway API routes, from a split and back: pure.

One rule carries weights and mirror; a match is a second rule, before the first and alike but for the headers that it
asks for, and all of whose requests go to one revision. Every field that the API server would fill in is spelled out, so
that what is read back can be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelrollout.adapters.kubernetes.objects import SERVICE_PORT
from modelrollout.adapters.routers.owning import target_in
from modelrollout.core.cookies import COOKIE, cookie_pattern, cookies_of
from modelrollout.core.revision import object_name
from modelrollout.core.split import Matched, Mirror, Pairs, Split

LONGEST_VALUE: Final = 4096
"""Characters of a header's value in a match."""

Object = dict[str, Any]


def rules_of(rollout: str, base: Mapping[str, Any], split: Split, name: str) -> tuple[Object, Object | None]:
    """Return a rule that says what the split says, and the rule that has to stand before it, called `name`, if any.

    `base` is the rule without what is ours, or with an older state of it: all else in it is kept. ValueError where it
    matches a header already that the split matches too.
    """
    backends = [service(rollout, revision, weight) for revision, weight in split.weights.items()]
    filters = _theirs(rollout, base)
    rule = _with(base, filters if split.mirror is None else [*filters, _mirror(rollout, split.mirror)], backends)
    if split.matched is None:
        return rule, None
    before = _with(base, filters, [service(rollout, split.matched.revision, 1)])
    headers = list(_headers(split.matched))
    matches = [_narrowed(one, headers) for one in base.get("matches") or [{}]]
    return rule, {**before, "name": name, "matches": matches}


def split_of(rollout: str, rules: Sequence[Mapping[str, Any]], before: Mapping[str, Any] | None) -> Split:
    """Return what rules say, as far as it is about the rollout's revisions; `before` stands before the first."""
    weights = {
        target: int(backend.get("weight", 1))
        for rule in rules
        for backend in rule.get("backendRefs") or []
        if (target := _target(rollout, backend)) is not None
    }
    mirrors = (_mirror_of(rollout, one) for rule in rules for one in rule.get("filters") or [])
    matched = None if before is None else _matched_of(rollout, rules[0] if rules else {}, before)
    return Split(weights, next((one for one in mirrors if one is not None), None), matched)


def service(rollout: str, revision: str, weight: int | None = None) -> Object:
    """Return a reference to the Service of a revision, or of what else is called `<rollout>-<revision>`."""
    name = object_name(rollout, revision)
    reference: Object = {"group": "", "kind": "Service", "name": name, "port": SERVICE_PORT}
    return reference if weight is None else {**reference, "weight": weight}


def _with(base: Mapping[str, Any], filters: list[Object], backends: list[Object]) -> Object:
    rest = {key: value for key, value in base.items() if key not in ("filters", "backendRefs")}
    return {**rest, **({"filters": filters} if filters else {}), "backendRefs": backends}


def _theirs(rollout: str, rule: Mapping[str, Any]) -> list[Object]:
    return [one for one in rule.get("filters") or [] if _mirror_of(rollout, one) is None]


def _mirror(rollout: str, mirror: Mirror) -> Object:
    told = {"backendRef": service(rollout, mirror.to), "percent": mirror.percent}
    return {"type": "RequestMirror", "requestMirror": told}


def _mirror_of(rollout: str, one: Mapping[str, Any]) -> Mirror | None:
    told = one.get("requestMirror") or {}
    target = _target(rollout, told.get("backendRef") or {})
    return None if target is None else Mirror(int(told.get("percent", 100)), target)


def _headers(matched: Matched) -> Iterator[Object]:
    for name, value in matched.headers:
        yield {"type": "Exact", "name": name, "value": value}
    if matched.cookies:
        yield {"type": "RegularExpression", "name": COOKIE, "value": cookie_pattern(matched.cookies)}
    for name, value in matched.patterns:
        yield {"type": "RegularExpression", "name": name, "value": value}


def _narrowed(match: Mapping[str, Any], headers: list[Object]) -> Object:
    theirs = match.get("headers") or []
    taken = {str(one["name"]).lower() for one in theirs}
    for header in headers:
        if header["name"].lower() in taken:
            raise ValueError(header["name"])
    return {**match, "headers": [*theirs, *headers]}


def _target(rollout: str, backend: Mapping[str, Any]) -> str | None:
    return target_in(rollout, str(backend.get("name", "")))


def _matched_of(rollout: str, rule: Mapping[str, Any], before: Mapping[str, Any]) -> Matched | None:
    """Return what the rule before a rule asks for in addition; None where it leads to none of ours."""
    theirs = _first_headers(rule)
    added = [one for one in _first_headers(before) if one not in theirs]
    targets = (_target(rollout, one) for one in before.get("backendRefs") or [])
    revision = next((target for target in targets if target is not None), None)
    if revision is None:
        return None
    exact, patterns = _told(added, regular=False), _told(added, regular=True)
    cookies = next((found for name, value in patterns if name == COOKIE and (found := cookies_of(value))), ())
    rest = tuple(one for one in patterns if one != (COOKIE, cookie_pattern(cookies))) if cookies else patterns
    return Matched(revision, exact, cookies, rest)


def _told(headers: list[Object], *, regular: bool) -> Pairs:
    kinds = (one for one in headers if (one.get("type") == "RegularExpression") is regular)
    return tuple((str(one["name"]), str(one["value"])) for one in kinds)


def _first_headers(rule: Mapping[str, Any]) -> list[Object]:
    matches = rule.get("matches") or [{}]
    return matches[0].get("headers") or []
