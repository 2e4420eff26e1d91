"""Who carries out checks: one task for each open gate, results by rollout."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelrollout.adapters.gates.case import Case, Check, Look, Pace
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.core.observed import GateResult
from modelrollout.ports import Key, TerminalError, TransientError

AT_ONCE: Final = 64
"""Looks at the same time; more wait their turn. A check that waits for its next look takes up none."""
OVER: Final = (GateState.PASSED, GateState.FAILED)

_log = logging.getLogger(__name__)


@dataclass
class Held:
    """A check in progress, or one that is over and not closed yet."""

    check: Check
    result: GateResult
    task: asyncio.Task[None] | None = None
    left: bool = False
    """Nobody looks at it any more; what is left of it is yet to be stopped."""


class GateKeeper:
    """Carries out the checks of gates; implements ports.Gates.

    `allow` are the URLs that hooks may be asked at, and paths below them; none: every one that leads elsewhere than
    to this machine, its link and its cloud's metadata.
    """

    def __init__(
        self, api: Api, on_change: Callable[[Key], None], *, allow: Sequence[str] = (), pace: Pace | None = None
    ) -> None:
        self._api = api
        self._on_change = on_change
        self._allow = tuple(allow)
        self._pace = pace or Pace()
        self._held: dict[Key, Held] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def result(self, key: Key) -> GateResult | None:
        """Return how far the check is that was opened last; see ports.Gates."""
        held = self._held.get(key)
        return held.result if held else None

    async def open(self, rollout: ModelRollout, gate: OpenGate) -> None:
        """Begin a check, or look after one that was begun; see ports.Gates."""
        key = Key.of(rollout)
        held = self._held.get(key)
        if held is not None and held.result.id == gate.id and not held.left:
            return
        self.forget(key)
        check = self._check(Case(self._api, rollout, gate, self._pace))
        await check.begin()
        held = self._held[key] = Held(check, GateResult(gate.id, GateState.RUNNING))
        held.task = asyncio.create_task(self._follow(key, held), name=f"gate of {key}")

    async def close(self, rollout: ModelRollout, ident: str) -> None:
        """Stop a check and forget it. TransientError where it has to be tried again."""
        key = Key.of(rollout)
        held = self._held.get(key)
        if held is None or held.result.id != ident:
            return
        _cancel(held)
        if held.task is not None:
            # A Job that is being created must be there before it can be deleted.
            await asyncio.wait([held.task])
        if held.result.state not in OVER:
            try:
                await held.check.stop()
            except TerminalError as error:
                # What cannot be stopped ends by its own deadline; it must not hold up the rollout.
                _log.warning("gate of %s not stopped: %s", key, error)
        self._held.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget a rollout that is gone; its Job goes with it, as what it owns."""
        held = self._held.pop(key, None)
        if held is not None:
            _cancel(held)

    async def run(self) -> None:
        """Wait until cancelled, then let go of every check; a successor takes them up."""
        try:
            await asyncio.Event().wait()
        finally:
            for key in list(self._held):
                self.forget(key)

    def _check(self, case: Case) -> Check:
        """Return what carries out the kind of check; loaded with the first of its kind, httpx is large."""
        gate = case.gate.gate
        if gate.job is not None:
            from modelrollout.adapters.gates.job import JobCheck  # noqa: PLC0415

            return JobCheck(case, gate.job)
        if gate.webhook is not None:
            from modelrollout.adapters.gates.webhook import WebhookCheck  # noqa: PLC0415

            return WebhookCheck(case, gate.webhook, self._allow)
        if gate.requests is not None:
            from modelrollout.adapters.gates.requests import RequestsCheck  # noqa: PLC0415

            return RequestsCheck(case, gate.requests)
        raise TerminalError(case.wrong("", "nothing carries out gates of this kind"))

    async def _follow(self, key: Key, held: Held) -> None:
        """Look at a check until it is over."""
        failures = 0
        while True:
            async with self._turns:
                found, failed = await self._look(key, held)
            failures = failures + 1 if failed else 0
            if failed:
                found = replace(found, again=self._pace.after(failures))
            self._tell(key, held, found)
            if found.state in OVER:
                return
            await asyncio.sleep(found.again)

    async def _look(self, key: Key, held: Held) -> tuple[Look, bool]:
        """Look once; also returns whether that failed in a way that the check itself does not know."""
        try:
            return await held.check.look(), False
        except (TransientError, TerminalError) as error:
            return Look(GateState.ERROR, str(error)), True
        except Exception as error:
            _log.exception("gate of %s", key)
            return Look(GateState.ERROR, f"the operator failed at it ({type(error).__name__}; see its log)"), True

    def _tell(self, key: Key, held: Held, found: Look) -> None:
        result = GateResult(held.result.id, found.state, found.message, dict(found.numbers))
        if result != held.result:
            held.result = result
            self._on_change(key)


def _cancel(held: Held) -> None:
    held.left = True
    if held.task is not None:
        held.task.cancel()
