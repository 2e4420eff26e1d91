"""What we remember of watched objects: little, and never a raw object.

Each cache is the sink of a reflector, and is also told what our own writes returned, so that the next plan never
acts on a state older than its own last write.
"""

import json
import sys
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.api.base import ADOPTED_PREFIX, COMPARES_LABEL, NAME_LABEL, REVISION_LABEL, ROLE_LABEL
from modelrollout.core.observed import ComparerState, Workload
from modelrollout.core.revision import image_of, object_name
from modelrollout.core.split import COMPARER
from modelrollout.ports import Key

Name = tuple[str, str]
"""Namespace and name of an object."""
Changed = Callable[[Key], None]
"""Told of each rollout whose objects changed in a way that can matter to it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of one Deployment."""

    workload: Workload
    uid: str
    version: int


@dataclass(frozen=True, slots=True)
class HeldComparer:
    """What is known of the Deployment of one comparer."""

    state: ComparerState
    name: str
    version: int


class Workloads:
    """The Deployments of every rollout, by revision."""

    def __init__(self, on_change: Changed) -> None:
        self._on_change = on_change
        self._held: dict[Key, dict[str, Held]] = {}
        self._comparers: dict[Key, HeldComparer] = {}

    def comparer(self, key: Key) -> ComparerState | None:
        """Return the comparer of a rollout."""
        held = self._comparers.get(key)
        return held.state if held else None

    def of(self, key: Key) -> dict[str, Workload]:
        """Return the workloads of a rollout by revision."""
        return {revision: held.workload for revision, held in self._held.get(key, {}).items()}

    def uid(self, key: Key, revision: str) -> str | None:
        """Return the uid of a revision's Deployment, where one with our labels exists."""
        held = self._held.get(key, {}).get(revision)
        return held.uid if held else None

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Take in a Deployment that was added, modified or deleted; one older than what is held is passed over."""
        meta = raw["metadata"]
        labels = meta.get("labels") or {}
        name, revision = labels.get(NAME_LABEL), labels.get(REVISION_LABEL)
        if name and labels.get(ROLE_LABEL) == COMPARER:
            self._comparer_event(kind, raw, Key(meta["namespace"], name))
            return
        if not name or not revision or meta["name"] != object_name(name, revision):
            return
        key, new = Key(meta["namespace"], name), held_of(raw, revision)
        old = self._held.get(key, {}).get(revision)
        if old is not None and new.version < old.version:
            return
        if kind == "DELETED":
            self._forget(key, revision)
        else:
            self._held.setdefault(key, {})[revision] = new
            if old is None or old.workload != new.workload or old.uid != new.uid:
                self._on_change(key)

    def retain(self, names: Collection[Name]) -> None:
        """Forget every Deployment that is not among these."""
        gone = [
            (key, revision)
            for key, revisions in self._held.items()
            for revision in revisions
            if (key.namespace, object_name(key.name, revision)) not in names
        ]
        for key, revision in gone:
            self._forget(key, revision)
        for key in [key for key, held in self._comparers.items() if (key.namespace, held.name) not in names]:
            del self._comparers[key]
            self._on_change(key)

    def _comparer_event(self, kind: str, raw: Mapping[str, Any], key: Key) -> None:
        old, new = self._comparers.get(key), comparer_of(raw)
        if old is not None and new.version < old.version:
            return
        if kind == "DELETED":
            self._comparers.pop(key, None)
        else:
            self._comparers[key] = new
        if kind == "DELETED" or old is None or old.state != new.state:
            self._on_change(key)

    def _forget(self, key: Key, revision: str) -> None:
        revisions = self._held.get(key, {})
        if revisions.pop(revision, None) is not None:
            if not revisions:
                del self._held[key]
            self._on_change(key)


def held_of(raw: Mapping[str, Any], revision: str) -> Held:
    """Reduce a Deployment to what decisions need."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    desired = int(spec.get("replicas", 1))
    seen = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    image = image_of(spec.get("template") or {})
    workload = Workload(
        revision=sys.intern(revision),
        desired=desired,
        # Pods beyond what is asked for are about to go, so they carry no traffic.
        ready=min(desired, int(status.get("readyReplicas", 0))) if seen else 0,
        total=int(status.get("replicas", 0)),
        deadline_exceeded=seen and progressing.get("reason") == "ProgressDeadlineExceeded",
        image=sys.intern(image) if image else None,
        trouble=_trouble(failure) if seen and failure.get("status") == "True" else None,
    )
    return Held(workload, str(meta.get("uid", "")), version_of(raw))


