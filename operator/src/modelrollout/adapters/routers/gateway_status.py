"""What gateways say of a route, in its status: pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

GROUP: Final = "gateway.networking.k8s.io"
NEEDED: Final = ("Accepted", "ResolvedRefs")
"""Conditions that a parent must have: the route counts, and so does every backend in it."""

Identity = tuple[str, str, str, str, str, str]


def accepted(raw: Mapping[str, Any], parents: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether every one of these parents took this very generation of the route."""
    namespace = str(raw["metadata"]["namespace"])
    said = {(parent, condition["type"]) for parent, condition in _conditions(raw) if condition.get("status") == "True"}
    return all((_identity(parent, namespace), kind) in said for parent in parents for kind in NEEDED)


def controllers(raw: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the controllers that took care of a route, of whatever generation."""
    parents = (raw.get("status") or {}).get("parents") or []
    return frozenset(str(parent.get("controllerName", "")) for parent in parents)


def problems(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield why gateways refuse this very generation of the route, in their words."""
    for parent, condition in _conditions(raw):
        if condition.get("type") in NEEDED and condition.get("status") == "False":
            reason, message = condition.get("reason", "?"), condition.get("message", "")
            yield f"Gateway {parent[2]}/{parent[3]}: {condition['type']} is False: {reason}: {message}".strip(": ")


def _identity(ref: Mapping[str, Any], namespace: str) -> Identity:
    """Return what tells one parent from another; gateways fill in defaults when they repeat a reference."""
    return (
        str(ref.get("group", GROUP)),
        str(ref.get("kind", "Gateway")),
        str(ref.get("namespace") or namespace),
        str(ref["name"]),
        str(ref.get("sectionName") or ""),
        str(ref.get("port") or ""),
    )


def _conditions(raw: Mapping[str, Any]) -> Iterator[tuple[Identity, Mapping[str, Any]]]:
    """Yield each parent's conditions that speak of this very generation of the route."""
    generation, namespace = int(raw["metadata"].get("generation", 0)), str(raw["metadata"]["namespace"])
    for parent in (raw.get("status") or {}).get("parents") or []:
        for condition in parent.get("conditions") or []:
            if int(condition.get("observedGeneration", 0)) >= generation:
                yield _identity(parent["parentRef"], namespace), condition
