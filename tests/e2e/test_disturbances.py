"""What the surroundings do to a rollout in progress; one after the other, because all rollouts would feel it."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import Begin
from tests.support.cells import BUDGET
from tests.support.kube import Kube
from tests.support.lab import OPERATOR, PROMETHEUS, available, eventually, pods, scale, throughout
from tests.support.story import Story

SILENCE = float(os.environ.get("SILENCE", "12"))
"""Seconds without Prometheus, in which a rollout would move several times; `SILENCE=600 make e2e` makes them more."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900 + SILENCE), pytest.mark.alone]

RATE = 50
HALFWAY = 30


@pytest.fixture
def rollout(begin: Begin, served: Callable[[Story], None]) -> Story:
    """Send a good version on its way, with clients."""
    steps = [{"weight": 10}, {"weight": HALFWAY}, {"weight": 60}]
    # Evidence comes soon, the step lasts nevertheless: something can happen in it.
    strategy = {"steps": steps, "minStepDuration": "10s", "guard": {"duration": "5s"}}
    story = begin("rough", strategy=strategy, analysis={"preset": "traefik", "harmBudget": BUDGET})
    served(story)
    story.start_load(RATE).wait_for_answers(1)
    story.release(2)
    return story


@pytest.fixture
def prometheus(lab: Kube) -> Iterator[Callable[[int], None]]:
    """Scale Prometheus, and wait until it is so; it runs again in the end."""
    namespace, name = PROMETHEUS

    def size(replicas: int) -> None:
        scale(lab, namespace, name, replicas)
        if replicas:
            eventually("Prometheus is ready", lambda: available(lab, namespace, name), 60)
        else:
            eventually("Prometheus is gone", lambda: not pods(lab, namespace, "app=prometheus"), 60)

    yield size
    size(1)


def test_the_operator_killed_on_the_way_goes_on(rollout: Story, lab: Kube) -> None:
    namespace, name = OPERATOR
    rollout.until_weight(HALFWAY)
    killed = pods(lab, namespace, f"app.kubernetes.io/name={name}")
    for pod in killed:
        path = lab.path("v1", "Pod", pod["metadata"]["name"], namespace=namespace)
        lab.request("DELETE", path, params={"gracePeriodSeconds": "0"})
    history = rollout.moves()
    promoted = rollout.until_move("Promoted", 180)
    assert rollout.moves()[: len(history)] == history, "what was done is not done again"
    assert rollout.until_move("Completed", 30)["revision"] == promoted["revision"]
    alive = {pod["metadata"]["uid"] for pod in pods(lab, namespace, f"app.kubernetes.io/name={name}")}
    assert not alive & {pod["metadata"]["uid"] for pod in killed}
    tally = rollout.stop_load()
    assert tally.failed == 0, tally


def test_without_prometheus_it_holds_and_then_goes_on(rollout: Story, prometheus: Callable[[int], None]) -> None:
    rollout.until_weight(HALFWAY)
    prometheus(0)
    status = rollout.until(60, verdict="ProviderError")
    assert status["phase"] == "Progressing"
    assert "did not answer" in status["message"]

    def holds() -> bool:
        now = rollout.status
        return all(now[name] == status[name] for name in ("phase", "weights", "history", "verdict"))

    throughout("it holds", holds, SILENCE, rollout.diagnosis)
    prometheus(1)
    rollout.until_move("Promoted", 180)
    tally = rollout.stop_load()
    assert tally.failed == 0, tally
