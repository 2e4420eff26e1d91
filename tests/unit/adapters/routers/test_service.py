"""The plain Service: what it refuses, and how it is read where others wrote it."""

import json
from typing import Any

import pytest

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import SERVICES
from modelrollout.adapters.routers.service import SPLIT_ANNOTATION, ServiceRouter, Told, plain_service
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.core.split import Split
from modelrollout.ports import TerminalError
from tests.support.rollouts import document
from tests.unit.adapters.routers.test_lookup import Idle

STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"


def rollout(replicas: int = 4, traffic: Any = None, **strategy: Any) -> ModelRollout:
    return parse(document("shop", replicas=replicas, traffic=traffic or {"service": {}}, strategy=strategy))


def router(*raw: dict[str, Any]) -> ServiceRouter:
    routes = Routes(lambda _: None)
    for one in raw:
        routes.event(SERVICES, "ADDED", one)
    return ServiceRouter(Api(Idle()), routes)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            rollout(10, steps=[{"weight": 5}, {"weight": 20}]),
            "spec.strategy.steps[0] (weight 5): router service cannot make up 5% of whole pods: with replicas: 10 the "
            "nearest is 1 of 11 pods (9%); write weight: 9, or raise spec.replicas to 11",
        ),
        (
            rollout(2, steps=[{"weight": 33}, {"pause": {}}, {"weight": 80}]),
            "spec.strategy.steps[2] (weight 80): router service cannot make up 80% of whole pods: with replicas: 2 the "
            "nearest is 2 of 3 pods (67%); write weight: 67, or raise spec.replicas to 4",
        ),
        (
            rollout(4, steps=[{"weight": 10}], surge=0),
            "spec.strategy.steps[0] (weight 10): router service cannot make up 10% of whole pods: with replicas: 4 the "
            "nearest is 1 of 4 pods (25%); write weight: 25, or raise spec.replicas to 8",
        ),
        (
            rollout(1, steps=[{"weight": 1}]),
            "spec.strategy.steps[0] (weight 1): router service cannot make up 1% of whole pods: with replicas: 1 the "
            "nearest is 1 of 2 pods (50%); write weight: 50, or raise spec.replicas to 22",
        ),
        (
            rollout(steps=[{"shadow": {}}, {"switch": {}}]),
            "spec.strategy.steps[0] (shadow 10%): router service cannot mirror requests; remove the step, or split "
            "with a gateway (spec.traffic.gatewayAPI, istio or traefik)",
        ),
        (
            rollout(type="Shadow"),
            "spec.strategy.type Shadow (shadow 10%): router service cannot mirror requests; remove the step, or split "
            "with a gateway (spec.traffic.gatewayAPI, istio or traefik)",
        ),
        (
            rollout(steps=[{"match": {"cookies": {"a": "1"}}}, {"weight": 50}]),
            "spec.strategy.steps[0] (match a=1): router service cannot look at requests; remove the step, or split "
            "with a gateway (spec.traffic.gatewayAPI, istio or traefik)",
        ),
        (
            rollout(sticky={"cookie": "user"}),
            "spec.strategy.sticky: router service cannot look at requests, and knows no clients; "
            "remove sticky, or split with a gateway (spec.traffic.gatewayAPI, istio or traefik)",
        ),
        (
            rollout(traffic={"service": {"name": "fraud-preview"}}),
            "spec.traffic.service.name: router service cannot take a name that another Service of the rollout has; "
            "give another name",
        ),
        (
            rollout(traffic={"service": {}, "preview": {"hostnames": ["p.example"]}}),
            "spec.traffic.preview.hostnames: router service knows no host names; remove hostnames (the preview's own "
            "Service stays), or add a gateway (spec.traffic.gatewayAPI, ...)",
        ),
    ],
)
def test_what_pods_cannot_do_is_refused(one: ModelRollout, words: str) -> None:
    with pytest.raises(TerminalError) as error:
        router().check(one)
    assert str(error.value) == f"ModelRollout shop/fraud: {words}"


