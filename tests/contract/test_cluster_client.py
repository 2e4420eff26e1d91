"""Refusals of the API server, and what we make of them."""

import socket
from pathlib import Path

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound, Unserved
from modelrollout.adapters.kubernetes.resources import CONFIG_MAPS, HTTP_ROUTES, Resource
from modelrollout.ports import TerminalError, TransientError
from tests.support.kube import Kube


def config(api: Kube, tmp_path: Path, old: str, new: str) -> str:
    """Write a kubeconfig with one part replaced."""
    path = tmp_path / "kubeconfig"
    path.write_text(api.kubeconfig.read_text().replace(old, new))
    return str(path)


@pytest.mark.parametrize("group", ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v9", "nowhere.io/v1"])
@pytest.mark.parametrize("verb", ["get", "list", "apply"])
async def test_a_kind_that_is_not_served_names_the_remedy(
    connection: Api, namespace: str, group: str, verb: str
) -> None:
    unknown = Resource(group, "HTTPPath", "httppaths", HTTP_ROUTES.remedy)
    body = {"apiVersion": group, "kind": "HTTPPath", "metadata": {"name": "x", "namespace": namespace}}
    calls = {
        "get": lambda: connection.get(unknown, namespace, "x"),
        "list": lambda: connection.list(unknown, None, {}),
        "apply": lambda: connection.apply(unknown, body),
    }
    with pytest.raises(Unserved, match=r"HTTPPath .* is unknown to the API server: install the Gateway API CRDs"):
        await calls[verb]()


async def test_an_absent_object_is_another_matter(connection: Api, namespace: str) -> None:
    with pytest.raises(NotFound, match=f"ConfigMap {namespace}/x: get refused"):
        await connection.get(CONFIG_MAPS, namespace, "x")


async def test_so_is_an_absent_namespace(connection: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "absent"}}
    with pytest.raises(NotFound, match="absent"):
        await connection.apply(CONFIG_MAPS, body)


async def test_a_token_that_ran_out_is_worth_another_try_and_is_never_shown(api: Kube, tmp_path: Path) -> None:
    async with await Api.connect(config(api, tmp_path, api.token, "not-a-token")) as connection:
        with pytest.raises(TransientError, match="Unauthorized") as caught:
            await connection.list(CONFIG_MAPS, None, {})
    assert "not-a-token" not in str(caught.value)


async def test_no_answer_is_worth_another_try_and_says_no_address(api: Kube, tmp_path: Path) -> None:
    counted: list[int] = []
    with socket.socket() as held:
        # Bound but not listening: nobody else can take the port, and nobody answers.
        held.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{held.getsockname()[1]}"
        async with await Api.connect(config(api, tmp_path, api.url, url)) as connection:
            connection.count = lambda _verb, _plural, code: counted.append(code)
            with pytest.raises(TransientError, match="configmaps of all namespaces: list: no answer") as caught:
                await connection.list(CONFIG_MAPS, None, {})
    assert "127.0.0.1" not in str(caught.value)
    assert counted == [0]


async def test_without_a_kubeconfig_the_text_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="set KUBECONFIG to a file that names a cluster"):
        await Api.connect(str(tmp_path / "absent"))
