"""Conditions as kstatus, Argo CD, Flux and `kubectl wait` read them."""

from datetime import datetime

from modelrollout.api.status import Condition, Phase, Reason, Status

_READY = {
    Phase.INITIALIZING: ("False", "Initializing"),
    Phase.PROGRESSING: ("False", "Progressing"),
    Phase.PAUSED: ("False", "Paused"),
    Phase.GUARDING: ("True", "Guarding"),
    Phase.PROMOTED: ("True", "Promoted"),
    Phase.REPORTED: ("True", "Reported"),
    Phase.ROLLED_BACK: ("False", "RolledBack"),
}
_UNDERWAY = (Phase.INITIALIZING, Phase.PROGRESSING, Phase.PAUSED, Phase.GUARDING)


def conditions(
    status: Status, refused: str | None, now: datetime, *, aside: str | None = None, pods_fail: bool = False
) -> list[Condition]:
    """Return the conditions for a status: the four of every rollout, and InputDrift while inputs are compared.

    `refused` says why the spec cannot be carried out, if so; `aside`, what of it is left out while the rest goes on;
    `pods_fail`, that awaited pods do not come up.
    """
    ready, phase = _READY[status.phase]
    reason, wrong = phase, "; ".join(one for one in (refused, aside) if one is not None)
    if wrong:
        ready, reason = "False", "Refused"
    elif pods_fail:
        reason = "PodsFail"
    stalled = bool(wrong) or status.phase is Phase.ROLLED_BACK
    promoted = status.phase in (Phase.GUARDING, Phase.PROMOTED) and refused is None
    rows = (
        ("Ready", ready, reason),
        ("Reconciling", "True" if status.phase in _UNDERWAY and not wrong else "False", reason),
        ("Stalled", "True" if stalled else "False", reason if stalled else "Fine"),
        ("Promoted", "True" if promoted else "False", phase if promoted else reason),
    )
    message = (wrong or status.message)[:1000]
    return [*(_condition(status, row, message, now) for row in rows), *_input_drift(status, now)]


def _input_drift(status: Status, now: datetime) -> list[Condition]:
    for verdict in status.verdicts:
        if verdict.name == "inputs":
            known = {Reason.DRIFTED: "True", Reason.SAFE: "False"}
            row = ("InputDrift", known.get(verdict.reason, "Unknown"), verdict.reason.value)
            return [_condition(status, row, f"{verdict.name} {verdict.message}"[:1000], now)]
    return []


def _condition(status: Status, row: tuple[str, str, str], message: str, now: datetime) -> Condition:
    kind, value, reason = row
    before = next((c for c in status.conditions if c.type == kind), None)
    changes = {"reason": reason, "message": message, "observed_generation": status.observed_generation}
    if before is None or before.status != value:
        return Condition.model_validate({"type": kind, "status": value, "last_transition_time": now, **changes})
    if (before.reason, before.message, before.observed_generation) == (reason, message, status.observed_generation):
        return before
    return before.model_copy(update=changes)
