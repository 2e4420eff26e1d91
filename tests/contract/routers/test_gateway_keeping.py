"""Somebody else's routes at Envoy Gateway: our rule that no request matches comes, stays while needed, and goes."""

import asyncio
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.routers import gateway_keeping
from modelrollout.api.status import Phase, Status
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError
from tests.contract.operator_story import GATEWAY, operator, rollout
from tests.contract.routers.case import CANDIDATE, STABLE, Case, Setting
from tests.contract.routers.gateway_api import CASES
from tests.contract.routers.test_gateway_api import BETA, ENVOY, taken
from tests.contract.test_operator import begin, serves
from tests.support.kube import Kube, Object

ALL, HALF, OVER = Split({STABLE: 100}), Split({STABLE: 50, CANDIDATE: 50}), Split({CANDIDATE: 100})
KEEP = "model-fraud-keep"


@pytest.fixture(params=[case for case in CASES if case.adopted], ids=lambda case: case.resource.kind)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def adopted(case: Case, api: Kube, connection: Api, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(gateway_keeping, "COOL_DOWN", 0.0)
    setting = Setting(case, api, connection, namespace)
    taken(setting, ENVOY)
    return setting


async def move(setting: Setting, split: Split, *, cold: bool = True) -> None:
    """Write a split, and once more where its backends have to be named before."""
    setting.watch()
    await setting.set(split)
    assert (setting.route().split != split) is cold
    async with asyncio.timeout(20):
        while setting.route().split != split:
            taken(setting, ENVOY)
            setting.watch()
            setting.woken.clear()
            await setting.woken.wait()
            await setting.set(split)
    taken(setting, ENVOY)
    setting.watch()


def stands(setting: Setting, phase: Phase) -> None:
    setting.rollout = setting.rollout.model_copy(update={"status": Status(phase=phase)})


def names(setting: Setting) -> list[str | None]:
    return [rule.get("name") for rule in setting.raw()["spec"]["rules"]]


def fill(setting: Setting, rules: int) -> None:
    """Let the owner add rules, up to a number."""

    def add(spec: Any) -> None:
        spec["rules"][2:2] = [{"name": f"more-{index}"} for index in range(rules - len(spec["rules"]))]

    setting.edit(add)
    taken(setting, ENVOY)


async def test_it_goes_when_the_rollout_rests(adopted: Setting) -> None:
    theirs = names(adopted)
    await move(adopted, ALL)
    assert names(adopted) == [*theirs, KEEP], "what had the requests until now is still named"
    assert adopted.route().current
    stands(adopted, Phase.PROMOTED)
    assert (adopted.route().split, adopted.route().current) == (ALL, False)
    await adopted.set(ALL)
    assert names(adopted) == theirs
    assert (adopted.route().split, adopted.route().current, adopted.route().kept) == (ALL, True, frozenset())
    before = adopted.raw()
    await adopted.set(ALL)
    assert adopted.raw() == before


async def test_it_stays_until_envoy_has_heard(adopted: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_keeping, "COOL_DOWN", 3600.0)
    await move(adopted, ALL)
    stands(adopted, Phase.PROMOTED)
    assert adopted.route().current
    await adopted.set(ALL)
    assert names(adopted)[-1] == KEEP


async def test_it_stays_as_long_as_there_may_be_a_way_back(adopted: Setting) -> None:
    for split in (ALL, HALF):
        await move(adopted, split)
    await move(adopted, OVER, cold=False)
    stands(adopted, Phase.GUARDING)
    assert (adopted.route().kept, adopted.route().current) == ({STABLE}, True)

    def edit(spec: Any) -> None:
        next(rule for rule in spec["rules"] if rule.get("name") == "model")["backendRefs"][0]["weight"] = 7

    adopted.edit(edit)
    await adopted.set(OVER)
    assert (adopted.route().split, adopted.route().kept) == (OVER, {STABLE}), "a correction leaves it"
    adopted.watch()
    await adopted.set(ALL, "1")
    assert (adopted.route().split, adopted.route().kept) == (ALL, {CANDIDATE}), "the way back is one write"
    stands(adopted, Phase.ROLLED_BACK)
    assert not adopted.route().current
    await adopted.set(ALL, "1")
    assert (adopted.route().kept, adopted.route().latch) == (frozenset(), "1")


async def test_it_goes_with_its_rollout(adopted: Setting) -> None:
    theirs = names(adopted)
    await move(adopted, ALL)
    rules = adopted.raw()["spec"]["rules"]
    for _ in range(2):
        adopted.watch()
        await adopted.routers.leave(adopted.key)
        assert names(adopted) == theirs
    assert adopted.raw()["spec"]["rules"] == rules[:-1], "traffic flows on"


async def test_a_route_without_room_is_told_of_before_the_first_request(adopted: Setting) -> None:
    fill(adopted, 16)
    before = adopted.raw()
    said = rf"shop has 16 rules, the most .* room for one of ours \({KEEP}\) .*; take a rule out, or split the route"
    with pytest.raises(TerminalError, match=said):
        await adopted.set(ALL)
    assert adopted.raw() == before


async def test_the_last_place_is_enough(adopted: Setting) -> None:
    fill(adopted, 15)
    await move(adopted, ALL)
    await move(adopted, BETA)
    assert len(names(adopted)) == 16
    await move(adopted, ALL, cold=False)
    assert adopted.route().kept == {CANDIDATE}


async def test_the_way_back_needs_no_room(adopted: Setting) -> None:
    fill(adopted, 15)
    for split in (ALL, HALF):
        await move(adopted, split)
    assert KEEP not in names(adopted)
    fill(adopted, 16)
    await adopted.set(ALL, "1")
    assert (adopted.route().split, adopted.route().kept, adopted.route().latch) == (ALL, frozenset(), "1")


async def test_the_whole_operator_leaves_somebody_elses_route_tidy(
    api: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_keeping, "COOL_DOWN", 0.2)
    spec: Object = {"parentRefs": [{"name": "public"}], "rules": [{"name": "fraud"}, {"name": "other"}]}
    meta = {"name": "shop", "namespace": namespace}
    theirs = {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": meta, "spec": spec}
    await asyncio.to_thread(api.create, theirs)
    more = {
        "traffic": {"gatewayAPI": {"route": {"name": "shop", "rule": "fraud"}}},
        "strategy": {"steps": [{"weight": 50}], "minStepDuration": "1s", "guard": {"duration": "1m"}},
    }

    def rules() -> dict[str, list[str]]:
        found = api.get("HTTPRoute", "shop", api=GATEWAY, namespace=namespace)["spec"]["rules"]
        return {rule["name"]: [one["name"] for one in rule.get("backendRefs", [])] for rule in found}

    async with operator(api, namespace) as story:
        story.surroundings.controller = ENVOY
        stable = await begin(story, **more)
        served = {"fraud": [f"fraud-{stable}"], "other": []}
        await story.eventually("stable alone", lambda: rules() == served)

        await story.apply(rollout(namespace, "model:2", **more))
        raw = await story.until("a guard", lambda status: status["phase"] == "Guarding")
        kept = {"fraud": [f"fraud-{raw['status']['stable']}"], "other": [], "fraud-fraud-keep": [f"fraud-{stable}"]}
        await story.eventually("the way back is kept", lambda: rules() == kept)
        await asyncio.to_thread(
            api.delete, "ModelRollout", "fraud", api="modelrollout.dev/v1alpha1", namespace=namespace
        )
        del kept["fraud-fraud-keep"]
        await story.eventually("nothing of it is left", lambda: rules() == kept)
    assert not serves(raw["status"])
