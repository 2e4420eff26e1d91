"""The watch of ModelRollouts, kept by kopf, on a real API server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.base import API_VERSION, KIND
from modelrollout.ports import Key
from modelrollout.runtime.rollouts import RolloutWatch
from modelrollout.runtime.store import RolloutStore
from tests.contract.operator_story import rollout
from tests.support.kube import Kube


@dataclass
class Story:
    """A running watch and what it told."""

    watch: RolloutWatch
    store: RolloutStore
    changed: list[Key]
    gone: list[Key]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def watching(api: Kube, namespace: str) -> AsyncIterator[Story]:
    """Watch for the length of a block; no fixture, for kopf ends every task that is younger than itself."""
    store = RolloutStore()
    changed: list[Key] = []
    gone: list[Key] = []
    async with await Api.connect(str(api.kubeconfig)) as connection:
        watch = RolloutWatch(connection, store, (namespace,), changed=changed.append, gone=gone.append)
        task = asyncio.create_task(watch.run())
        found = Story(watch, store, changed, gone)
        await found.until(lambda: watch.synced)
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_it_tells_what_came_changed_and_went(api: Kube, namespace: str) -> None:
    async with watching(api, namespace) as story:
        key = Key(namespace, "fraud")
        await asyncio.to_thread(api.apply, rollout(namespace))
        await story.until(lambda: story.changed == [key])
        await asyncio.to_thread(api.apply, rollout(namespace, "model:2"))
        await story.until(lambda: story.changed == [key, key])
        raw = story.store.raw(key)
        assert raw is not None
        assert raw["spec"]["template"]["spec"]["containers"][0]["image"] == "model:2"
        await asyncio.to_thread(api.delete, KIND, "fraud", api=API_VERSION, namespace=namespace)
        await story.until(lambda: story.gone == [key])
        assert len(story.store) == 0


async def test_it_writes_nothing_into_the_objects(api: Kube, namespace: str) -> None:
    async with watching(api, namespace) as story:
        made = await asyncio.to_thread(api.apply, rollout(namespace))
        await story.until(lambda: bool(story.changed))
        await asyncio.to_thread(api.delete, KIND, "fraud", api=API_VERSION, namespace=namespace)
        await story.until(lambda: bool(story.gone))
        assert story.changed == [Key(namespace, "fraud")], "no second version ever came"
        assert "finalizers" not in made["metadata"]


async def test_bytes_on_the_wire_count_as_life(api: Kube, namespace: str) -> None:
    async with watching(api, namespace) as story:
        await story.until(lambda: bool(story.watch.heard))
        ((name, before),) = story.watch.heard.items()
        assert namespace in name
        await asyncio.to_thread(api.apply, rollout(namespace))
        await story.until(lambda: story.watch.heard[name] > before)
