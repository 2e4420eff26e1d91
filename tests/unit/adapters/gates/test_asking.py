"""Hooks over TLS: the connection goes to the address that was looked at, the certificate must be of the name."""

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web

from modelrollout.adapters.gates.asking import NoConnection, Question, ask, client
from tests.unit.adapters.gates.stage import LOCAL

NAME = "checks.example.com"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def port(authority: trustme.CA) -> AsyncIterator[int]:
    """Serve as NAME, on loopback; answers with the host that it was asked for."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=request.host)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(context)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOCAL, 0, ssl_context=context)
    await site.start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_the_address_is_asked_and_the_name_is_checked(authority: trustme.CA, port: int) -> None:
    async with client(verify=trusting(authority)) as http:
        question = Question("POST", f"https://{NAME}:{port}/check", b"{}")
        answer = await ask(http, question, 10.0, 100, LOCAL)
        assert (answer.status, answer.content) == (200, f"{NAME}:{port}".encode())


async def test_another_name_is_not_taken(authority: trustme.CA, port: int) -> None:
    async with client(verify=trusting(authority)) as http:
        with pytest.raises(NoConnection, match="certificate is not trusted"):
            await ask(http, Question("POST", f"https://other.example.com:{port}/"), 10.0, 100, LOCAL)


async def test_an_unknown_authority_is_not_trusted(port: int) -> None:
    async with client() as http:
        with pytest.raises(NoConnection, match="SSL_CERT_FILE"):
            await ask(http, Question("POST", f"https://{NAME}:{port}/"), 10.0, 100, LOCAL)
