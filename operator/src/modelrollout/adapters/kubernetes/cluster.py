"""The Cluster port on a real API server."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes import objects
from modelrollout.adapters.kubernetes.budget import disruption_budget
from modelrollout.adapters.kubernetes.cache import Routes, Workloads
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.comparer import Shape, comparer_deployment, comparer_name, comparer_service
from modelrollout.adapters.kubernetes.errors import AlreadyExists, NotFound
from modelrollout.adapters.kubernetes.listening import port_of
from modelrollout.adapters.kubernetes.own_image import OwnImage
from modelrollout.adapters.kubernetes.owned import OTHER_NAME, Owned, check_free
from modelrollout.adapters.kubernetes.pods import trouble_of
from modelrollout.adapters.kubernetes.preview import preview_name, preview_service
from modelrollout.adapters.kubernetes.resources import BUDGETS, DEPLOYMENTS, EVENTS, PODS, ROLLOUTS, SERVICES, Resource
from modelrollout.api.base import API_VERSION, FIELD_MANAGER, KIND, NAME_LABEL, ROLE_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Move, Status
from modelrollout.api.strategy import Comparer
from modelrollout.core.revision import object_name
from modelrollout.core.split import COMPARER
from modelrollout.ports import AsideError, Key, TerminalError

PODS_LOOKED_AT: Final = "50"
LONGEST_NOTE: Final = 1000
"""Characters of an event's message; the API server refuses more than 1024."""
_NO_COMPARER: Final = "set shadow.comparer.enabled to false"


