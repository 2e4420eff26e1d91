"""Reading pod templates as people wrote them: a field of the wrong type reads as absent, the API server names it."""

from collections.abc import Mapping
from typing import Any


def mapping(holder: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return a field that is an object; empty where it is none."""
    value = holder.get(field)
    return value if isinstance(value, Mapping) else {}


def items(holder: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Return the objects in a field that is a list; empty where it is none."""
    value = holder.get(field)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
