"""What the suite has to know of a router, and a rollout that is routed by it on a real API server.

Each router has a file of cases here; `cases.py` lists them, and every test of the suite runs for each of them.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import SERVICES, Resource
from modelrollout.adapters.routers import Routers
from modelrollout.api.base import NAME_LABEL, REVISION_LABEL
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.api.strategy import Sticky
from modelrollout.core.observed import Route
from modelrollout.core.split import COMPARER, Matched, Mirror, Split
from modelrollout.core.sticky import patterns
from modelrollout.ports import Key
from tests.support.kube import Kube, KubeError, Object
from tests.support.rollouts import document, rollout_in

STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
MIRROR, MATCH, STICKY, ISSUED = "mirror", "match", "sticky", "issued"
"""What a router may be able to do beside weights."""

FEATURES: Final[Mapping[str, tuple[Split, ...]]] = {
    MIRROR: (
        Split({STABLE: 100}, mirror=Mirror(20, CANDIDATE)),
        Split({STABLE: 100}, mirror=Mirror(100, CANDIDATE)),
        Split({STABLE: 100}, mirror=Mirror(1, COMPARER)),
    ),
    MATCH: (
        Split({STABLE: 100}, matched=Matched(CANDIDATE, headers=(("X-Canary", "yes"),))),
        Split({STABLE: 100}, matched=Matched(CANDIDATE, headers=(("X-A", "a.b*(c)`$\"'\\"), ("X-B", "b c")))),
        Split({STABLE: 100}, matched=Matched(CANDIDATE, cookies=(("user", "a.b|c(1)=2$^*+?"),))),
        Split({STABLE: 100}, matched=Matched(CANDIDATE, cookies=(("a|b", "1"), ("group", "beta")))),
        Split({STABLE: 100}, matched=Matched(CANDIDATE, (("X-Canary", "yes"),), (("a", "1"), ("b", "2"), ("c", "3")))),
    ),
    STICKY: tuple(
        Split({STABLE: 100}, matched=Matched(CANDIDATE, patterns=patterns(key, weight, CANDIDATE)))
        for key in (Sticky(header="X-User-Id"), Sticky(cookie="u|id", endings="Base64URL"))
        for weight in (1, 50, 99)
    ),
    ISSUED: (Split({STABLE: 50, CANDIDATE: 50}, sticky="server"),),
}
"""Splits that only a router with that feature can write."""

STRATEGIES: Final[Mapping[str, Object]] = {
    MIRROR: {
        "steps": [{"pause": {}}, {"shadow": {"percent": 20, "comparer": {"enabled": False}}}, {"switch": {}}],
    },
    MATCH: {"steps": [{"pause": {}}, {"match": {"headers": {"X-Canary": "yes"}}}, {"switch": {}}]},
    STICKY: {"sticky": {"cookie": "user"}, "steps": [{"weight": 50}]},
    ISSUED: {"sticky": {"issued": "server"}, "steps": [{"weight": 50}]},
}
"""Strategies that ask for a feature, in their second step if in one."""

Edit = Callable[[Object], None]
"""Changes the `spec` of an object in place."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to use one router."""

    name: str
    """Shown in the names of tests."""
    router: str
    """Its field under `spec.traffic`; refusals name it."""
    traffic: Object
    """`spec.traffic`."""
    resource: Resource
    """Kind of the object that carries the weights."""
    theirs: Object
    """`spec` of such an object as somebody else writes it: under the name that we would use or, for an adopted one,
    with the part in it that we adopt."""
    can: frozenset[str] = frozenset()
    """What it can do beside weights; the suite checks that `check` refuses all else."""
    object: str = "fraud"
    """Name of the object; the rollout is called `fraud`."""
    adopted: bool = False
    """Whether the object is somebody else's, and only a part of it ours."""
    edits: Mapping[str, Edit] = field(default_factory=dict)
    """What others may do to the part that is ours; each is seen and written over."""
    kept: Callable[[Object], object] = lambda _: None
    """Returns the part of the spec that is not ours: no write of ours changes it."""
    accept: Callable[["Setting"], None] | None = None
    """Plays the gateway: confirms the objects as they are now. None: accepted as it is written."""
    previews: bool = False
    """Whether it makes a route to the preview, where host names are given for it."""
    share: int = 5
    """A weight that the router can give to the candidate."""
    spec: Object = field(default_factory=dict)
    """Further fields of the rollout's spec."""

    @property
    def split(self) -> Split:
        """Return a split between both revisions."""
        return Split({STABLE: 100 - self.share, CANDIDATE: self.share})

    @property
    def whole(self) -> Split:
        """Return the split that gives everything to stable."""
        return Split({STABLE: 100})

    @property
    def features(self) -> tuple[Split, ...]:
        """Return splits beyond weights that the router can write."""
        return tuple(split for name in FEATURES if name in self.can for split in FEATURES[name])


