"""What routers share about the objects that they write and read back: heads of bodies, comparisons, names."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.api.base import LATCH_ANNOTATION, NAME_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER

Object = dict[str, Any]
_REVISION: Final = re.compile(r"[0-9a-z]{10}")


def head(resource: Resource, rollout: ModelRollout, name: str, latch: str | None = None) -> Object:
    """Return the head of an apply body with the rollout's label, and the latch where there is one."""
    body = objects.metadata(resource, rollout, name, {NAME_LABEL: rollout.metadata.name})
    if latch is not None:
        body["metadata"]["annotations"] = {LATCH_ANNOTATION: latch}
    return body


def annotation(raw: Mapping[str, Any], name: str) -> str | None:
    """Return an annotation of an object."""
    found = (raw["metadata"].get("annotations") or {}).get(name)
    return None if found is None else str(found)


def latch_of(raw: Mapping[str, Any]) -> str | None:
    """Return the latch that came with the last write of an object."""
    return annotation(raw, LATCH_ANNOTATION)


def same(one: object, other: object) -> bool:
    """Say whether two values are the same JSON, whatever the order of fields; order in lists counts."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def holds(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a spec has these fields as they are wanted; others in it are somebody else's."""
    return all(same(found.get(name), value) for name, value in wanted.items())


def target_in(rollout: str, name: str) -> str | None:
    """Return what a Service of a rollout serves, a revision or COMPARER; None for any other Service."""
    prefix = object_name(rollout, "")
    target = name.removeprefix(prefix)
    return target if name.startswith(prefix) and (target == COMPARER or _REVISION.fullmatch(target)) else None
