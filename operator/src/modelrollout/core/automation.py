"""Who makes a move: the operator by itself, or a person whom it tells."""

from typing import Final

from modelrollout.api.status import GateState, Move, Phase
from modelrollout.api.strategy import Step, Strategy
from modelrollout.core import rollback
from modelrollout.core.draft import Draft
from modelrollout.core.strategies import reports_only

BACK: Final = frozenset({"RolledBack", "TimedOut", "Failing", "Aborted", "Reverted", "Undone"})
"""Moves towards stable; all others lead forward, or only tell."""
ASKING: Final = frozenset({"Awaiting", "Failing"})
"""Moves that are made for a person to see."""
FAILING: Final = "failing, and rollback is manual"
"""Why a rollout is paused that a person has to decide on."""
_PASSED: Final = GateState.PASSED


def mode(draft: Draft, direction: str) -> str:
    """Return auto, notify or manual for `promotion` or `rollback`: the step's own, else the rollout's."""
    return mode_of(draft.spec.strategy, draft.step, direction)


def mode_of(strategy: Strategy, step: Step | None, direction: str) -> str:
    """Return the mode of `promotion` or `rollback` at a step of a strategy."""
    for one in (step.automation if step is not None else None, strategy.automation):
        chosen = getattr(one, direction) if one is not None else None
        if chosen is not None:
            return str(chosen)
    return "auto"


def awaits_person(draft: Draft) -> bool:
    """Say whether a person has to move on from the step that is over; tell it once."""
    step, current = draft.step, draft.status.step
    if step is None or current is None or mode(draft, "promotion") != "manual" or _approved(draft, step):
        return False
    if current.index == len(draft.steps) - 1 and reports_only(draft.spec):
        return False
    draft.set(phase=Phase.PAUSED)
    words = f"{step.name} is over and promotion is manual: run promote to go on, abort to go back"
    if current.awaiting is None:
        draft.set(step=current.model_copy(update={"awaiting": draft.now}))
        seen = "; ".join(f"{v.name} {v.message}" for v in draft.status.verdicts)
        draft.move("Awaiting", draft.status.candidate, f"{words} ({seen})" if seen else words, warn=True)
    draft.say(words)
    return True


def _approved(draft: Draft, step: Step) -> bool:
    """Say whether it was a person's word that ended a step."""
    gate = draft.status.gate
    return step.gate is not None and step.gate.approval is not None and gate is not None and gate.state is _PASSED


def give_up(draft: Draft, why: str, message: str) -> None:
    """Roll back on evidence; where that is for a person to decide, hold everything and tell it once.

    A person who promotes in spite of it is asked again at the next step.
    """
    paused = draft.status.paused
    if mode(draft, "rollback") != "manual":
        rollback.roll_back(draft, why, message)
    elif draft.status.skip_to is None and (paused is None or not paused.startswith(FAILING)):
        revision = draft.status.candidate or draft.status.stable
        phase = Phase.PAUSED if draft.active else draft.status.phase
        draft.set(phase=phase, paused=f"{FAILING}: {message}"[:500])
        draft.move("Failing", revision, f"rollback is manual; run abort to go back: {message}", warn=True)


def tells(draft: Draft, move: Move) -> bool:
    """Say whether the notifiers are told of a move: the step that is left by it decides, as it does who makes it."""
    if move.move in ASKING:
        return True
    direction = "rollback" if move.move in BACK else "promotion"
    return mode_of(draft.spec.strategy, draft.left, direction) in ("notify", "manual")
