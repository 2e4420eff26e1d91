"""Leader election on a real API server."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.runtime.lease import LEASES, NAME, Lease, LeaseLostError, LeaseTimes
from tests.support.kube import Kube, Object

QUICK = LeaseTimes(duration=1.0, deadline=0.7, renew=0.1, retry=0.1)


def spec(api: Kube, namespace: str) -> Object:
    found: Object = api.get("Lease", NAME, api=LEASES.api, namespace=namespace)["spec"]
    return found


def steal(api: Kube, namespace: str) -> None:
    thief = {"spec": {"holderIdentity": "somebody-else"}}
    api.patch("Lease", NAME, thief, api=LEASES.api, namespace=namespace)


async def test_the_first_holds_it_and_the_second_waits(api: Kube, connection: Api, namespace: str) -> None:
    first, second = (Lease(connection, namespace, identity=name, times=QUICK) for name in ("first", "second"))
    await first.acquire()
    assert first.held
    keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
    await asyncio.wait([keeping, waiting], timeout=1.5)
    assert not keeping.done()
    assert not waiting.done()
    assert spec(api, namespace)["holderIdentity"] == "first"

    keeping.cancel()
    await asyncio.wait([keeping])
    await first.release()
    assert not first.held
    async with asyncio.timeout(QUICK.duration):
        await waiting
    assert spec(api, namespace)["holderIdentity"] == "second"
    assert spec(api, namespace)["leaseTransitions"] == 1


async def test_a_holder_that_died_is_succeeded_after_its_time(connection: Api, namespace: str) -> None:
    first, second = (Lease(connection, namespace, identity=name, times=QUICK) for name in ("first", "second"))
    await first.acquire()
    async with asyncio.timeout(5):
        await second.acquire()
    assert second.held
    assert not first.held, "it knows by its own clock, without a word to the API server"


async def test_two_that_rush_do_not_both_hold_it(connection: Api, namespace: str) -> None:
    rivals = [Lease(connection, namespace, identity=f"rival-{turn}", times=QUICK) for turn in range(5)]
    tasks = [asyncio.create_task(rival.acquire()) for rival in rivals]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert sum(rival.held for rival in rivals) == 1
    for task in tasks:
        task.cancel()


async def test_a_stolen_lease_is_noticed(api: Kube, connection: Api, namespace: str) -> None:
    lease = Lease(connection, namespace, identity="me", times=QUICK)
    await lease.acquire()
    steal(api, namespace)
    with pytest.raises(LeaseLostError, match="somebody-else"):
        await lease.keep()


async def test_an_edit_by_a_person_is_no_loss(api: Kube, connection: Api, namespace: str) -> None:
    lease = Lease(connection, namespace, identity="me", times=QUICK)
    await lease.acquire()
    labels = {"metadata": {"labels": {"team": "ml"}}}
    api.patch("Lease", NAME, labels, api=LEASES.api, namespace=namespace)
    keeping = asyncio.create_task(lease.keep())
    await asyncio.wait([keeping], timeout=1.5)
    assert not keeping.done()
    assert lease.held
    keeping.cancel()


# aiohttp leaves connections whose handshake was cut to the garbage collector, which warns; it is made to do so here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_lease_that_cannot_be_renewed_is_given_up(api: Kube, namespace: str, tmp_path: Path) -> None:
    async with relay(urlsplit(api.url).port or 443) as (server, port):
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(api.kubeconfig.read_text().replace(api.url, f"https://127.0.0.1:{port}"))
        async with await Api.connect(str(kubeconfig)) as connection:
            lease = Lease(connection, namespace, identity="me", times=QUICK)
            await lease.acquire()
            server.cut()
            with pytest.raises(LeaseLostError, match="not renewed"):
                await lease.keep()
    gc.collect()


@dataclass
class Relay:
    """A network between us and the API server that can be cut."""

    target: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    whole: bool = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if not self.whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers.append(far_writer)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer), return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    def cut(self) -> None:
        self.whole = False
        for writer in self.writers:
            writer.transport.abort()

    async def over(self) -> None:
        """Wait until every connection is closed: nothing of this test may be left to the next."""
        self.cut()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


@contextlib.asynccontextmanager
async def relay(target: int) -> AsyncIterator[tuple[Relay, int]]:
    wire = Relay(target)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await wire.over()
        await server.wait_closed()
