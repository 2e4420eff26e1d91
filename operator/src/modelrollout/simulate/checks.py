"""Gates and approvals as the scenario answers them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from modelrollout.api.status import GateState, Status
from modelrollout.api.strategy import Step
from modelrollout.core.actions import OpenGate
from modelrollout.core.observed import GateResult, Request
from modelrollout.simulate.scenario import Check

PERSON: Final = "the scenario"
_ENDS: Final = {"pass": GateState.PASSED, "fail": GateState.FAILED, "error": GateState.ERROR}


class Checks:
    """Carries out what gates ask for: nothing is run, the scenario says what comes of it and when."""

    def __init__(self, told: Mapping[str, Check]) -> None:
        self._told = told
        self._open: tuple[OpenGate, float] | None = None
        """The gate opened last, and since when."""
        self._asked: tuple[str, float, str] | None = None
        """The approval that is waited for: its id, when a person answers, and with what."""
        self._answered: set[str] = set()
        self.request: Request | None = None
        """What a person asked for last."""

    def open(self, gate: OpenGate, now: float) -> None:
        """Begin a check, unless it has begun."""
        if self._open is None or self._open[0].id != gate.id:
            self._open = gate, now

    def close(self, ident: str) -> None:
        """Stop a check."""
        if self._open is not None and self._open[0].id == ident:
            self._open = None

    def wait(self, status: Status, steps: Sequence[Step], now: float) -> None:
        """Note whether a gate waits for a person."""
        gate, current = status.gate, status.step
        asking = steps[current.index].gate if current is not None and current.index < len(steps) else None
        approval = asking is not None and asking.approval is not None
        if not approval or gate is None or gate.state is not GateState.WAITING:
            self._asked = None
        elif gate.id not in self._answered and (self._asked is None or self._asked[0] != gate.id):
            check = self._of(gate.name)
            self._asked = gate.id, now + check.after, check.result

    def next_change(self, now: float) -> float:
        """Return when something of this changes by itself."""
        times = []
        if self._open is not None:
            gate, since = self._open
            check = self._of(gate.gate.title)
            end = math.inf if check.result == "never" else since + check.after
            times.append(end if end > now else math.inf)
        if self._asked is not None and self._asked[2] in ("pass", "fail"):
            times.append(self._asked[1])
        return min(times, default=math.inf)

    def advance(self, now: float) -> bool:
        """Let time pass; True if a person has answered."""
        if self._asked is None or self._asked[1] > now or self._asked[2] not in ("pass", "fail"):
            return False
        ident, _, answer = self._asked
        self._asked = None
        self._answered.add(ident)
        self.request = Request(id=ident[:63], action="approve" if answer == "pass" else "abort", by=PERSON)
        return True

    def result(self, now: float) -> GateResult | None:
        """Return how far the check is that was opened last."""
        if self._open is None:
            return None
        gate, since = self._open
        check = self._of(gate.gate.title)
        if check.result == "never" or now < since + check.after:
            return GateResult(gate.id, GateState.RUNNING)
        return GateResult(gate.id, _ENDS[check.result], "" if check.result == "pass" else f"as {PERSON} says")

    def _of(self, name: str) -> Check:
        return self._told.get(name, Check())
