"""Leader election: one Lease, renewed by whoever writes; released on the way out so that nobody waits for it."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.ports import ConflictError, TransientError

LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
NAME: Final = "modelrollout"

_log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """Somebody else may write now: end the process, write nothing more."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds of the election."""

    duration: float = 15.0
    """How long others wait after the last renewal that they saw."""
    deadline: float = 10.0
    """The holder gives up when no renewal succeeded for so long; well below `duration`."""
    renew: float = 5.0
    """Between two renewals."""
    retry: float = 2.0
    """Between two looks at a lease that somebody else holds, and between failed renewals."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What another holder's lease looked like, and since when by our own clock."""

    holder: str
    version: str
    duration: float
    at: float


class Lease:
    """Our side of the election; times are taken from our own clock only, never compared with another machine's."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        *,
        identity: str | None = None,
        times: LeaseTimes | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{os.urandom(3).hex()}"
        self._api = api
        self._namespace = namespace
        self._times = times or LeaseTimes()
        self._chance = chance
        self._seen: _Seen | None = None
        self._renewed: float | None = None
        self._version = ""

    @property
    def held(self) -> bool:
        """Whether we hold the lease for certain; asked before every write, for a blocked process may wake up late."""
        return self._renewed is not None and self._now() - self._renewed < self._times.deadline

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        while True:
            try:
                if await self._try():
                    _log.info("lease %s/%s acquired by %s", self._namespace, NAME, self.identity)
                    return
            except ConflictError:
                _log.debug("another replica was faster")
            except TransientError as error:
                _log.warning("cannot look at the lease: %s", error)
            await asyncio.sleep(self._times.retry * (0.75 + 0.5 * self._chance()))

    async def keep(self) -> None:
        """Renew until that fails for too long; raises LeaseLostError then, and never returns otherwise."""
        while True:
            wait = self._times.renew
            began = self._now()
            try:
                async with asyncio.timeout(self._left()):
                    await self._write(self._renewal(), began)
            except ConflictError as error:
                await self._still_ours(error)
                wait = 0.5
            except (TransientError, TimeoutError) as error:
                _log.warning("lease not renewed: %s", error)
                wait = self._times.retry
            if not self.held:
                raise LeaseLostError(f"lease {self._namespace}/{NAME} was not renewed for {self._times.deadline:g} s")
            await asyncio.sleep(min(wait, self._left()))

    async def release(self) -> None:
        """Give the lease to whoever wants it; best effort."""
        if not self.held:
            return
        try:
            async with asyncio.timeout(self._left()):
                await self._give()
            _log.info("lease %s/%s released", self._namespace, NAME)
        except (TransientError, TimeoutError, LeaseLostError) as error:
            _log.warning("lease not released: %s", error)
        finally:
            self._renewed = None

    async def _give(self) -> None:
        patch = {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _rfc3339()}}
        try:
            await self._write(patch, self._now())
        except ConflictError as error:
            # A renewal that was cut off on its way may have arrived all the same.
            await self._still_ours(error)
            await self._write(patch, self._now())

    def _left(self) -> float:
        return max(0.0, self._times.deadline - (self._now() - (self._renewed or 0.0)))

    async def _try(self) -> bool:
        """Look at the lease once, and take it if nobody holds it; returns whether it is ours."""
        began = self._now()
        try:
            found = await self._api.get(LEASES, self._namespace, NAME)
        except NotFound:
            made = {"apiVersion": LEASES.api, "kind": LEASES.kind, "metadata": {"name": NAME}, **self._claim(0)}
            answer = await self._api.create(LEASES, self._namespace, made)
            self._took(answer, began)
            return True
        spec = found.get("spec") or {}
        self._observe(spec, str(found["metadata"]["resourceVersion"]))
        if self._is_taken():
            return False
        self._version = str(found["metadata"]["resourceVersion"])
        await self._write(self._claim(int(spec.get("leaseTransitions") or 0) + 1), began)
        return True

    def _observe(self, spec: dict[str, Any], version: str) -> None:
        if self._seen is None or self._seen.version != version:
            duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
            self._seen = _Seen(str(spec.get("holderIdentity") or ""), version, duration, self._now())

    def _is_taken(self) -> bool:
        seen = self._seen
        if seen is None or seen.holder in ("", self.identity):
            return False
        return self._now() - seen.at < seen.duration

    async def _still_ours(self, conflict: ConflictError) -> None:
        """After a conflict, tell an edit of the object by a person from the loss of the lease."""
        try:
            found = await self._api.get(LEASES, self._namespace, NAME)
        except NotFound:
            raise LeaseLostError(f"lease {self._namespace}/{NAME} was deleted") from conflict
        except TransientError:
            return
        holder = (found.get("spec") or {}).get("holderIdentity")
        if holder != self.identity:
            raise LeaseLostError(f"lease {self._namespace}/{NAME} is held by {holder}") from conflict
        self._version = str(found["metadata"]["resourceVersion"])

    async def _write(self, patch: dict[str, Any], began: float) -> None:
        body = {**patch, "metadata": {"resourceVersion": self._version}}
        self._took(await self._api.merge(LEASES, self._namespace, NAME, body), began)

    def _took(self, answer: dict[str, Any], began: float) -> None:
        self._version = str(answer["metadata"]["resourceVersion"])
        # Others count from when they see the write, which is after it began.
        self._renewed = began

    def _renewal(self) -> dict[str, Any]:
        return {"spec": {"renewTime": _rfc3339()}}

    def _claim(self, transitions: int) -> dict[str, Any]:
        now = _rfc3339()
        return {
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self._times.duration),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            }
        }

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _rfc3339() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
