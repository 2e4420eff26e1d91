"""What gateways can do, as their GatewayClasses tell: read only for rollouts that need to know, and remembered."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import GATEWAY_CLASSES, GATEWAYS
from modelrollout.ports import TerminalError, TransientError

FRESH: Final = 300.0
"""Seconds for which an answer is not asked for again."""

Place = tuple[str, str]
"""Namespace and name of a Gateway."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of one Gateway."""

    at: float
    name: str = ""
    """Its GatewayClass."""
    supported: frozenset[str] | None = None
    """Features; None: the class does not tell."""


class Features:
    """Features of Gateways. What is old is kept until something newer is learnt: a refusal does not flicker."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[Place, Knowledge] = {}

    async def learn(self, gateways: Iterable[Place]) -> None:
        """Read what is not known or not fresh; never raises."""
        for place in dict.fromkeys(gateways):
            await self._learn(place)

    def lacking(self, gateways: Iterable[Place], feature: str) -> str | None:
        """Name the GatewayClass that says what it supports, and not this feature; None where none does so."""
        for place in gateways:
            known = self._known.get(place)
            if known is not None and known.supported is not None and feature not in known.supported:
                return f"GatewayClass {known.name} (of Gateway {place[0]}/{place[1]})"
        return None

    async def _learn(self, place: Place) -> None:
        known = self._known.get(place)
        if known is not None and self._clock() < known.at + FRESH:
            return
        try:
            self._known[place] = await self._read(place)
        except (NotFound, TerminalError) as error:
            # Not there, or not ours to see: the route's status will tell what the gateway thinks of it.
            self._known[place] = Knowledge(self._clock())
            _log.info("features of Gateway %s/%s are not known: %s", *place, error)
        except TransientError as error:
            _log.warning("features of Gateway %s/%s: %s", *place, error)

    async def _read(self, place: Place) -> Knowledge:
        gateway = await self._api.get(GATEWAYS, *place)
        name = str(gateway["spec"]["gatewayClassName"])
        return Knowledge(self._clock(), name, supported(await self._api.get(GATEWAY_CLASSES, None, name)))


def supported(raw: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the features that a GatewayClass reports; None where it reports none, as some do that have many."""
    found = (raw.get("status") or {}).get("supportedFeatures") or []
    # Before version 1.2 of the Gateway API a feature was a text.
    names = frozenset(str(one["name"] if isinstance(one, dict) else one) for one in found)
    return names or None
