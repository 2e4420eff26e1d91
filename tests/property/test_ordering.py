"""The ordering rules, over random sequences of events, faults and restarts."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.api.status import Phase
from modelrollout.core.actions import Action, DeleteRevision, SaveStatus, ScaleRevision, SetRoute
from modelrollout.core.capacity import pods_for
from modelrollout.core.split import Split
from tests.support.world import SPEC, Died, Model, Refused, World, settled

SHORT = {
    **SPEC,
    "replicas": 4,
    "strategy": {
        "steps": [{"weight": 10}, {"pause": {"duration": "3s"}}, {"weight": 50}],
        "minStepDuration": "4s",
        "guard": {"duration": "8s"},
    },
}
MODELS = {
    "good": Model(0.0),
    "bad": Model(0.5),
    "slow": Model(0.0, slow=4.0),
    "broken": Model(starts=False),
}


@dataclass
class Rules:
    """Checks each action just before it takes effect."""

    world: World
    fault: Callable[[], bool] = lambda: False
    refused: str = ""
    """The kind of write that the API server does not take at the moment."""
    rejected: set[tuple[int, str]] = field(default_factory=set)
    """Attempts that were rolled back, with their candidate."""

    def __call__(self, action: Action) -> None:
        if type(action).__name__ == self.refused:
            raise Refused
        match action:
            case SetRoute(split):
                self.route(dict(split.weights))
            case ScaleRevision(revision, replicas):
                self.scale(revision, replicas)
            case DeleteRevision(revision):
                assert revision not in self.world.weights
                assert self.world.pods[revision].desired == 0
            case SaveStatus():
                self.status()
        if self.fault():
            raise Died

    def route(self, weights: dict[str, int]) -> None:
        world, made = self.world, self.world.last
        assert made is not None
        assert sum(weights.values()) == 100
        assert set(weights) <= set(world.pods), "a weight for a revision that does not exist"
        for revision, weight in weights.items():
            risen = weight > world.weights.get(revision, 0)
            back = made.status.phase is Phase.ROLLED_BACK or revision == made.status.stable
            if risen and not back:
                needed = pods_for(world.rollout().spec, weight).candidate
                assert world.ready(revision) >= needed, "traffic before capacity"
            assert (made.status.attempt, revision) not in self.rejected, "a rejected candidate got traffic again"
        if made.status.phase is Phase.ROLLED_BACK:
            assert made.actions[0] == SetRoute(Split(weights), made.actions[0].latch)  # type: ignore[union-attr]
            self.rejected.add((made.status.attempt, made.status.target or ""))

    def scale(self, revision: str, replicas: int) -> None:
        pods = self.world.pods[revision]
        if replicas < pods.desired:
            assert revision not in self.world.weights, "pods taken away while traffic flows"
            assert revision != self.world.status.previous, "the guard's way back was taken away"

    def status(self) -> None:
        made = self.world.last
        assert made is not None
        status = made.status
        assert status.weights.stable + status.weights.candidate == 100
        assert len(status.model_dump_json()) < 20_000
        if status.step is not None and status.step.verified is None:
            assert status.window_end is None, "evidence counts before the route was verified"


events = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 12)),
        st.tuples(st.just("push"), st.sampled_from(sorted(MODELS))),
        st.tuples(st.just("revert"), st.just("")),
        st.tuples(st.just("ask"), st.sampled_from(["promote", "full", "abort", "pause", "resume", "retry", "undo"])),
        st.tuples(st.just("prometheus"), st.booleans()),
        st.tuples(st.just("edit"), st.integers(0, 100)),
        st.tuples(st.just("die"), st.integers(0, 4)),
        st.tuples(st.just("refuse"), st.sampled_from(["SetRoute", "SaveStatus", "ScaleRevision", "EnsureRevision"])),
        st.tuples(st.just("accept"), st.just("")),
    ),
    max_size=14,
)


def play(world: World, kind: str, value: object, number: int) -> None:
    match kind:
        case "push":
            name = f"{value}{number}"
            world.push(name, Model(**vars(MODELS[str(value)])))
        case "revert":
            world.desired, world.generation = world.status.stable or "r1", world.generation + 1
        case "ask":
            full = value == "full"
            world.ask("promote" if full else str(value), ident=f"ask-{number}", full=full)
        case "prometheus":
            world.prometheus = bool(value)
        case "edit" if len(world.weights) == 2:
            first, second = world.weights
            world.weights = {first: 100 - int(str(value)), second: int(str(value))}
            world.route_changed = world.now


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequence=events, seed=st.integers(0, 1000))
@pytest.mark.timeout(300)
def test_no_sequence_of_events_faults_and_restarts_breaks_a_rule(sequence, seed):
    world = settled(seed, spec=SHORT, rps=40.0)
    countdown = [-1]

    def fault() -> bool:
        countdown[0] -= 1
        return countdown[0] == -1 and armed

    armed = False
    rules = Rules(world, fault)
    world.before_action = rules
    for number, (kind, value) in enumerate(sequence):
        if kind == "die":
            countdown[0], armed = int(value), True
        elif kind in ("refuse", "accept"):
            rules.refused = str(value)
        else:
            play(world, kind, value, number)
        for _ in range(int(value) if kind == "wait" else 1):
            try:
                world.reconcile()
            except Died:
                armed = False
            world.tick()
    armed, rules.refused = False, ""
    assert_rest(world)


def assert_rest(world: World) -> None:
    """Left alone with everything working, a rollout comes to rest within minutes and then costs nothing."""
    world.prometheus = True
    world.run(5)  # a request that a crash left unanswered is answered now; it may be a pause
    status = world.status
    if status.paused is not None or status.phase is Phase.PAUSED:
        world.ask("abort", ident="at-last")
    world.run(240)
    status = world.status
    assert status.phase in (Phase.PROMOTED, Phase.ROLLED_BACK), status.message
    assert world.weights == {status.stable: 100}
    for revision, pods in world.pods.items():
        assert pods.desired == (world.spec["replicas"] if revision == status.stable else 0)
    world.run(70)
    before = world.writes
    world.run(30)
    assert world.writes == before, world.log[-3:]
    assert world.last is not None
    assert world.last.watch is None
    assert world.last.requeue_after is None


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 40), kind=st.sampled_from(["abort", "die-abort"]), cut=st.integers(0, 3))
@pytest.mark.timeout(300)
def test_abort_wins_in_every_phase_and_stays(at, kind, cut):
    world = settled(3, spec=SHORT, rps=40.0)
    world.push("good1", Model(0.0))
    world.run(at)
    underway = world.status.phase in (Phase.PROGRESSING, Phase.PAUSED, Phase.GUARDING)
    world.ask("abort", ident="stop")
    if kind == "die-abort":
        left = [cut]

        def die(action: Action) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Died

        world.before_action = die
        with suppress(Died):
            world.reconcile()
        world.before_action = lambda _: None
    world.reconcile()
    if underway:
        assert world.weights == {"r1": 100} or not world.weights
        world.run(60)
        assert world.weights == {"r1": 100}
        assert world.status.phase is Phase.ROLLED_BACK
        assert world.status.request is not None
        assert world.status.request.by == "alice"


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    trouble=st.sampled_from(["no traffic", "prometheus down", "both"]),
    at=st.integers(4, 60),
    rate=st.sampled_from([0.0, 0.5]),
)
@pytest.mark.timeout(300)
def test_missing_evidence_never_moves_a_rollout(seed, trouble, at, rate):
    world = settled(seed, spec={**SHORT, "strategy": {**SHORT["strategy"], "guard": {"duration": "1h"}}}, rps=40.0)
    world.push("new", Model(rate))
    world.run(at)
    if trouble != "prometheus down":
        world.rps = 0.0
        world.run(4)
    if trouble != "no traffic":
        world.prometheus = False
        world.reconcile()
    before = (world.status.phase, world.status.attempt, dict(world.weights))
    index = world.status.step.index if world.status.step else None
    world.run(90)
    after = (world.status.phase, world.status.attempt, dict(world.weights))
    settled_step = world.status.step is None or index == world.status.step.index
    assert settled_step
    assert after == before, world.status.message
