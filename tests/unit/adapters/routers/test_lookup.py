"""Routers are found by the field of `spec.traffic` that chooses them, also those of other packages."""

from pathlib import Path

import pytest

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import GRPC_ROUTES, HTTP_ROUTES
from modelrollout.adapters.routers import Routers, installed
from modelrollout.adapters.routers.gateway_api import GatewayApiRouter
from modelrollout.adapters.routers.several import Several
from modelrollout.api.resource import parse
from modelrollout.ports import TerminalError
from tests.support.rollouts import document


class Idle:
    """A client that is never asked for anything."""

    user_agent = ""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install another package with a router that takes the place of ours."""
    (tmp_path / "their_router.py").write_text(
        "from modelrollout.adapters.kubernetes.resources import Resource\n"
        "class Theirs:\n"
        "    resources = (Resource('their.example/v1', 'Path', 'paths'),)\n"
        "    def __init__(self, api, routes): pass\n"
    )
    info = tmp_path / "their_router-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-router\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelrollout.routers]\ngatewayAPI = their_router:Theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def routers(*enabled: str) -> Routers:
    return Routers(Api(Idle()), Routes(lambda _: None), enabled or None)


def test_what_is_built_in_is_there_without_being_named() -> None:
    assert installed() == ("gatewayAPI", "istio", "service", "traefik")


def test_the_gateway_api_is_built_in() -> None:
    found = routers("gatewayAPI")
    assert isinstance(found.router_for(parse(document("shop"))), GatewayApiRouter)
    assert found.resources == (HTTP_ROUTES, GRPC_ROUTES)


@pytest.mark.usefixtures("package")
def test_another_package_brings_its_own() -> None:
    found = routers("gatewayAPI")
    assert type(found.router_for(parse(document("shop")))).__name__ == "Theirs"
    assert [resource.plural for resource in found.resources] == ["paths"]


def test_a_router_that_is_not_installed_is_named() -> None:
    wanted = document("shop", traffic={"plugin": {"name": "theirs"}})
    with pytest.raises(TerminalError, match=r"ModelRollout shop/fraud: spec.traffic: router theirs is not installed"):
        routers().router_for(parse(wanted))


def test_a_router_that_is_not_enabled_is_named() -> None:
    found = routers("service")
    with pytest.raises(TerminalError, match=r"router gatewayAPI is not enabled; add it to the operator's --router"):
        found.router_for(parse(document("shop")))


def test_several_are_one() -> None:
    traffic = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}, "istio": {"hosts": ["fraud.shop.svc"]}}
    assert isinstance(routers().router_for(parse(document("shop", traffic=traffic))), Several)
    with pytest.raises(TerminalError, match="router istio is not enabled"):
        routers("gatewayAPI").router_for(parse(document("shop", traffic=traffic)))