def comparer_of(raw: Mapping[str, Any]) -> HeldComparer:
    """Reduce the Deployment of a comparer to what decisions need."""
    meta, status = raw["metadata"], raw.get("status") or {}
    stable, _, rest = str((meta.get("labels") or {}).get(COMPARES_LABEL, "")).partition(".")
    candidate, _, settings = rest.partition(".")
    seen = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))
    ready = seen and int(status.get("readyReplicas", 0)) > 0
    return HeldComparer(ComparerState(stable, candidate, settings, ready), str(meta["name"]), version_of(raw))


def _trouble(failure: Mapping[str, Any]) -> str:
    return f"{failure.get('reason', 'ReplicaFailure')}: {failure.get('message', '')}"[:200]


def version_of(raw: Mapping[str, Any]) -> int:
    """Return an object's resourceVersion, which grows with every write of it."""
    return int(raw["metadata"].get("resourceVersion") or 0)


_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


Place = tuple[str, str, str]
"""Plural of the kind, namespace and name of an object."""


class Routes:
    """The objects that route requests, of every kind that a router writes, as compact JSON, compressed."""

    def __init__(self, on_change: Changed) -> None:
        self._on_change = on_change
        self._held: dict[Place, tuple[int, bytes]] = {}
        self._owners: dict[Place, frozenset[Key]] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return an object, without the parts that only the API server needs."""
        held = self._held.get((resource.plural, namespace, name))
        return None if held is None else json.loads(zlib.decompress(held[1]))

    def names(self, resource: Resource, key: Key) -> list[str]:
        """Return the names of a rollout's objects of a kind."""
        kind = (resource.plural, key.namespace)
        return sorted(place[2] for place, owners in self._owners.items() if place[:2] == kind and key in owners)

    def sink(self, resource: Resource) -> "RouteSink":
        """Return where a watch of a kind delivers to."""
        return RouteSink(self, resource)

    def event(self, resource: Resource, kind: str, raw: Mapping[str, Any]) -> None:
        """Take in an object that was added, modified or deleted; one older than what is held is passed over."""
        meta = raw["metadata"]
        place, version = (resource.plural, str(meta["namespace"]), str(meta["name"])), version_of(raw)
        old = self._held.get(place)
        if old is not None and version < old[0]:
            return
        if kind == "DELETED":
            self._forget(place)
            return
        text, before = compact(raw), self._owners.get(place, frozenset())
        self._held[place], self._owners[place] = (version, text), owners_of(raw)
        if old is None or old[1] != text:
            for key in before | self._owners[place]:
                self._on_change(key)

    def retain(self, resource: Resource, names: Collection[Name]) -> None:
        """Forget every object of a kind that is not among these."""
        for place in [one for one in self._held if one[0] == resource.plural and one[1:] not in names]:
            self._forget(place)

    def wake(self, key: Key) -> None:
        """Have a rollout looked at again, though nothing of it changed."""
        self._on_change(key)

    def drop(self, resource: Resource, namespace: str, name: str) -> None:
        """Forget an object that we deleted."""
        self._forget((resource.plural, namespace, name))

    def _forget(self, place: Place) -> None:
        if self._held.pop(place, None) is not None:
            for key in self._owners.pop(place, ()):
                self._on_change(key)


@dataclass(frozen=True, slots=True)
class RouteSink:
    """Where a watch of one kind of routing objects delivers to."""

    routes: Routes
    resource: Resource

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Take in an object that was added, modified or deleted."""
        self.routes.event(self.resource, kind, raw)

    def retain(self, names: Collection[Name]) -> None:
        """Forget every object that is not among these."""
        self.routes.retain(self.resource, names)


def owners_of(raw: Mapping[str, Any]) -> frozenset[Key]:
    """Return the rollouts that an object routes for: the one that made it, and those that adopted a part of it."""
    meta = raw["metadata"]
    name = (meta.get("labels") or {}).get(NAME_LABEL)
    adopted = [
        note.removeprefix(ADOPTED_PREFIX) for note in meta.get("annotations") or {} if note.startswith(ADOPTED_PREFIX)
    ]
    return frozenset(Key(str(meta["namespace"]), one) for one in (name, *adopted) if one)


def compact(raw: Mapping[str, Any]) -> bytes:
    """Return what tells two states of an object apart, as compressed JSON: no resourceVersion, no bookkeeping."""
    meta = raw["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "uid", "generation", "labels") if name in meta}
    notes = {name: value for name, value in (meta.get("annotations") or {}).items() if name != _LAST_APPLIED}
    content = {"metadata": {**kept, "annotations": notes}, "spec": raw.get("spec"), "status": raw.get("status")}
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode())
