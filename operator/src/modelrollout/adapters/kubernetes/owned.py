"""Objects of our own: found by name and label, written without taking over somebody else's, deleted when done."""

from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.api.base import NAME_LABEL, REVISION_LABEL, ROLE_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.ports import ConflictError, TerminalError

Object = dict[str, Any]
IDENTITY: Final = (NAME_LABEL, REVISION_LABEL, ROLE_LABEL)
"""Labels that say whose an object is, and which of theirs."""
OTHER_NAME: Final = "give the rollout another name"


class Owned:
    """The objects of rollouts that the cache of routes knows."""

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

    async def write(
        self, resource: Resource, rollout: ModelRollout, body: Object, *, sole: bool = False, remedy: str = OTHER_NAME
    ) -> None:
        """Apply an object; TerminalError where one of that name is somebody else's.

        `sole`: nothing else may be in its spec, so what others put there is taken out. `remedy`: see `check_free`.
        """
        name = str(body["metadata"]["name"])
        if self.find(resource, rollout, name) is None:
            await check_free(self._api, resource, body, remedy)
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
        namespace = rollout.metadata.namespace
        try:
            await self._api.delete(resource, namespace, name, str(raw["metadata"]["uid"]))
        except NotFound:
            pass
        except ConflictError:
            return
        self._routes.drop(resource, namespace, name)


async def check_free(api: Api, resource: Resource, body: Mapping[str, Any], remedy: str = OTHER_NAME) -> None:
    """Raise TerminalError where somebody else has an object of that name; for before a first write.

    A forced apply would take it over without a word. `remedy` says what helps beside deleting it or handing it over.
    """
    meta = body["metadata"]
    wanted = {label: value for label, value in meta["labels"].items() if label in IDENTITY}
    try:
        found = await api.get(resource, meta["namespace"], meta["name"])
    except NotFound:
        return
    if objects.is_ours(found, wanted):
        return
    owner = owner_of(found)
    # What only carries the rollout's name can become ours as it is; pods of a revision are what their template says.
    given = f", label it {NAME_LABEL}={wanted[NAME_LABEL]} to hand it over" if set(wanted) == {NAME_LABEL} else ""
    raise TerminalError(
        f"{resource.kind} {meta['namespace']}/{meta['name']} exists and was not made by this rollout"
        f"{f' (it is {owner})' if owner else ''}; delete it{given}, or {remedy}"
    )


def owner_of(raw: Mapping[str, Any]) -> str | None:
    """Return whose an object is, in words, as far as it tells: `of rollout b`, `managed by Helm`."""
    meta = raw["metadata"]
    labels = meta.get("labels") or {}
    if labels.get(NAME_LABEL):
        return f"of rollout {labels[NAME_LABEL]}"
    for owner in meta.get("ownerReferences") or []:
        if owner.get("controller"):
            return f"of {owner['kind']} {owner['name']}"
    if labels.get(objects.MANAGED_BY):
        return f"managed by {labels[objects.MANAGED_BY]}"
    writers = [entry for entry in meta.get("managedFields") or [] if not entry.get("subresource")]
    return f"written by {writers[0]['manager']}" if writers and writers[0].get("manager") else None


def _surplus(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """Return the merge patch that takes out what an apply leaves to others; lists are ours as a whole."""
    patch: Object = {}
    for name, value in found.items():
        if name not in wanted:
            patch[name] = None
        elif isinstance(value, dict) and (inner := _surplus(value, wanted[name])):
            patch[name] = inner
    return patch
