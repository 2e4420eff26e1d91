"""Traffic by a TraefikService of the rollout's own name, which IngressRoutes name: those of others, or one of our own.

Traefik takes all its objects as one configuration, so a TraefikService that changes its kind loses no request. It says
nothing of what it took; an object counts as accepted as it is written, and the operator's --settle covers the time
until then.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.owned import Owned
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.adapters.kubernetes.resources import INGRESS_ROUTES, TRAEFIK_SERVICES, Resource
from modelrollout.adapters.routers.owning import Object, holds, latch_of, same
from modelrollout.adapters.routers.refusing import STICKY, asked, preview_hostnames, refusal, steps
from modelrollout.adapters.routers.traefik_objects import (
    ingress_route,
    preview_route,
    split_of,
    traefik_service,
    weighted_name,
    weighted_service,
)
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import Traefik
from modelrollout.core.observed import Route
from modelrollout.core.split import Matched, Split
from modelrollout.core.sticky import by_key
from modelrollout.ports import Key

NAME: Final = "traefik"
HEARD: Final = 1.0
"""Seconds in which Traefik hears of an object."""


class TraefikRouter:
    """Writes and reads TraefikServices and IngressRoutes."""

    resources: tuple[Resource, ...] = (TRAEFIK_SERVICES, INGRESS_ROUTES)

    def __init__(self, api: Api, routes: Routes) -> None:
        self._owned = Owned(api, routes)
        self._routes = routes
        self._joining: dict[Key, float] = {}
        """Rollouts whose match ends a moment after the weights, and when."""

    async def learn(self, rollout: ModelRollout) -> None:
        """Nothing that `check` needs is in the cluster."""

    def check(self, rollout: ModelRollout) -> None:
        """Refuse what needs an IngressRoute of our own where there is none: the rules of others are theirs."""
        if _settings(rollout).match is not None:
            return
        why = "cannot match where it writes no IngressRoute"
        for place, _ in steps(rollout, "match"):
            raise refusal(rollout, NAME, place, why, "give spec.traffic.traefik.match, or use weight")
        if by_key(rollout.spec) is not None:
            remedy = "give spec.traffic.traefik.match, or write sticky.issued: a cookie that Traefik issues"
            raise refusal(rollout, NAME, STICKY, why, remedy)
        if preview_hostnames(rollout):
            why = "makes no preview route where it writes no IngressRoute"
            remedy = (
                "give spec.traffic.traefik.match, or remove hostnames and let a route lead to the preview's Service"
            )
            raise refusal(rollout, NAME, "spec.traffic.preview.hostnames", why, remedy)

    async def set(self, rollout: ModelRollout, split: Split, latch: str | None) -> None:
        """Write the objects; TerminalError where one of that name is somebody else's."""
        name = rollout.metadata.name
        entries = self._entries(rollout, split)
        # A match ends with the first write, and begins with the last, when all that it leads past is in place.
        held = split_of(name, {}, {}, self._find(INGRESS_ROUTES, rollout, name)).matched
        joined = self._joined(held, rollout, split)
        ends = held is not None and split.matched is None and not joined
        if ends:
            await self._write_entries(rollout, entries)
        if split.mirror is not None:
            body = weighted_service(rollout, weighted_name(name), split)
            await self._owned.write(TRAEFIK_SERVICES, rollout, body, sole=True)
        await self._owned.write(TRAEFIK_SERVICES, rollout, traefik_service(rollout, split, latch), sole=True)
        if not ends and not (joined and self._waits(rollout)):
            await self._write_entries(rollout, entries)
        if split.mirror is None:
            await self._owned.drop(TRAEFIK_SERVICES, rollout, weighted_name(name))

    def _joined(self, held: Matched | None, rollout: ModelRollout, split: Split) -> bool:
        """Say whether all other requests now follow those that a match led to their revision: a promotion."""
        joined = held is not None and split.matched is None and split.served == (held.revision,)
        if not joined:
            self._joining.pop(Key.of(rollout), None)
        return joined

    def _waits(self, rollout: ModelRollout) -> bool:
        """Say whether a match has to stay for a moment after the weights were written, and look again then.

        Traefik watches each kind of objects by itself. Were it to hear of the match first, clients who had the
        candidate would go back to stable until it hears of the weights.
        """
        key, loop = Key.of(rollout), asyncio.get_running_loop()
        left = self._joining.setdefault(key, loop.time() + HEARD) - loop.time()
        if left > 0:
            loop.call_later(left, self._routes.wake, key)
            return True
        del self._joining[key]
        return False

    def read(self, rollout: ModelRollout) -> Route | None:
        """Interpret the objects; see the module on what counts as accepted."""
        name = rollout.metadata.name
        main = self._owned.find(TRAEFIK_SERVICES, rollout, name)
        if main is None:
            return None
        spec = main.get("spec") or {}
        inner = self._find(TRAEFIK_SERVICES, rollout, weighted_name(name)) if "mirroring" in spec else spec
        split = split_of(name, spec, inner, self._find(INGRESS_ROUTES, rollout, name))
        current = same(spec, traefik_service(rollout, split, None)["spec"])
        if split.mirror is not None:
            current &= same(inner, weighted_service(rollout, name, split)["spec"])
        # What others add to an IngressRoute beside its routes, such as tls, stays theirs.
        for entry, body in self._entries(rollout, split).items():
            if body is None:
                current &= self._owned.made(INGRESS_ROUTES, rollout, entry) is None
            else:
                current &= holds(self._find(INGRESS_ROUTES, rollout, entry), body["spec"])
        return Route(split=split, current=current, accepted=current, latch=latch_of(main))

    def _entries(self, rollout: ModelRollout, split: Split) -> dict[str, Object | None]:
        """Return the IngressRoutes of our own by name; None for one that must not be there."""
        settings, name, hostnames = _settings(rollout), rollout.metadata.name, preview_hostnames(rollout)
        given = settings.match is not None
        return {
            name: ingress_route(rollout, settings, split) if given else None,
            preview_name(name): preview_route(rollout, settings, hostnames) if given and hostnames else None,
        }

    async def _write_entries(self, rollout: ModelRollout, entries: Mapping[str, Object | None]) -> None:
        for name, body in entries.items():
            if body is None:
                await self._owned.drop(INGRESS_ROUTES, rollout, name)
            else:
                await self._owned.write(INGRESS_ROUTES, rollout, body)

    def _find(self, resource: Resource, rollout: ModelRollout, name: str) -> Mapping[str, Any]:
        """Return the spec of an object of the rollout, empty where there is none."""
        raw = self._owned.find(resource, rollout, name)
        return (raw.get("spec") or {}) if raw is not None else {}


def _settings(rollout: ModelRollout) -> Traefik:
    return asked(rollout, NAME, rollout.spec.traffic.traefik)
