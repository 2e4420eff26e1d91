"""Contract tests speak to a real API server: one for the whole run, a fresh namespace for each test."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from modelrollout.adapters.kubernetes.client import Api
from tests.support.apiserver import missing_assets, running
from tests.support.kube import Kube

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.contract)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """Yield an API server with our resource definition and those of every router; see tests.support.kube."""
    missing = missing_assets()
    if missing:
        pytest.fail(missing, pytrace=False)
    with running(tmp_path_factory.mktemp("apiserver")) as kube:
        yield kube


@pytest.fixture
def namespace(api: Kube) -> str:
    """Return a namespace that no other test uses; it stays, for nothing here could finish its deletion."""
    name = f"test-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest_asyncio.fixture
async def connection(api: Kube) -> AsyncIterator[Api]:
    """Yield our own connection to it."""
    async with await Api.connect(str(api.kubeconfig)) as connected:
        yield connected
