"""The ordering rules, over random sequences of events, faults and restarts."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.api.status import Phase
from modelrollout.core.actions import Action
from tests.support.rules import Rules
from tests.support.world import SPEC, Died, Model, World, settled

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


REST = (Phase.PROMOTED, Phase.REPORTED, Phase.ROLLED_BACK)
ASKED = ["promote", "full", "approve", "abort", "pause", "resume", "retry", "undo"]
WRITES = ["SetRoute", "SaveStatus", "ScaleRevision", "EnsureRevision", "EnsureComparer", "DeleteComparer", "OpenGate"]
ASIDE = {
    "shadow": {"shadow": {"percent": 50}},
    "copies": {"shadow": {"percent": 50, "comparer": {"enabled": False}}},
    "match": {"match": {"headers": {"X-Canary": "yes"}, "share": 30, "minRequests": 20}},
    "job": {"gate": {"name": "job", "job": {"template": SPEC["template"]}}},
    "hook": {"gate": {"name": "hook", "webhook": {"url": "https://checks.example.com"}}, "maxDuration": "20s"},
    "approval": {"gate": {"approval": {}}},
    "pause": {"pause": {"duration": "3s"}},
    "no pause": {"pause": {"duration": "0s"}},
    "person": {"pause": {}},
}
"""Steps that give the candidate no weight."""
LATER = ("job", "hook", "approval", "pause", "no pause", "person")
"""Those that may come after a weight."""
TIMEOUTS = ({}, {"maxDuration": "15s"}, *({"maxDuration": "15s", "onTimeout": to} for to in ("Rollback", "Promote")))
MODES = st.sampled_from(["auto", "notify", "manual"])
STICKY = (None, {"header": "x-user-id"}, {"cookie": "uid", "endings": "Decimal"}, {"issued": "gateway"})
FREEZE = {"freeze": [{"from": "12:02", "to": "12:03"}]}
outcomes = st.fixed_dictionaries(dict.fromkeys(("job", "hook"), st.sampled_from(["pass", "fail", "slow", "flaky"])))


@st.composite
def lists_of_steps(draw: st.DrawFn) -> tuple[str, list[dict[str, object]]]:
    """Draw steps that fit together, with the type of strategy that they are for."""
    first = draw(st.lists(st.sampled_from(sorted(ASIDE)), max_size=3))
    steps = [dict(ASIDE[name]) for name in first]
    for weight in draw(st.sampled_from([(), (10,), (50,), (10, 50)])):
        steps.append({"weight": weight})
        steps += [dict(ASIDE[name]) for name in draw(st.lists(st.sampled_from(LATER), max_size=1))]
    for step in steps:
        if step.keys() & {"weight", "shadow", "match"}:
            step.update(draw(st.sampled_from(TIMEOUTS)))
        if draw(st.integers(0, 4)) == 0:
            step["automation"] = {"promotion": draw(MODES), "rollback": draw(MODES)}
    steps += draw(st.sampled_from([[], [{"switch": {}}], [{"weight": 100}]]))
    moving = any(step.keys() & {"weight", "match", "switch"} for step in steps)
    shadows = any("shadow" in step for step in steps)
    kinds = ["Canary", "BlueGreen"] if moving else ["BlueGreen"]
    return draw(st.sampled_from(kinds + ["Shadow"] * shadows)), steps or [{"switch": {}}]


@st.composite
def all_strategies(draw: st.DrawFn) -> dict[str, object]:
    """Draw a strategy."""
    kind, steps = draw(lists_of_steps())
    chosen: dict[str, object] = {
        "type": kind,
        "steps": steps,
        "minStepDuration": "4s",
        "guard": {"duration": draw(st.sampled_from(["0s", "8s"]))},
        "surge": draw(st.sampled_from([0, 1, "25%", "100%"])),
        "automation": {"promotion": draw(MODES), "rollback": draw(MODES)},
        "onNewTemplate": draw(st.sampled_from(["Replace", "Queue"])),
    }
    if (sticky := draw(st.sampled_from(STICKY))) is not None:
        chosen["sticky"] = sticky
    return {**chosen, "schedule": FREEZE} if draw(st.booleans()) else chosen


strategies = all_strategies()
events = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 12)),
        st.tuples(st.just("push"), st.sampled_from(sorted(MODELS))),
        st.tuples(st.just("revert"), st.just("")),
        st.tuples(
            st.just("ask"), st.sampled_from(["promote", "full", "abort", "pause", "resume", "retry", "undo", "approve"])
        ),
        st.tuples(st.just("prometheus"), st.booleans()),
        st.tuples(st.just("route"), st.integers(0, 100)),
        st.tuples(st.just("comparer"), st.booleans()),
        st.tuples(st.just("replicas"), st.sampled_from([2, 4, 6])),
        st.tuples(st.just("die"), st.integers(0, 4)),
        st.tuples(st.just("refuse"), st.sampled_from(WRITES)),
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
        case "route":
            edited(world, int(str(value)))
        case "comparer" if world.comparer is not None and not value:
            world.comparer = None
        case "comparer" if world.comparer is not None:
            world.comparer.since = world.now
        case "replicas":
            world.edit(replicas=value)


def edited(world: World, share: int) -> None:
    """Let somebody else change the route: its weights, or all that is besides them."""
    revisions = list(world.weights)
    if len(revisions) == 2:
        world.split = replace(world.split, weights={revisions[0]: 100 - share, revisions[1]: share})
    elif revisions:
        world.split = replace(world.split, mirror=None, matched=None)
    world.route_changed = world.now


def told(world: World, sequence: list[tuple[str, object]]) -> Rules:
    """Let events, faults and restarts happen, with the rules checked at every action."""
    countdown = [-1]

    def fault() -> bool:
        countdown[0] -= 1
        return countdown[0] == -1

    rules = Rules(world, fault)
    world.before_action = rules
    for number, (kind, value) in enumerate(sequence):
        if kind == "die":
            countdown[0] = int(str(value))
        elif kind in ("refuse", "accept"):
            rules.refused = str(value)
        else:
            play(world, kind, value, number)
        for _ in range(int(str(value)) if kind == "wait" else 1):
            with suppress(Died):
                world.look()
            world.tick()
    countdown[0], rules.refused = -1, ""
    return rules


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequence=events, seed=st.integers(0, 1000))
@pytest.mark.timeout(300)
def test_no_sequence_of_events_faults_and_restarts_breaks_a_rule(sequence, seed):
    world = settled(seed, spec=SHORT, rps=40.0)
    told(world, sequence)
    assert_rest(world)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(strategy=strategies, gates=outcomes, sequence=events, seed=st.integers(0, 1000), helped=st.booleans())
@pytest.mark.timeout(600)
def test_no_strategy_breaks_a_rule_whatever_happens(strategy, gates, sequence, seed, helped):
    world = settled(seed, spec={**SHORT, "strategy": strategy}, rps=20.0)
    world.checks.plan.update(gates)
    world.push("good", Model(0.0, disagrees=0.0))
    told(world, [("wait", 10), *sequence])
    if helped:
        help_on(world)
    assert_rest(world)
    disturbed = any(kind == "comparer" for kind, _ in sequence)
    assert disturbed or world.gateway.lost == 0, "copies went to a comparer that was not ready"


def help_on(world: World) -> None:
    """Let a person wave through whatever waits for one."""
    world.prometheus = True
    for number in range(40):
        world.run(6)
        if world.status.phase is Phase.PAUSED or world.status.gate is not None:
            world.ask("promote" if number % 2 else "approve", ident=f"help-{number}")


def assert_rest(world: World) -> None:
    """Left alone with everything working, a rollout comes to rest within minutes and then costs nothing."""
    world.prometheus = True
    world.run(5)  # a request that a crash left unanswered is answered now; it may be a pause
    for attempt in range(4):
        waits = world.status.paused is not None or world.status.phase is Phase.PAUSED
        if waits or (attempt > 0 and world.status.phase not in REST):
            world.ask("abort", ident=f"at-last-{attempt}")
        world.run(120 if attempt == 0 else 30)
    world.run(30)
    status = world.status
    assert status.phase in REST, status.message
    assert world.weights == {status.stable: 100}
    assert (world.split.mirror, world.split.matched) == (None, None)
    assert (world.comparer, world.checks.known) == (None, None)
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
