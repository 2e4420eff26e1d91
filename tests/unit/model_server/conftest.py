"""A model server inside the test's process, spoken to over ASGI."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from model_server.app import App
from model_server.engine import State
from model_server.model import built_in
from model_server.settings import Settings
from tests.support.requests import for_two_rows

Client = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Return a function that starts a server with these settings and gives a client for it."""
    clients: list[httpx.AsyncClient] = []

    def start(state: State | None = None, **settings: Any) -> httpx.AsyncClient:
        app = App(Settings(**settings), built_in(), state or State(loaded=True))
        transport = httpx.ASGITransport(app)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://server"))
        return clients[-1]

    yield start
    for each in clients:
        await each.aclose()


@pytest.fixture
def body() -> dict[str, Any]:
    """Return a good request for two rows."""
    return for_two_rows()
