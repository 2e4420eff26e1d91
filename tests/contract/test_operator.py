"""The whole operator on a real API server: what it writes, and what it does not."""

import asyncio
from typing import Any

import pytest

from modelrollout.api.base import API_VERSION, KIND, NAME_LABEL, REQUEST_ANNOTATION
from tests.contract.operator_story import GATEWAY, Story, operator, rollout
from tests.support.kube import Kube, Object


def serves(status: Object) -> bool:
    return status["phase"] == "Promoted" and status.get("stable") is not None


def condition(status: Object, kind: str) -> Object:
    return next((item for item in status.get("conditions", []) if item["type"] == kind), {})


async def begin(story: Story, **spec: Any) -> str:
    """Bring up the first revision; returns it."""
    await story.apply(rollout(story.namespace, **spec))
    raw = await story.until("first revision serves", serves)
    await story.announced("Promoted")
    return str(raw["status"]["stable"])


async def test_a_good_version_is_promoted_with_few_writes(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        await story.routed(**{stable: 100})

        before = sum(story.writes().values())
        await story.apply(rollout(namespace, "model:2"))
        done = await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)
        await story.routed(**{done["status"]["stable"]: 100})
        moves = [move["move"] for move in done["status"]["history"]]
        assert moves[-5:] == ["Started", "Weight", "Weight", "Promoted", "Completed"]
        assert sum(story.writes().values()) - before <= 16, story.writes()
        assert "kopf" not in str(done["metadata"])

        await story.announced("Completed")
        events = await asyncio.to_thread(api.list, "Event", api="v1", namespace=namespace)
        # The API server has events of its own, about addresses of Services.
        ours = [event["reason"] for event in events if event.get("reportingComponent") == "modelrollout"]
        assert sorted(ours) == sorted(moves)


async def test_a_second_identical_event_costs_no_write(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        await begin(story)
        before = story.writes()
        await story.apply(rollout(namespace))
        label = {"metadata": {"labels": {"team": "fraud"}}}
        raw = await story.patch(label)
        await story.seen(raw)
        assert story.writes() == before


async def test_a_bad_version_is_rolled_back_and_stays_so(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        await story.apply(rollout(namespace, "model:2"))
        raw = await story.until("candidate has traffic", lambda status: status["weights"]["candidate"] == 20)
        story.counts.failing.add(raw["status"]["candidate"])
        raw = await story.until("rolled back", lambda status: status["phase"] == "RolledBack")
        await story.routed(**{stable: 100})
        assert condition(raw["status"], "Stalled")["status"] == "True"
        assert raw["status"]["history"][-1]["move"] == "RolledBack"


async def test_a_silent_provider_holds_and_a_talking_one_goes_on(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        story.counts.silent = True
        await story.apply(rollout(namespace, "model:2"))
        raw = await story.until("provider error", lambda status: status.get("verdict") == "ProviderError")
        assert raw["status"]["weights"] == {"stable": 80, "candidate": 20}
        story.counts.silent = False
        await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)


async def test_a_successor_takes_over_where_the_operator_stopped(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        await story.apply(rollout(namespace, "model:2"))
        await story.until("second step", lambda status: status["weights"]["candidate"] == 20)
    async with operator(api, namespace) as story:
        raw = await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)
        moves = [move["move"] for move in raw["status"]["history"]]
        assert moves.count("Started") == 2
        assert moves.count("Weight") == 2


async def test_abort_is_carried_out_once(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        story.counts.silent = True
        await story.apply(rollout(namespace, "model:2"))
        await story.until("first step", lambda status: status["weights"]["candidate"] == 20)
        await story.patch({"metadata": {"annotations": {REQUEST_ANNOTATION: "abort@1"}}})
        raw = await story.until("aborted", lambda status: status["phase"] == "RolledBack")
        assert raw["status"]["request"]["id"] == "abort@1"
        await story.routed(**{stable: 100})


async def test_a_refused_template_is_reported_and_mended(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        bad = rollout(namespace, "model:2")
        bad["spec"]["template"]["spec"]["containers"][0]["imagee"] = "typo"
        await story.apply(bad)
        raw = await story.until("stalled", lambda status: condition(status, "Stalled").get("status") == "True")
        assert "imagee" in condition(raw["status"], "Stalled")["message"]
        await story.routed(**{stable: 100})
        await story.apply(rollout(namespace, "model:3"))
        await story.until("promoted", lambda status: serves(status) and status["stable"] != stable)


async def test_a_deleted_rollout_leaves_traffic_and_no_trace_in_us(api: Kube, namespace: str) -> None:
    async with operator(api, namespace) as story:
        stable = await begin(story)
        labels = {"namespace": namespace, "name": "fraud"}
        assert story.metrics.registry.get_sample_value("modelrollout_weight", labels) == 0.0
        await asyncio.to_thread(api.delete, KIND, "fraud", api=API_VERSION, namespace=namespace)
        await story.eventually(
            "series gone", lambda: story.metrics.registry.get_sample_value("modelrollout_weight", labels) is None
        )
        routes = await asyncio.to_thread(api.list, "HTTPRoute", api=GATEWAY, namespace=namespace, labels=NAME_LABEL)
        assert [ref["name"] for ref in routes[0]["spec"]["rules"][0]["backendRefs"]] == [f"fraud-{stable}"]


async def test_a_lost_lease_ends_the_process_without_another_write(api: Kube, namespace: str) -> None:
    async with operator(api, namespace, code=1) as story:
        await begin(story)
        thief = {"spec": {"holderIdentity": "somebody-else"}}
        await asyncio.to_thread(
            api.patch, "Lease", "modelrollout", thief, api="coordination.k8s.io/v1", namespace=namespace
        )
        async with asyncio.timeout(20):
            assert await story.task == 1


@pytest.mark.parametrize("namespaced", [True, False])
async def test_many_at_once(api: Kube, namespace: str, namespaced: bool) -> None:
    scope: dict[str, Any] = {"namespaces": (namespace,) if namespaced else ()}
    async with operator(api, namespace, **scope) as story:
        for turn in range(10):
            raw = rollout(namespace)
            raw["metadata"]["name"] = f"model-{turn}"
            await story.apply(raw)
        for turn in range(10):
            await story.until("serves", serves, name=f"model-{turn}")
