"""Objects of our own: found by name and label, written without taking over somebody else's, deleted when done."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.api.base import LATCH_ANNOTATION, NAME_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER
from modelrollout.ports import ConflictError, TerminalError

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


class Owned:
    """The objects of rollouts, of one router."""

    def __init__(self, api: Api, routes: Routes) -> None:
        self._api = api
        self._routes = routes

    def find(self, resource: Resource, rollout: ModelRollout, name: str) -> Mapping[str, Any] | None:
        """Return an object of the rollout, as last watched or written; None for one of somebody else."""
        raw = self._routes.get(resource, rollout.metadata.namespace, name)
        return raw if raw is not None and objects.is_ours(raw, {NAME_LABEL: rollout.metadata.name}) else None

    def made(self, resource: Resource, rollout: ModelRollout, name: str) -> Mapping[str, Any] | None:
        """Return an object that we made; None for one that only got our label, such as one that people handed over."""
        raw = self.find(resource, rollout, name)
        return raw if raw is not None and objects.is_ours(raw, {objects.MANAGED_BY: "modelrollout"}) else None

    async def write(self, resource: Resource, rollout: ModelRollout, body: Object, *, sole: bool = False) -> None:
        """Apply an object; TerminalError where one of that name is somebody else's.

        `sole`: nothing else may be in its spec, so what others put there is taken out.
        """
        name = str(body["metadata"]["name"])
        if self.find(resource, rollout, name) is None:
            await self._check_free(resource, rollout, name)
        written = await self._api.apply(resource, body)
        surplus = _surplus(written["spec"], body["spec"]) if sole else None
        if surplus:
            written = await self._api.merge(resource, rollout.metadata.namespace, name, {"spec": surplus})
        self._routes.event(resource, "MODIFIED", written)

    async def drop(self, resource: Resource, rollout: ModelRollout, name: str) -> None:
        """Delete an object that we made; one that is not there, or was made anew, is fine."""
        raw = self.made(resource, rollout, name)
        if raw is None:
            return
        try:
            await self._api.delete(resource, rollout.metadata.namespace, name, str(raw["metadata"]["uid"]))
        except ConflictError:
            return

    async def _check_free(self, resource: Resource, rollout: ModelRollout, name: str) -> None:
        # Only before the first write: a forced apply would take over the object of somebody else without a word.
        meta = rollout.metadata
        try:
            found = await self._api.get(resource, meta.namespace, name)
        except NotFound:
            return
        if not objects.is_ours(found, {NAME_LABEL: meta.name}):
            raise TerminalError(
                f"{resource.kind} {meta.namespace}/{name} exists and was not made by this rollout; delete it, "
                f"label it {NAME_LABEL}={meta.name} to hand it over, or give the rollout another name"
            )


def _surplus(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """Return the merge patch that takes out what an apply leaves to others; lists are ours as a whole."""
    patch: Object = {}
    for name, value in found.items():
        if name not in wanted:
            patch[name] = None
        elif isinstance(value, dict) and (inner := _surplus(value, wanted[name])):
            patch[name] = inner
    return patch