class KubernetesCluster:
    """Writes what we own, and tells the cache of workloads what came of it."""

    def __init__(
        self, api: Api, workloads: Workloads, routes: Routes, image: OwnImage, shape: Shape | None = None
    ) -> None:
        self._api = api
        self._workloads = workloads
        self._routes = routes
        self._owned = Owned(api, routes)
        self._image = image
        self._shape = shape or Shape()
        """Of comparers."""

    async def apply_revision(
        self, rollout: ModelRollout, revision: str, template: Mapping[str, Any] | None, replicas: int
    ) -> None:
        """Apply Deployment and Service of a revision; see ports.Cluster.

        TerminalError where one of that name is somebody else's, or a Deployment whose template only it knew is gone.
        """
        if template is None:
            raw = await self._resize(rollout, revision, replicas)
            service = objects.service(rollout, revision, raw["spec"]["template"])
            await check_free(self._api, SERVICES, service)
        else:
            # Built and looked at before anything is written: without a port, or with somebody else behind the
            # Service's name, there must be no Deployment either that could be taken for one that serves.
            service = objects.service(rollout, revision, template)
            deployment = objects.deployment(rollout, revision, template, replicas)
            await self._check_free(rollout, revision, deployment, service)
            raw = await self._api.apply(DEPLOYMENTS, deployment)
        self._workloads.event("MODIFIED", raw)
        await self._api.apply(SERVICES, service)

    async def scale_revision(self, rollout: ModelRollout, revision: str, replicas: int) -> None:
        """Set the replicas of a revision's Deployment; ConflictError where it is gone."""
        self._workloads.event("MODIFIED", await self._scale(rollout, revision, replicas))

    async def delete_revision(self, rollout: ModelRollout, revision: str) -> None:
        """Delete Deployment and Service of a revision, if they carry our labels; absent ones are fine."""
        for resource in (SERVICES, DEPLOYMENTS):
            await self._delete(rollout, revision, resource)

    async def apply_preview(self, rollout: ModelRollout, revision: str | None) -> None:
        """Point the Service `<name>-preview` at a revision; None: delete ours."""
        if revision is None:
            await self._owned.drop(SERVICES, rollout, preview_name(rollout.metadata.name))
            return
        port = await port_of(self._api, rollout, revision)
        asked = rollout.spec.traffic.preview is not None and rollout.spec.strategy.type != "BlueGreen"
        remedy = "take spec.traffic.preview out" if asked else OTHER_NAME
        await self._owned.write(SERVICES, rollout, preview_service(rollout, revision, port), remedy=remedy)

    async def apply_budget(self, rollout: ModelRollout) -> None:
        """Apply the PodDisruptionBudget of the spec; without one in the spec delete ours, if there is any."""
        wanted = disruption_budget(rollout)
        try:
            if wanted is None:
                await self._owned.drop(BUDGETS, rollout, rollout.metadata.name)
            else:
                await self._owned.write(BUDGETS, rollout, wanted, remedy="take spec.disruptionBudget out")
        except TerminalError as error:
            raise AsideError(str(error)) from None

    async def apply_comparer(self, rollout: ModelRollout, stable: str, candidate: str, settings: Comparer) -> None:
        """Apply Deployment and Service of the comparer.

        TerminalError where its image is not known, or one of that name is somebody else's.
        """
        image = await self._image.find()
        body = comparer_deployment(rollout, stable, candidate, image, comparing=settings, shape=self._shape)
        if self._workloads.comparer(Key.of(rollout)) is None:
            await check_free(self._api, DEPLOYMENTS, body, _NO_COMPARER)
        # First the Service: once pods of the comparer are ready, requests are mirrored to whatever has its name.
        await self._owned.write(SERVICES, rollout, comparer_service(rollout), remedy=_NO_COMPARER)
        self._workloads.event("MODIFIED", await self._api.apply(DEPLOYMENTS, body))

    async def delete_comparer(self, rollout: ModelRollout) -> None:
        """Delete Deployment and Service of the comparer, if they are ours; absent ones are fine."""
        meta, name = rollout.metadata, comparer_name(rollout)
        for resource in (SERVICES, DEPLOYMENTS):
            try:
                raw = await self._api.get(resource, meta.namespace, name)
                if objects.is_ours(raw, {NAME_LABEL: meta.name, ROLE_LABEL: COMPARER}):
                    await self._api.delete(resource, meta.namespace, name, str(raw["metadata"]["uid"]))
            except NotFound:
                continue

    async def save_status(self, rollout: ModelRollout, status: Status) -> str:
        """Write the whole status at the rollout's resourceVersion; returns the new one. ConflictError when stale."""
        meta = rollout.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version},
            # A replacement, so that what is unset here vanishes there.
            "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        written = await self._api.replace_status(ROLLOUTS, body)
        return str(written["metadata"]["resourceVersion"])

    async def announce(self, rollout: ModelRollout, move: Move, warning: bool) -> None:
        """Create one event about a move; the name is made from the move, so a repeat changes nothing."""
        try:
            await self._api.create(EVENTS, rollout.metadata.namespace, event_of(rollout, move, warning))
        except AlreadyExists:
            return

    async def pod_trouble(self, rollout: ModelRollout, revision: str) -> tuple[str | None, bool]:
        """Say why pods of a revision are not ready, and whether they crash again and again; one LIST."""
        labels = objects.revision_labels(rollout.metadata.name, revision)
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        params = {"labelSelector": selector, "limit": PODS_LOOKED_AT, "resourceVersion": "0"}
        page = await self._api.list(PODS, rollout.metadata.namespace, params)
        return trouble_of(page.get("items") or [])

    async def _check_free(
        self, rollout: ModelRollout, revision: str, deployment: Mapping[str, Any], service: Mapping[str, Any]
    ) -> None:
        if self._workloads.uid(Key.of(rollout), revision) is None:
            await check_free(self._api, DEPLOYMENTS, deployment)
        await check_free(self._api, SERVICES, service)

    async def _scale(self, rollout: ModelRollout, revision: str, replicas: int) -> dict[str, Any]:
        # Not an apply: one without the template would remove the template, which our last apply owns.
        name = object_name(rollout.metadata.name, revision)
        patch = {"spec": {"replicas": replicas}}
        return await self._api.merge(DEPLOYMENTS, rollout.metadata.namespace, name, patch)

    async def _resize(self, rollout: ModelRollout, revision: str, replicas: int) -> dict[str, Any]:
        try:
            return await self._scale(rollout, revision, replicas)
        except NotFound:
            name = object_name(rollout.metadata.name, revision)
            raise TerminalError(
                f"Deployment {rollout.metadata.namespace}/{name} is gone, and with it the template of revision "
                f"{revision}; set spec.template to that template again"
            ) from None

    async def _delete(self, rollout: ModelRollout, revision: str, resource: Resource) -> None:
        meta, name = rollout.metadata, object_name(rollout.metadata.name, revision)
        try:
            uid = await self._uid(rollout, revision, resource)
            if uid is not None:
                await self._api.delete(resource, meta.namespace, name, uid)
        except NotFound:
            return

    async def _uid(self, rollout: ModelRollout, revision: str, resource: Resource) -> str | None:
        """Return the uid of the object if it is ours; NotFound where there is none."""
        meta = rollout.metadata
        known = self._workloads.uid(Key.of(rollout), revision) if resource is DEPLOYMENTS else None
        if known is not None:
            return known
        raw = await self._api.get(resource, meta.namespace, object_name(meta.name, revision))
        if not objects.is_ours(raw, objects.revision_labels(meta.name, revision)):
            return None
        return str(raw["metadata"]["uid"])


def event_of(rollout: ModelRollout, move: Move, warning: bool) -> dict[str, Any]:
    """Return the Kubernetes event about a move."""
    meta, at = rollout.metadata, move.model_dump(mode="json")["at"]
    digest = hashlib.sha256("\n".join((meta.uid, at, move.move, move.revision, str(move.weight))).encode())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name}.{digest.hexdigest()[:16]}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
        },
        "reason": move.move,
        "message": move.message[:LONGEST_NOTE],
        "type": "Warning" if warning else "Normal",
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
