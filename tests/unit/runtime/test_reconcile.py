"""One reconcile after another, with whatever can go wrong in between."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from modelrollout.api.status import AT_REST, Phase
from modelrollout.ports import AsideError, ConflictError, TerminalError, TransientError
from modelrollout.runtime.lease import LeaseLostError
from tests.unit.runtime.cluster import KEY, START, Cluster, Operator


def once(number: int, error: Exception) -> Callable[[int, str], Exception | None]:
    return lambda call, _: error if call == number else None


def always(name: str, error: Exception) -> Callable[[int, str], Exception | None]:
    return lambda _, call: error if call == name else None


async def test_a_first_revision_comes_up_and_then_nothing_more_is_done() -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    assert cluster.statuses[-1].phase is Phase.PROMOTED
    assert cluster.announced == ["Started", "Promoted"]
    calls = len(cluster.calls)
    assert await operator.look() is None
    assert len(cluster.calls) == calls
    assert list(operator.memories) == []


@pytest.mark.parametrize("error", [TransientError("timeout"), ConflictError("changed")], ids=["transient", "conflict"])
@pytest.mark.parametrize("number", range(8))
async def test_a_failure_of_any_call_changes_nothing_in_the_end(number: int, error: Exception) -> None:
    cluster = Cluster(fault=once(number, error))
    operator = Operator(cluster)
    await operator.settle(errors=(TransientError,))
    assert cluster.statuses[-1].phase is Phase.PROMOTED
    assert cluster.announced == ["Started", "Promoted"]
    assert list(cluster.weights or {}) == [cluster.statuses[-1].stable]


async def test_an_event_that_cannot_be_written_holds_nothing_up_and_is_written_later() -> None:
    cluster = Cluster(fault=always("announce", TransientError("events are down")))
    operator = Operator(cluster)
    for _ in range(3):
        again = await operator.look()
    assert cluster.statuses[-1].phase is Phase.PROMOTED
    assert cluster.announced == []
    assert again == timedelta(seconds=10)
    cluster.fault = lambda _, __: None
    assert await operator.look() is None
    assert cluster.announced == ["Started", "Promoted"]


async def test_gateways_are_asked_about_for_a_rollout_that_moves_and_for_none_at_rest() -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    learnt = cluster.learnt
    assert learnt > 0
    await operator.look()
    assert cluster.learnt == learnt
    cluster.edit(replicas=3)
    await operator.look()
    assert cluster.learnt == learnt + 1


@pytest.mark.parametrize("phase", sorted(AT_REST))
async def test_no_gateway_is_asked_about_in_any_phase_at_rest(phase: Phase) -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    cluster.raw["status"]["phase"] = phase.value
    cluster.edit()
    cluster.raw["status"]["observedGeneration"] = cluster.raw["metadata"]["generation"]
    learnt = cluster.learnt
    await operator.look()
    assert cluster.learnt == learnt


async def test_no_write_without_the_lease() -> None:
    cluster = Cluster()
    operator = Operator(cluster, may_write=lambda: False)
    with pytest.raises(LeaseLostError):
        await operator.look()
    assert cluster.calls == []


async def test_a_refusal_lands_in_the_status_and_is_tried_again_later() -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    stable = cluster.statuses[-1].stable
    cluster.fault = always("apply", TerminalError("Deployment ml/fraud: spec.template is no good"))
    cluster.edit(template={"spec": {"containers": [{"name": "m", "image": "model:2"}]}})
    again = await operator.look()
    assert again is not None
    assert again <= timedelta(seconds=30)
    stalled = next(one for one in cluster.statuses[-1].conditions if one.type == "Stalled")
    assert stalled.status == "True"
    assert "no good" in stalled.message
    assert cluster.weights == {stable: 100}
    calls = cluster.calls.count("apply")
    await operator.look()
    assert cluster.calls.count("apply") == calls, "not again at once"
    cluster.now_ += timedelta(seconds=30)
    cluster.fault = lambda _, __: None
    await operator.look()
    assert len(cluster.pods) == 2


async def test_what_a_rollout_can_do_without_holds_nothing_up() -> None:
    said = AsideError("PodDisruptionBudget ml/fraud exists and was not made by this rollout")
    cluster = Cluster(fault=always("budget", said), budget_fits=False)
    operator = Operator(cluster)
    await operator.settle()
    first = cluster.statuses[-1]
    assert first.phase is Phase.PROMOTED
    assert cluster.weights == {first.stable: 100}
    conditions = {one.type: one for one in first.conditions}
    told = {name: conditions[name].status for name in ("Ready", "Stalled", "Promoted")}
    assert told == {"Ready": "False", "Stalled": "True", "Promoted": "True"}
    assert conditions["Stalled"].message == str(said)

    cluster.edit(template={"spec": {"containers": [{"name": "m", "image": "model:2"}]}})
    await operator.look()
    assert len(cluster.pods) == 2, "a new template is rolled out all the same"

    saves, asked = cluster.calls.count("save"), cluster.calls.count("budget")
    cluster.now_ += timedelta(minutes=6)
    await operator.look()
    assert cluster.calls.count("budget") == asked + 1, "whether somebody mended it is looked at now and then"
    assert cluster.statuses[-1].conditions[2].status == "True"
    cluster.fault, cluster.budget_fits = (lambda _, __: None), True
    cluster.now_ += timedelta(minutes=6)
    await operator.look()
    assert {one.type: one.status for one in cluster.statuses[-1].conditions}["Stalled"] == "False"
    assert cluster.calls.count("save") <= saves + 2


async def test_an_unreadable_resource_is_reported_once() -> None:
    cluster = Cluster()
    cluster.raw["spec"]["strategy"] = {"steps": [{"weight": 500}]}
    operator = Operator(cluster)
    await operator.look()
    await operator.look()
    assert cluster.calls == ["save"]
    assert "weight" in cluster.statuses[-1].message


NONSENSE = {"steps": [{"weight": 500}]}


async def test_a_spec_that_cannot_be_read_stops_neither_a_rollout_in_progress_nor_its_abortion() -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    stable = cluster.statuses[-1].stable
    cluster.edit(template={"spec": {"containers": [{"name": "m", "image": "model:2"}]}})
    await operator.look()
    while cluster.weights == {stable: 100}:
        cluster.now_ += timedelta(seconds=5)
        await operator.look()
    cluster.edit(strategy=NONSENSE)
    await operator.look()
    assert cluster.statuses[-1].phase is Phase.PROGRESSING
    stalled = next(one for one in cluster.statuses[-1].conditions if one.type == "Stalled")
    assert (stalled.status, "weight" in stalled.message) == ("True", True)
    assert len(cluster.weights or {}) == 2
    assert operator.collector.active == 1, "evidence is still gathered"
    cluster.annotate({"modelrollout.dev/request": "abort@1"})
    await operator.look()
    assert cluster.statuses[-1].phase is Phase.ROLLED_BACK
    assert cluster.weights == {stable: 100}
    cluster.edit(strategy={"steps": [{"weight": 50}]})
    await operator.look()
    stalled = next(one for one in cluster.statuses[-1].conditions if one.type == "Stalled")
    assert "weight" not in stalled.message


async def test_a_template_beside_a_fault_starts_nothing_until_the_fault_is_mended() -> None:
    cluster = Cluster()
    operator = Operator(cluster)
    await operator.settle()
    template = {"spec": {"containers": [{"name": "m", "image": "model:2"}]}}
    cluster.edit(template=template, strategy=NONSENSE)
    await operator.settle()
    assert cluster.statuses[-1].phase is Phase.PROMOTED
    assert len(cluster.pods) == 1
    cluster.edit(strategy={"steps": [{"weight": 50}]})
    await operator.look()
    assert len(cluster.pods) == 2


async def test_a_rollout_that_is_being_deleted_is_left_alone() -> None:
    cluster = Cluster()
    cluster.raw["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await Operator(cluster).look() is None
    assert cluster.calls == []


async def test_missing_pods_are_looked_at_rarely_and_their_trouble_is_told() -> None:
    cluster = Cluster(ready=False)
    operator = Operator(cluster)
    for second in range(75):
        cluster.now_ = START + timedelta(seconds=second)
        await operator.look()
    assert 2 <= cluster.calls.count("pods") <= 6
    assert "ImagePullBackOff" in cluster.statuses[-1].message


async def test_not_knowing_why_pods_are_missing_holds_nothing_up() -> None:
    cluster = Cluster(ready=False, fault=always("pods", TransientError("timeout")))
    operator = Operator(cluster)
    await operator.look()
    cluster.now_ += timedelta(seconds=11)
    await operator.look()
    cluster.ready = True
    await operator.settle()
    assert cluster.statuses[-1].phase is Phase.PROMOTED


async def test_a_forgotten_rollout_leaves_nothing() -> None:
    cluster = Cluster(ready=False)
    operator = Operator(cluster)
    await operator.look()
    assert list(operator.memories) == [KEY]
    operator.store.remove(KEY)
    assert await operator.reconciler.reconcile(KEY) is None
    assert list(operator.memories) == []
    assert cluster.calls[-1] == "leave"
    assert cluster.calls.count("leave") == 1


async def test_who_may_not_write_leaves_what_is_there() -> None:
    cluster = Cluster()
    operator = Operator(cluster, may_write=lambda: False)
    assert await operator.reconciler.reconcile(KEY) is None
    assert cluster.calls == []


async def test_what_cannot_be_tidied_up_is_let_be() -> None:
    cluster = Cluster(fault=always("leave", TerminalError("no right to do so")))
    assert await Operator(cluster).reconciler.reconcile(KEY) is None
