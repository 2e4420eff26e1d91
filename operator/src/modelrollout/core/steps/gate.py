"""`gate`: wait for an outside check. What it says counts; that it cannot be asked never does."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Final

from modelrollout.api.gates import Gate
from modelrollout.api.status import GateState, GateStatus, StepStatus
from modelrollout.api.strategy import Step
from modelrollout.core import automation
from modelrollout.core.draft import Draft
from modelrollout.core.steps.holding import timed_out

NUMBERS: Final = 32
"""Numbers of a check that are kept."""


def gate_id(draft: Draft, index: int) -> str:
    """Return the identity of the check of a step: a retried rollout asks anew, a restarted operator does not.

    A check that was changed, for instance to mend its URL, is another one.
    """
    gate = draft.steps[index].gate
    # Only what was written: a field that a later version brings must not make every running check another one.
    content = gate.model_dump(mode="json", by_alias=True, exclude_unset=True) if gate else {}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{draft.status.candidate}-{draft.status.attempt}-{index}-{digest[:8]}"


def advance(draft: Draft, step: Step, current: StepStatus) -> bool:
    """Wait for the check; True once it has passed."""
    gate = step.gate
    if gate is None:
        return True
    status = _looked_at(draft, gate, gate_id(draft, current.index))
    if status.state is GateState.PASSED:
        return True
    if status.state is GateState.FAILED:
        automation.give_up(draft, "RolledBack", f"gate {gate.title} failed: {status.message}")
        return False
    draft.say(_words(gate, status))
    return timed_out(draft, step, current)


def _looked_at(draft: Draft, gate: Gate, ident: str) -> GateStatus:
    """Return what is known of the check, after taking over what came of it."""
    status, found = draft.status.gate, draft.observed.gate
    if status is None or status.id != ident:
        status = GateStatus(id=ident, name=gate.title, since=draft.now)
        draft.set(gate=status)
    if found is None or found.id != ident or status.state in (GateState.PASSED, GateState.FAILED):
        return status
    changes = {"state": found.state, "message": found.message[:500], "numbers": _kept(found.numbers)}
    after = status.model_copy(update=changes)
    if after != status:
        draft.set(gate=after)
    if after.state is GateState.PASSED:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in list(after.numbers.items())[:8])
        told = "; ".join(part for part in (after.message, numbers) if part)
        draft.move("GatePassed", draft.status.candidate, f"gate {gate.title} passed" + (f": {told}" if told else ""))
    return after


def _kept(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return what a status may keep: it is bounded, and JSON knows no number that is not finite."""
    usable = ((name[:63], value) for name, value in numbers.items() if math.isfinite(value))
    return dict(list(usable)[:NUMBERS])


def _words(gate: Gate, status: GateStatus) -> str:
    if gate.approval is not None:
        ask = f": {gate.approval.message}" if gate.approval.message else ""
        return f"gate {gate.title} waits for a person{ask}; run approve to go on, abort to go back"
    said = f": {status.message}" if status.message else ""
    if status.state is GateState.ERROR:
        return f"gate {gate.title} could not be asked, and is asked again{said}"
    return f"gate {gate.title} is {'running' if status.state is GateState.RUNNING else 'about to be asked'}{said}"
