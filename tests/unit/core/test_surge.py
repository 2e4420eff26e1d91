"""Pods through whole rollouts: never more than replicas and surge, never below the floor, no deadlock without room."""

import pytest

from modelrollout.api.spec import Spec
from modelrollout.api.status import Phase
from modelrollout.core.capacity import pods_for, share_of
from tests.support.world import SPEC, Model, World
from tests.unit.core.stories import at_step, over, pushed

STEPS = [{"weight": 10}, {"weight": 50}, {"weight": 80}]
FLOOR = 1


def crowded(surge: int | str, model: Model | None = None, **changes: object) -> World:
    """Return a world in which r2 was applied, with room for exactly as many pods as replicas and surge say."""
    spec = {"replicas": 4, **changes.pop("spec", {})}  # type: ignore[dict-item]
    world = pushed(model, spec=spec, steps=STEPS, surge=surge, **changes)
    world.slots = spec["replicas"] + share_of(surge, spec["replicas"])  # type: ignore[operator]
    return world


def through(world: World, seconds: int = 300) -> list[dict[str, int]]:
    """Run a rollout to its end and on; return the pods asked for at each second."""
    seen = []

    def note(world: World) -> bool:
        seen.append({revision: pods.desired for revision, pods in world.pods.items()})
        return False

    world.run(seconds, until=note)
    return seen


def assert_bounded(world: World, seen: list[dict[str, int]]) -> None:
    replicas, surge = world.spec["replicas"], world.spec["strategy"]["surge"]
    assert max(sum(pods.values()) for pods in seen) <= replicas + share_of(surge, replicas)
    serving = [max(pods.values()) for pods in seen]
    assert min(serving) >= FLOOR
    assert None not in [at for pods in world.pods.values() for at in pods.placed], "a pod that has no place in the end"


@pytest.mark.parametrize("surge", [0, "0%", 1, "25%", "100%"])
def test_a_good_rollout_with_any_surge(surge):
    world = crowded(surge)
    seen = through(world)
    assert world.weights == {"r2": 100}, world.status.message
    assert (world.pods["r2"].desired, world.pods["r1"].desired) == (4, 0)
    assert_bounded(world, seen)
    floor = 4 if surge == "100%" else FLOOR
    assert min(pods["r1"] for pods in seen if pods["r1"]) >= floor


@pytest.mark.parametrize("surge", [0, 1, "25%", "100%"])
@pytest.mark.parametrize("when", ["step", "guard"])
def test_a_rollback_with_any_surge(surge, when):
    world = crowded(surge, guard={"duration": "40s"})
    seen = through(world, 0)
    world.run(200, until=at_step(1) if when == "step" else lambda w: w.status.phase is Phase.GUARDING)
    world.models["r2"].error_rate = 0.9
    seen = through(world, 60)
    assert world.status.phase is Phase.ROLLED_BACK
    assert (world.pods["r1"].desired, world.pods["r2"].desired) == (4, 0)
    assert world.ready("r1") == 4
    assert_bounded(world, seen)


def test_without_surge_stable_lets_go_before_the_candidate_asks():
    world = crowded(0)
    world.reconcile()
    kinds = [type(action).__name__ for action in world.last.actions if hasattr(action, "replicas")]  # type: ignore[union-attr]
    assert kinds == ["ScaleRevision", "EnsureRevision"]
    assert (world.pods["r1"].desired, world.pods["r2"].desired) == (3, 1)


def test_without_surge_a_new_candidate_waits_for_the_pods_of_the_one_before():
    world = crowded(0)
    world.run(200, until=at_step(1))
    world.push("r3", Model(0.0))
    seen = through(world, 400)
    assert world.weights == {"r3": 100}
    assert_bounded(world, seen)


def test_without_surge_a_second_first_revision_waits_for_the_pods_of_the_first():
    world = World(spec={**SPEC, "replicas": 4, "strategy": {**SPEC["strategy"], "surge": 0}}, slots=4)
    world.models["r1"] = Model(starts=False)
    world.run(10)
    world.push("r2")
    world.run(30)
    assert world.weights == {"r2": 100}
    assert world.pods["r1"].desired == 0


def test_where_surge_and_floor_leave_no_pod_it_is_said():
    world = pushed(spec={"replicas": 1}, surge=0)
    world.run(30)
    assert "leave no pod for a candidate; raise surge or replicas" in world.status.message
    assert world.weights == {"r1": 100}
    assert world.pods["r1"].desired == 1


def test_pods_without_a_place_hold_the_rollout_and_it_goes_on_when_there_is_one():
    world = pushed(spec={"replicas": 4}, steps=STEPS)
    world.slots = 5
    world.run(60)
    assert world.weights == {"r1": 100}
    assert "waiting for pods of the candidate before 10%: 1/2 ready" in world.status.message
    world.slots = 8
    world.run(200, until=over)
    assert world.weights == {"r2": 100}


@pytest.mark.parametrize("surge", [0, "25%", "100%"])
@pytest.mark.parametrize("to", [2, 8])
def test_an_autoscaler_changes_the_replicas_in_the_middle(surge, to):
    world = crowded(surge)
    world.run(200, until=at_step(1))
    world.edit(replicas=to)
    world.slots = to + share_of(surge, to)
    world.run(5)
    seen = through(world)
    assert world.weights == {"r2": 100}, world.status.message
    assert world.pods["r2"].desired == to
    assert_bounded(world, seen)


def test_an_autoscaler_that_shrinks_leaves_stable_its_floor():
    world = crowded(0, spec={"replicas": 8}, minStepDuration="60s")
    world.run(250, until=lambda w: at_step(2)(w) and w.pods["r2"].desired == 6)
    world.edit(replicas=4)
    world.run(10)
    assert (world.pods["r1"].desired, world.pods["r2"].desired) == (1, 3)


def test_stable_has_room_for_all_requests_until_the_guard_ends():
    world = crowded("100%", guard={"duration": "30s"})
    world.run(300, until=lambda w: w.status.phase is Phase.GUARDING)
    world.run(25)
    assert world.ready("r1") == 4
    world.run(30)
    assert world.pods["r1"].desired == 0


@pytest.mark.parametrize("replicas", range(1, 12))
@pytest.mark.parametrize("surge", [0, 1, 3, "25%", "50%", "100%"])
@pytest.mark.parametrize("floor", [0, 1, "25%", "100%"])
def test_pods_for_any_weight_fit_into_replicas_and_surge(replicas, surge, floor):
    spec = Spec.model_validate({**SPEC, "replicas": replicas, "strategy": {"surge": surge, "floor": floor}})
    least = min(replicas, max(1, share_of(floor, replicas)))
    before = 0
    for weight in range(101):
        pods = pods_for(spec, weight)
        assert pods.stable + pods.candidate <= replicas + share_of(surge, replicas)
        assert pods.stable >= least
        assert pods.candidate >= before
        before = pods.candidate


def test_an_autoscaler_measures_all_pods_that_share_the_requests():
    """With stable's pods alone it would shrink a stable that has given most of its requests away."""
    world = pushed(spec={"replicas": 4}, steps=[{"weight": 80}])
    world.run(60, until=at_step(0))
    world.run(6)
    assert world.status.selector == "modelrollout.dev/name=m,modelrollout.dev/revision"
    assert world.status.replicas == 8
    world.run(300, until=over)
    world.run(30)
    assert (world.status.replicas, world.status.ready_replicas) == (4, 4)
