"""Without a gateway pods are the weights: whoever has pods while the Service selects two revisions gets requests."""

from typing import Any

import pytest

from modelrollout.api.status import Phase
from modelrollout.core.capacity import NEAR, Pods, weight_of
from tests.support.surroundings import Model
from tests.support.world import SPEC, World, settled

STEPS: list[dict[str, Any]] = [{"weight": 9}, {"weight": 29}, {"weight": 50}]


def spec(*steps: dict[str, Any], replicas: int = 10, **strategy: Any) -> dict[str, Any]:
    more = {**SPEC["strategy"], **strategy, "steps": list(steps) or STEPS}
    return {**SPEC, "replicas": replicas, "traffic": {"service": {}}, "strategy": more}


def selected(world: World) -> set[str]:
    """Return the revisions that have pods which the Service selects, ready or about to be."""
    serving = {revision for revision, weight in world.split.weights.items() if weight}
    everybody = {revision for revision, pods in world.pods.items() if pods.desired}
    return serving if len(serving) < 2 else everybody


def check(world: World) -> bool:
    """Hold the rules; never ends a run."""
    status = world.status
    serving = {revision for revision, weight in world.split.weights.items() if weight}
    assert selected(world) <= serving, "a pod of another revision gets requests"
    if len(serving) == 2 and status.step is not None and status.step.verified is not None and status.candidate:
        pods = Pods(world.ready(status.stable or ""), world.ready(status.candidate))
        assert weight_of(pods) >= status.weights.candidate - NEAR, "fewer requests than the step says"
        first = status.step.index == 0
        assert not first or weight_of(pods) <= status.weights.candidate + NEAR, "more than the first step says"
    return False


def over(world: World) -> bool:
    check(world)
    return world.status.phase in (Phase.PROMOTED, Phase.ROLLED_BACK) and world.status.target == world.desired


@pytest.mark.parametrize("surge", ["100%", "25%", 0])
def test_a_good_candidate_rises_by_its_pods(surge: str | int) -> None:
    weights = STEPS if surge == "100%" else [{"weight": 10}, {"weight": 20}, {"weight": 50}]
    world = settled(spec=spec(*weights, surge=surge))
    world.push("r2")
    world.run(900, over)
    assert (world.status.phase, world.status.stable) == (Phase.PROMOTED, "r2")
    first = next(move.message for move in world.announced if move.move == "Weight")
    assert first.startswith(f"0% -> {weights[0]['weight']}%, made up of 1 of {10 if surge == 0 else 11} pods (")
    assert [split.weights for split in world.routes][-1] == {"r2": 100}


def test_a_switch_to_come_brings_no_pods_before_its_time() -> None:
    world = settled(spec=spec({"weight": 9}, {"switch": {}}))
    world.push("r2")
    world.run(20, check)
    assert world.status.weights.candidate == 9
    assert (world.pods["r1"].desired, world.pods["r2"].desired) == (10, 1)
    world.run(900, over)
    assert world.status.stable == "r2"


def test_without_a_weight_the_candidate_is_whole_before_the_switch() -> None:
    world = settled(spec=spec({"pause": {}}, {"switch": {}}))
    world.push("r2")
    world.run(20, check)
    assert (world.status.phase, world.pods["r2"].desired) == (Phase.PAUSED, 10)
    assert world.weights == {"r1": 100}


def test_a_retry_waits_until_the_pods_of_the_last_attempt_are_few_enough() -> None:
    world = settled(spec=spec())
    world.push("r2")
    world.run(400, lambda world: check(world) or world.status.weights.candidate == 50)
    assert world.pods["r2"].desired == 10
    world.ask("abort")
    world.run(1, check)
    assert world.weights == {"r1": 100}
    world.ask("retry")
    world.run(1, check)
    assert world.status.phase is Phase.PROGRESSING
    world.run(30, lambda world: check(world) or world.status.weights.candidate > 0)
    assert (world.status.weights.candidate, world.pods["r2"].desired) == (9, 1)


def test_a_new_template_waits_until_no_pods_of_the_one_before_are_left() -> None:
    world = settled(spec=spec())
    world.push("r2")
    world.run(400, lambda world: check(world) or world.status.weights.candidate == 29)
    world.push("r3")
    world.look()
    # The Service lets go of the old candidate before the new one has any pods.
    written = [line for line in world.log if "SetRoute" in line or "EnsureRevision" in line]
    assert "SetRoute" in written[-2]
    assert "EnsureRevision(revision='r3'" in written[-1]
    told = set()

    def watched(world: World) -> bool:
        told.add(world.status.message)
        return check(world) or world.status.weights.candidate > 0

    world.run(60, watched)
    assert (world.status.candidate, world.pods["r2"].desired) == ("r3", 0)
    words = "waiting for pods of r2 to go before 9%: the Service would select them too"
    assert words in told


def test_a_bad_candidate_goes_back_in_one_write() -> None:
    world = settled(spec=spec())
    world.push("r2", Model(error_rate=0.5))
    world.run(900, over)
    assert (world.status.phase, world.status.stable) == (Phase.ROLLED_BACK, "r1")
    assert [split.weights for split in world.routes][-1] == {"r1": 100}


@pytest.mark.parametrize("seed", range(6))
def test_no_pod_gets_requests_that_should_not(seed: int) -> None:
    """Templates and words of people at odd moments."""
    surge = ("100%", "25%", 0)[seed % 3]
    world = settled(spec=spec({"weight": 10}, {"weight": 20}, surge=surge))
    for index in range(12):
        world.run(7 + (seed * 13 + index * 29) % 40, check)
        match (seed + index) % 4:
            case 0:
                world.push(f"r{2 + index % 3}", Model(error_rate=0.3 if index % 5 == 0 else 0.001))
            case 1:
                world.ask(("abort", "promote", "retry", "undo")[index % 4])
            case _:
                world.run(20, check)
    world.run(900, check)
    assert world.status.candidate is None
