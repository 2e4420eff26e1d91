"""Pods for a share of traffic: what a gateway needs, and what makes up the share where there is none."""

from typing import Any

import pytest

from modelrollout.api.resource import parse
from modelrollout.api.spec import Spec
from modelrollout.core.capacity import NEAR, Pods, lacking, pods_for, reachable_weights, share_of, weight_of
from tests.support.rollouts import document

GATEWAY: dict[str, Any] = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}}
SERVICE: dict[str, Any] = {"service": {}}


def spec(replicas: int, surge: int | str = "100%", floor: int | str = "25%", *, service: bool = False) -> Spec:
    strategy = {"surge": surge, "floor": floor}
    return parse(document("shop", replicas=replicas, traffic=SERVICE if service else GATEWAY, strategy=strategy)).spec


@pytest.mark.parametrize(
    ("value", "replicas", "pods"),
    [(0, 10, 0), (3, 10, 3), ("0%", 10, 0), ("25%", 10, 3), ("100%", 7, 7), ("1%", 1, 1)],
)
def test_shares_of_replicas_are_rounded_up(value: int | str, replicas: int, pods: int) -> None:
    assert share_of(value, replicas) == pods


@pytest.mark.parametrize(
    ("replicas", "surge", "floor", "weight", "pods"),
    [
        # Room for all: stable keeps everything, the candidate has at least two pods where stable has.
        (10, "100%", "25%", 0, Pods(10, 2)),
        (10, "100%", "25%", 5, Pods(10, 2)),
        (10, "100%", "25%", 25, Pods(10, 3)),
        (10, "100%", "25%", 50, Pods(10, 5)),
        (10, "100%", "25%", 100, Pods(10, 10)),
        (1, "100%", "25%", 5, Pods(1, 1)),
        # Little room: stable lets go as the candidate grows, down to the floor.
        (10, 2, "25%", 5, Pods(10, 2)),
        (10, 2, "25%", 50, Pods(7, 5)),
        (10, 2, "25%", 100, Pods(3, 9)),
        # No room, as with GPUs.
        (4, 0, "25%", 5, Pods(3, 1)),
        (4, 0, "25%", 50, Pods(2, 2)),
        (4, 0, "25%", 100, Pods(1, 3)),
        (4, 0, "75%", 100, Pods(3, 1)),
        (2, 0, "25%", 100, Pods(1, 1)),
        # A floor of 0 still leaves one to take over.
        (4, 0, 0, 100, Pods(1, 3)),
        (1, 0, "25%", 100, Pods(1, 0)),
        (4, 0, "100%", 50, Pods(4, 0)),
        (0, "100%", "25%", 50, Pods(0, 0)),
    ],
)
def test_pods_behind_a_gateway(replicas: int, surge: int | str, floor: int | str, weight: int, pods: Pods) -> None:
    assert pods_for(spec(replicas, surge, floor), weight) == pods


@pytest.mark.parametrize(
    ("replicas", "surge", "weight", "pods", "share"),
    [
        (10, "100%", 9, Pods(10, 1), 9),
        (10, "100%", 10, Pods(10, 1), 9),
        (10, "100%", 20, Pods(9, 2), 18),
        (10, "100%", 25, Pods(10, 3), 23),
        (10, "100%", 50, Pods(10, 10), 50),
        (10, "100%", 80, Pods(3, 10), 77),
        (20, "100%", 5, Pods(20, 1), 5),
        (4, "100%", 20, Pods(4, 1), 20),
        (4, "100%", 25, Pods(3, 1), 25),
        # The pods of both together stay within replicas and surge.
        (10, 0, 10, Pods(9, 1), 10),
        (10, 0, 50, Pods(5, 5), 50),
        (4, 0, 25, Pods(3, 1), 25),
        (4, 0, 75, Pods(1, 3), 75),
        (10, 2, 50, Pods(6, 6), 50),
        # What cannot be made up comes as near as it can; the router refuses it.
        (2, "100%", 5, Pods(2, 1), 33),
        (1, "100%", 5, Pods(1, 1), 50),
        (4, 0, 5, Pods(3, 1), 25),
        # All or nothing is no matter of ratios.
        (4, "100%", 100, Pods(4, 4), 50),
        (4, 0, 100, Pods(1, 3), 75),
        (4, "100%", 0, Pods(4, 1), 20),
        (1, 0, 50, Pods(1, 0), 0),
        (0, "100%", 50, Pods(0, 0), 0),
    ],
)
def test_pods_that_make_up_the_share(replicas: int, surge: int | str, weight: int, pods: Pods, share: int) -> None:
    found = pods_for(spec(replicas, surge, service=True), weight)
    assert (found, weight_of(found)) == (pods, share)


SURGES: tuple[int | str, ...] = (0, 1, "25%", "50%", "100%")
FLOORS: tuple[int | str, ...] = (0, 1, "25%", "50%", "100%")


@pytest.mark.parametrize("service", [False, True], ids=["gateway", "service"])
@pytest.mark.parametrize("surge", SURGES)
@pytest.mark.parametrize("floor", FLOORS)
def test_pods_stay_in_bounds_and_the_candidate_never_shrinks(surge: int | str, floor: int | str, service: bool) -> None:
    for replicas in (1, 2, 3, 4, 5, 7, 10, 16, 33):
        one = spec(replicas, surge, floor, service=service)
        most, least = replicas + share_of(surge, replicas), max(1, share_of(floor, replicas))
        before = 0
        for weight in range(1, 101):
            pods = pods_for(one, weight)
            assert least <= pods.stable <= replicas
            assert 0 <= pods.candidate <= replicas
            assert min(most, replicas) <= pods.stable + pods.candidate <= most
            assert before <= pods.candidate
            before = pods.candidate
        assert (before == 0) == (lacking(one) is not None)


@pytest.mark.parametrize("surge", SURGES)
def test_default_weights_rise_and_can_be_made_up(surge: int | str) -> None:
    for replicas in range(1, 60):
        one = spec(replicas, surge, service=True)
        if lacking(one):
            continue
        weights = reachable_weights(one)
        assert list(weights) == sorted(set(weights))
        assert 0 < weights[0] <= weights[-1] <= 50
        for weight in weights:
            assert abs(weight_of(pods_for(one, weight)) - weight) <= NEAR


def test_what_leaves_no_pod_says_what_helps() -> None:
    assert lacking(spec(4, 0)) is None
    words = "surge 0 and floor 100% of 4 replicas leave no pod for a candidate; raise surge or replicas"
    assert words in str(lacking(spec(4, 0, "100%")))
