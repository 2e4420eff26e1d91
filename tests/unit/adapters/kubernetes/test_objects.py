"""The objects that a rollout becomes."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.objects import deployment, service, target_port
from modelrollout.api.resource import ModelRollout, parse
from modelrollout.ports import TerminalError
from tests.support.rollouts import REVISION, document, template


def rollout(port: int | str | None = None, **spec: Any) -> ModelRollout:
    raw = document("shop", **spec)
    if port is not None:
        raw["spec"]["traffic"]["port"] = port
    return parse(raw)


HTTP = {"name": "http", "containerPort": 8080}
GRPC = {"name": "grpc", "containerPort": 9000}
BARE = {"containerPort": 7000}


@pytest.mark.parametrize(
    ("wanted", "ports", "expected"),
    [
        (None, [GRPC, HTTP], "http"),
        (None, [GRPC, BARE], 9000),
        (None, [BARE], 7000),
        (9000, [HTTP], 9000),
        ("grpc", [HTTP, GRPC], "grpc"),
        (5000, [], 5000),
    ],
    ids=["named http", "first", "without a name", "by number", "by name", "number that is not listed"],
)
def test_requests_go_to(wanted: int | str | None, ports: list[dict[str, Any]], expected: int | str) -> None:
    assert target_port(rollout(wanted), template(ports=ports)) == expected


def test_the_port_of_a_later_container_counts_too() -> None:
    pod = {"spec": {"containers": [{"name": "helper"}, {"name": "model", "ports": [HTTP]}]}}
    assert target_port(rollout(), pod) == "http"


def test_a_port_by_name_must_be_there() -> None:
    words = (
        r"ModelRollout shop/fraud: spec.traffic.port: .* named 'rest' \(named ports: http\); name a container port so"
    )
    with pytest.raises(TerminalError, match=words):
        target_port(rollout("rest"), template())


@pytest.mark.parametrize("pod", [{}, {"spec": None}, {"spec": {"containers": "x"}}, {"spec": {"containers": ["x"]}}])
def test_no_port_at_all_names_the_field_and_the_remedy(pod: dict[str, Any]) -> None:
    with pytest.raises(TerminalError, match=r"spec.template.spec.containers\[0\].ports: .* or give spec.traffic.port"):
        service(rollout(), REVISION, pod)


def test_labels_of_the_template_stay_and_ours_win() -> None:
    pod = {"metadata": {"labels": {"team": "risk", "modelrollout.dev/name": "x"}, "annotations": {"a": "b"}}}
    found = deployment(rollout(), REVISION, pod, 1)["spec"]["template"]["metadata"]
    assert found["labels"] == {"team": "risk", "modelrollout.dev/name": "fraud", "modelrollout.dev/revision": REVISION}
    assert found["annotations"] == {"a": "b"}


def test_the_template_itself_is_left_alone() -> None:
    pod = template()
    deployment(rollout(), REVISION, pod, 1)
    assert pod == template()


def test_the_deadline_is_in_seconds() -> None:
    def seconds(text: str) -> int:
        return int(
            deployment(rollout(progressDeadline=text), REVISION, template(), 1)["spec"]["progressDeadlineSeconds"]
        )

    assert [seconds(text) for text in ("90s", "1h")] == [90, 3600]