@pytest.mark.parametrize(
    "one",
    [
        *(rollout(replicas) for replicas in (1, 2, 3, 4, 5, 10, 33)),
        *(rollout(replicas, surge=0) for replicas in (2, 4, 10)),
        rollout(4, type="BlueGreen"),
        rollout(4, steps=[{"weight": 20}, {"weight": 33}, {"weight": 50}, {"weight": 80}, {"weight": 100}]),
        rollout(0, steps=[{"weight": 1}]),
        # Without a pod for a candidate the rollout itself says what helps.
        rollout(1, steps=[{"weight": 50}], surge=0),
        rollout(traffic={"service": {}, "preview": {}}),
        rollout(
            traffic={
                "service": {},
                "gatewayAPI": {"parentRefs": [{"name": "public"}]},
                "preview": {"hostnames": ["p.example"]},
            }
        ),
    ],
)
def test_what_pods_can_do_is_not(one: ModelRollout) -> None:
    router().check(one)


def service(weights: dict[str, int], latch: str | None = None) -> dict[str, Any]:
    """Return the Service as the API server would give it back."""
    raw = plain_service(rollout(), Told(weights, 8080), latch)
    raw["metadata"] |= {"uid": "1", "resourceVersion": "1"}
    raw["spec"] |= {"clusterIP": "10.0.0.1", "type": "ClusterIP", "sessionAffinity": "None"}
    raw["spec"]["ports"][0]["nodePort"] = 30001
    return raw


def test_one_revision_is_pinned_and_two_are_not() -> None:
    def labels(weights: dict[str, int]) -> dict[str, str]:
        selector = service(weights)["spec"]["selector"]
        return {name.partition("/")[2]: value for name, value in selector.items()}

    assert labels({STABLE: 100}) == {"name": "fraud", "revision": STABLE}
    assert labels({STABLE: 100, CANDIDATE: 0}) == {"name": "fraud", "revision": STABLE}
    assert labels({STABLE: 0, CANDIDATE: 100}) == {"name": "fraud", "revision": CANDIDATE}
    assert labels({STABLE: 80, CANDIDATE: 20}) == {"name": "fraud"}


@pytest.mark.parametrize("weights", [{STABLE: 100}, {STABLE: 80, CANDIDATE: 20}, {CANDIDATE: 33, STABLE: 67}])
def test_it_is_read_as_it_was_written(weights: dict[str, int]) -> None:
    found = router(service(weights, "3 failed")).read(rollout())
    assert found is not None
    assert (found.split, list(found.weights)) == (Split(weights), list(weights))
    assert (found.current, found.accepted, found.latch) == (True, True, "3 failed")


@pytest.mark.parametrize(
    "note",
    [None, "", "{", "[]", "7", "{}", '{"weights":{}}', '{"weights":[],"port":1}', '{"weights":{"a":"b"},"port":1}'],
)
def test_an_annotation_that_others_spoilt_is_a_difference(note: str | None) -> None:
    for weights, selected in (({STABLE: 100}, {STABLE: 100}), ({STABLE: 80, CANDIDATE: 20}, {})):
        raw = service(weights)
        raw["metadata"]["annotations"] = {} if note is None else {SPLIT_ANNOTATION: note}
        found = router(raw).read(rollout())
        assert found is not None
        assert (found.split, found.current, found.accepted) == (Split(selected), False, False)


def test_a_selector_counts_more_than_the_annotation() -> None:
    raw = service({STABLE: 100})
    raw["spec"]["selector"]["modelrollout.dev/revision"] = CANDIDATE
    found = router(raw).read(rollout())
    assert found is not None
    assert (found.split, found.current) == (Split({CANDIDATE: 100}), False)


def test_what_its_owner_adds_is_no_difference() -> None:
    raw = service({STABLE: 100})
    raw["spec"]["ports"].append({"name": "grpc", "port": 81, "protocol": "TCP", "targetPort": 9000})
    raw["spec"] |= {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}
    found = router(raw).read(rollout())
    assert found is not None
    assert found.current


def test_the_service_of_another_rollout_is_none_of_ours() -> None:
    raw = service({STABLE: 100})
    raw["metadata"]["labels"]["modelrollout.dev/name"] = "other"
    assert router(raw).read(rollout()) is None


def test_the_annotation_is_short() -> None:
    note = service({STABLE: 80, CANDIDATE: 20})["metadata"]["annotations"][SPLIT_ANNOTATION]
    assert json.loads(note) == {"weights": {STABLE: 80, CANDIDATE: 20}, "port": 8080}
