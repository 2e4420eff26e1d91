"""From when evidence counts: where a step begins in a hurry, and where a clock is behind that of the leader before."""

import random
from datetime import timedelta
from functools import partial

import pytest

from modelrollout.api.status import Phase
from modelrollout.core.evidence.judge import Judgement, Question, enter_step, judge
from modelrollout.core.plan import plan
from tests.support import world as surroundings
from tests.support.world import Model
from tests.unit.core.feeding import analysis
from tests.unit.core.stories import at_step, over, pushed
from tests.unit.core.test_metrics_garbage import METRICS, VALUES, reading


@pytest.mark.parametrize("name", METRICS)
def test_no_window_is_counted_twice_though_a_step_begins_before_the_one_before(name: str):
    spec, counted = analysis(METRICS[name]), 0
    for seed in range(100):
        rng = random.Random(seed)  # noqa: S311 - garbage
        answer = {name: reading(rng, VALUES[4:])}
        before = judge(Question(spec, (), answer, 0, 20, 5))
        entered = enter_step(spec, before.verdicts, 0)
        after = judge(Question(spec, entered, answer, 0, 50, 20))
        for one, other in zip(before.verdicts, after.verdicts, strict=False):
            if one.evidence and one.name == other.name:
                counted += 1
                assert (one.candidate, one.stable, one.harm) == (other.candidate, other.stable, other.harm)
    assert counted


@pytest.mark.parametrize("back", [30, 120])
def test_a_clock_that_is_set_back_makes_no_requests(back: int, monkeypatch: pytest.MonkeyPatch):
    world = pushed(Model(0.0), steps=[{"weight": 20}, {"weight": 50}, {"weight": 80}])
    world.run(100, until=at_step(1))
    skew = timedelta(seconds=back)
    monkeypatch.setattr(
        surroundings, "plan", lambda rollout, observed, now, settings: plan(rollout, observed, now - skew, settings)
    )
    world.run(back + 200, until=lambda w: w.status.phase is Phase.GUARDING)
    promoted = next(move for move in world.announced if move.move == "Promoted")
    served = world.rps * (world.now - surroundings.START).total_seconds()
    counted = [int(word.split("/")[1]) for word in promoted.message.replace(",", " ").split() if "/" in word]
    assert sum(counted[:2]) <= served, "requests that nobody sent"
    world.run(60, over)
    assert world.status.phase is Phase.PROMOTED


def test_a_pause_entered_in_a_hurry_counts_in_full_only_from_when_the_route_has_settled(monkeypatch):
    world = pushed(steps=[{"weight": 20}, {"pause": {}}, {"weight": 60}])
    asked: list[Question] = []

    def listening(question: Question) -> Judgement:
        asked.append(question)
        return judge(question)

    monkeypatch.setattr(surroundings, "plan", partial(plan, judge=listening))
    world.run(20, until=at_step(0))
    world.ask("promote")
    world.run(10, until=lambda w: w.status.step.verified is not None)
    settled = world.settings.grid((world.status.step.verified + world.settings.settle).timestamp())
    world.run(10)
    assert at_step(1)(world)
    assert {question.settled for question in asked} == {settled}