class Setting:
    """A rollout whose requests are split by the router of a case."""

    def __init__(self, case: Case, api: Kube, connection: Api, namespace: str, **spec: Any) -> None:
        self.case = case
        self.api = api
        self.connection = connection
        self.rollout = rollout_in(api, namespace, **{"traffic": case.traffic, **case.spec, **spec})
        self.key = Key(namespace, self.rollout.metadata.name)
        self.changed: list[Key] = []
        self.woken = asyncio.Event()
        self.routes = Routes(self._changes)
        self.routers = Routers(connection, self.routes)
        self.router = self.routers.router_for(self.rollout)
        if case.adopted:
            self.create_theirs()

    def _changes(self, key: Key) -> None:
        self.changed.append(key)
        self.woken.set()

    def with_spec(self, **spec: Any) -> ModelRollout:
        """Return the rollout as if it had another spec; nobody writes it."""
        other = document(self.key.namespace, **{"traffic": self.case.traffic, **self.case.spec, **spec})
        metadata = {**other["metadata"], "uid": self.rollout.metadata.uid}
        return parse({**other, "metadata": metadata})

    async def set(self, split: Split, latch: str | None = None) -> None:
        """Write a split as the operator does."""
        await self.router.set(self.rollout, split, latch)

    def read(self) -> Route | None:
        """Read the route back as the operator does once its watches have delivered."""
        self.watch()
        return self.router.read(self.rollout)

    def route(self) -> Route:
        """Read the route back; there must be one."""
        found = self.read()
        assert found is not None
        return found

    def watch(self) -> None:
        """Bring everything to the cache that a watch would bring by now."""
        for resource in self.routers.resources:
            sink = self.routes.sink(resource)
            found = self._labelled(resource)
            for raw in found:
                sink.event("ADDED", raw)
            sink.retain([(raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in found])

    def raw(self) -> Object:
        """Return the object that carries the weights."""
        return self._get(self.case.resource, self.case.object)

    def ours(self) -> list[Object]:
        """Return every object that we wrote for the router."""
        wanted = (self.case.resource, *self.routers.resources)
        return [raw for resource in dict.fromkeys(wanted) for raw in self._labelled(resource)]

    def told(self) -> str:
        """Return all that our objects say in their specs, as JSON."""
        return json.dumps([raw.get("spec") for raw in self.ours()])

    def create_theirs(self) -> Object:
        """Create the object of somebody else."""
        meta = {"name": self.case.object, "namespace": self.key.namespace, "annotations": {"team": "risk"}}
        resource = self.case.resource
        return self.api.create(
            {"apiVersion": resource.api, "kind": resource.kind, "metadata": meta, "spec": self.case.theirs}
        )

    def edit(self, change: Edit) -> None:
        """Change the spec of the object as somebody else."""
        raw = self.raw()
        change(raw["spec"])
        self.api.request("PUT", self._path(), raw, params={"fieldManager": "somebody"})

    def annotate(self, **labels: str) -> None:
        """Label and annotate the object as somebody else."""
        resource = self.case.resource
        patch = {"metadata": {"labels": labels, "annotations": labels}}
        self.api.patch(resource.kind, self.case.object, patch, api=resource.api, namespace=self.key.namespace)

    def delete(self) -> None:
        """Delete the object as somebody else."""
        self.api.request("DELETE", self._path())

    def exists(self) -> bool:
        """Say whether the object is there."""
        try:
            self.raw()
        except KubeError as error:
            assert error.code == 404  # noqa: PT017
            return False
        return True

    def _path(self) -> str:
        return self.case.resource.path(self.key.namespace, self.case.object)

    def _get(self, resource: Resource, name: str) -> Object:
        return self.api.get(resource.kind, name, api=resource.api, namespace=self.key.namespace)

    def _labelled(self, resource: Resource) -> list[Object]:
        # As runtime.shell watches them: the Services of revisions are nobody's business.
        labels = f"{NAME_LABEL},!{REVISION_LABEL}" if resource == SERVICES else NAME_LABEL
        found = self.api.list(resource.kind, api=resource.api, namespace=self.key.namespace, labels=labels)
        # A list leaves out what each of its items is.
        return [{"apiVersion": resource.api, "kind": resource.kind, **raw} for raw in found]
