"""What is remembered of gateways, and for how long."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.adapters.routers.features import FRESH, Features, supported
from modelrollout.ports import TerminalError, TransientError

PUBLIC = ("gateway", "public")


class Server(Api):
    """An API server of one Gateway and its class, which counts what it is asked."""

    def __init__(self, *features: str) -> None:
        self.features = features
        self.asked: list[str] = []
        self.fails: Exception | None = None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        self.asked.append(resource.kind)
        if self.fails is not None:
            raise self.fails
        if resource.kind == "Gateway":
            return {"spec": {"gatewayClassName": "edge"}}
        assert (namespace, name) == (None, "edge")
        return {"status": {"supportedFeatures": [{"name": feature} for feature in self.features]}}


class Watch:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_class_is_read_once_and_again_when_it_is_old() -> None:
    server, clock = Server("HTTPRoute"), Watch()
    features = Features(server, clock)
    assert features.lacking([PUBLIC], "Mirror") is None
    await features.learn([PUBLIC, PUBLIC])
    await features.learn([PUBLIC])
    assert server.asked == ["Gateway", "GatewayClass"]
    assert features.lacking([PUBLIC], "Mirror") == "GatewayClass edge (of Gateway gateway/public)"
    assert features.lacking([PUBLIC], "HTTPRoute") is None

    server.features, clock.now = ("HTTPRoute", "Mirror"), FRESH
    assert features.lacking([PUBLIC], "Mirror") is not None
    await features.learn([PUBLIC])
    assert features.lacking([PUBLIC], "Mirror") is None


@pytest.mark.parametrize("error", [NotFound("gone"), TerminalError("forbidden")])
async def test_what_cannot_be_seen_is_not_known_and_not_asked_for_at_once(error: Exception) -> None:
    server, clock = Server(), Watch()
    server.fails = error
    features = Features(server, clock)
    await features.learn([PUBLIC])
    await features.learn([PUBLIC])
    assert server.asked == ["Gateway"]
    assert features.lacking([PUBLIC], "Mirror") is None


async def test_no_answer_leaves_what_was_known() -> None:
    server, clock = Server("HTTPRoute"), Watch()
    features = Features(server, clock)
    await features.learn([PUBLIC])
    server.fails, clock.now = TransientError("no answer"), FRESH
    await features.learn([PUBLIC])
    assert features.lacking([PUBLIC], "Mirror") is not None


@pytest.mark.parametrize(
    ("status", "features"),
    [
        ({}, None),
        ({"supportedFeatures": []}, None),
        ({"supportedFeatures": [{"name": "HTTPRoute"}]}, {"HTTPRoute"}),
        ({"supportedFeatures": ["HTTPRoute"]}, {"HTTPRoute"}),
    ],
)
def test_a_class_that_tells_nothing_may_be_able_to_do_all(status: dict[str, Any], features: set[str] | None) -> None:
    assert supported({"status": status}) == features
