"""Model servers as processes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.model_server.process import Start, starting
from tests.support.requests import for_two_rows


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a server with these variables; it ends with the test."""
    with starting() as run:
        yield run


@pytest.fixture
def body() -> dict[str, Any]:
    """Return a good request for two rows."""
    return for_two_rows()
