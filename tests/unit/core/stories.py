"""A world in which a revision was just applied, and the words in which tables tell what became of it."""

from dataclasses import replace
from typing import Any

from modelrollout.api.status import Phase
from tests.support.rules import Rules
from tests.support.world import SPEC, Model, World, settled

REST = (Phase.PROMOTED, Phase.REPORTED, Phase.ROLLED_BACK)
GOOD = Model(0.0, disagrees=0.0)


def pushed(model: Model | None = None, seed: int = 1, spec: dict[str, Any] | None = None, **strategy: Any) -> World:
    """Return a world with a new revision r2 just applied; every action in it is checked by the ordering rules."""
    chosen = {"minStepDuration": "4s", "guard": {"duration": "10s"}, **strategy}
    world = settled(seed, spec={**SPEC, **(spec or {}), "strategy": chosen})
    world.before_action = Rules(world)
    world.push("r2", replace(model or GOOD))
    return world


def over(world: World) -> bool:
    """Say whether the rollout is over, its guard included."""
    return world.status.phase in REST


def moves(world: World) -> list[str]:
    """Return the kinds of moves that were announced."""
    return [move.move for move in world.announced]


def at_step(index: int) -> Any:
    """Return what tells that a step is in progress."""
    return lambda world: world.status.step is not None and world.status.step.index == index


def paused(world: World) -> bool:
    """Say whether a person is waited for."""
    return world.status.phase is Phase.PAUSED
