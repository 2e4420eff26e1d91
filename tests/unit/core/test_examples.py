"""Every example is carried to its end: the same strategy, with shorter waits, and a person who says yes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrollout.api.status import GateState, Phase
from tests.support.rules import Rules
from tests.support.world import SPEC, World, settled
from tests.unit.core.stories import GOOD, moves, over

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
MEASURED = ("errors", "latency", "agreement")
"""What the world counts; other signals are counted by pods that it does not have."""
REPORTS = ("shadow",)
GPUS = {"gpu": 4}
"""Pods that there is room for."""


def specs() -> dict[str, dict[str, Any]]:
    """Return the spec of each rollout among the examples."""
    documents = {path.stem: list(yaml.safe_load_all(path.read_text())) for path in sorted(EXAMPLES.glob("*.yaml"))}
    return {
        name: one["spec"] for name, found in documents.items() for one in found if one and one["kind"] == "ModelRollout"
    }


def shortened(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec whose waits are seconds, and whose evidence is what the world counts."""
    strategy = {**spec.get("strategy", {}), "minStepDuration": "4s", "guard": {"duration": "10s"}}
    if "steps" in strategy:
        strategy["steps"] = [_short(step) for step in strategy["steps"]]
    metrics = [one for one in spec["analysis"].get("metrics", []) if one["name"] in MEASURED]
    analysis = {**spec["analysis"], **({"metrics": metrics} if metrics else {})}
    return {**SPEC, **spec, "strategy": strategy, "analysis": analysis}


def _short(step: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in step.items() if key not in ("minDuration", "maxDuration", "onTimeout")}
    if kept.get("pause", {}).get("duration"):
        kept["pause"] = {"duration": "2s"}
    if "match" in kept:
        kept["match"] = {**kept["match"], "minRequests": 100}
    return kept


def nod(world: World) -> None:
    """Be the person who is asked."""
    gate = world.status.gate
    if gate is not None and gate.state is GateState.WAITING and world.status.phase is not Phase.PAUSED:
        world.ask("approve")
    elif world.status.phase is Phase.PAUSED:
        world.ask("promote")


@pytest.mark.parametrize("name", specs())
def test_an_example_comes_to_its_end(name: str) -> None:
    world = settled(7, spec=shortened(specs()[name]), rps=800.0, slots=GPUS.get(name, 10_000))
    world.before_action = Rules(world)
    world.push("r2", GOOD)
    world.run(2)
    for _ in range(60):
        world.run(20, until=over)
        if over(world):
            break
        nod(world)
    ended, kind = (Phase.REPORTED, "Reported") if name in REPORTS else (Phase.PROMOTED, "Completed")
    assert world.status.phase is ended, (world.status.message, moves(world))
    assert moves(world)[-1] == kind
    assert not {"RolledBack", "TimedOut", "Failing"} & set(moves(world))
