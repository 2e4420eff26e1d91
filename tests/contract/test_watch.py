"""A reflector against a real API server, over a line that can be cut or fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from modelrollout.adapters.kubernetes import client, watch
from modelrollout.adapters.kubernetes.cache import Name, Workloads
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.configs import Configs
from modelrollout.adapters.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, ROLLOUTS, Resource
from modelrollout.adapters.kubernetes.watch import Reflector, Sink
from modelrollout.core.observed import Workload
from modelrollout.ports import Key
from tests.support.kube import Kube
from tests.support.rollouts import REVISION, container, document

LABEL = "modelrollout.dev/name"


class Line:
    """A TCP line to the API server that a test can cut or mute."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._writers: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Line"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.speak()
            self.cut()
            await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """End every connection; new ones are welcome."""
        while self._writers:
            self._writers.pop().transport.abort()

    def mute(self) -> None:
        """Keep connections, and deliver nothing more."""
        self._open.clear()

    def speak(self) -> None:
        """Deliver again."""
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(*self._target)
        self._writers += [writer, forth]
        self._tasks.update(
            asyncio.create_task(self._carry(source, sink)) for source, sink in ((reader, forth), (back, writer))
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
        writer.close()


class Recorder:
    """A sink that keeps what it was told, for tests to wait for."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.retained: list[set[str]] = []

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        self.events.put_nowait((kind, raw["metadata"]["name"]))

    def retain(self, names: Collection[Name]) -> None:
        self.retained.append({name for _, name in names})


class Setting:
    """A namespace with ConfigMaps, and a connection whose requests are counted."""

    def __init__(self, api: Kube, namespace: str, connection: Api, line: Line) -> None:
        self.api = api
        self.namespace = namespace
        self.connection = connection
        self.line = line
        self.lists = 0
        self._calls: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        connection.count = self._count

    def _count(self, verb: str, _plural: str, code: int) -> None:
        self.lists += verb == "list"
        self._calls.put_nowait((verb, code))

    async def answered(self, verb: str, code: int) -> None:
        """Wait for a request that was answered so; 0 is no answer."""
        while await self._calls.get() != (verb, code):
            pass

    def reflector(self, sink: Sink, resource: Resource = CONFIG_MAPS, **more: Any) -> Reflector:
        return Reflector(self.connection, resource, sink, namespace=self.namespace, selector=LABEL, **more)

    def put(self, name: str, labels: Mapping[str, str] | None = None, **data: str) -> None:
        meta = {"name": name, "namespace": self.namespace, "labels": labels or {LABEL: "fraud"}}
        self.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})

    def remove(self, name: str) -> None:
        self.api.delete("ConfigMap", name, api="v1", namespace=self.namespace)


@pytest_asyncio.fixture
async def setting(api: Kube, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    monkeypatch.setattr(watch, "BACKOFF", (0.02, 0.1))
    async with Line(api.url).running() as line:
        path = tmp_path / "kubeconfig"
        path.write_text(api.kubeconfig.read_text().replace(api.url, line.url))
        async with await Api.connect(str(path)) as connection:
            yield Setting(api, namespace, connection, line)


@contextlib.asynccontextmanager
async def following(reflector: Reflector) -> AsyncIterator[None]:
    """Run a reflector until the end of the block, from where it has seen everything."""
    task = asyncio.create_task(reflector.run())
    try:
        await reflector.synced.wait()
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_is_there_and_what_happens_is_told_in_order(setting: Setting) -> None:
    setting.put("there")
    setting.put("not-ours", {"other": "label"})
    sink = Recorder()
    async with following(setting.reflector(sink)):
        assert sink.events.get_nowait() == ("ADDED", "there")
        assert sink.retained == [{"there"}]
        setting.put("new")
        setting.put("new", level="high")
        setting.remove("there")
        told = [await sink.events.get() for _ in range(3)]
    assert told == [("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "there")]


async def test_a_long_list_comes_in_pages(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAGE", 2)
    names = {f"c{index}" for index in range(5)}
    for name in names:
        setting.put(name)
    sink = Recorder()
    async with following(setting.reflector(sink)):
        assert setting.lists == 3
    assert sink.retained == [names]
    assert {sink.events.get_nowait()[1] for _ in names} == names


async def test_after_a_cut_it_goes_on_where_it_was(setting: Setting) -> None:
    sink = Recorder()
    async with following(setting.reflector(sink)):
        setting.put("before")
        assert await sink.events.get() == ("ADDED", "before")
        for _ in range(3):
            setting.line.cut()
            setting.remove("before")
            setting.put("before")
            assert [await sink.events.get() for _ in range(2)] == [("DELETED", "before"), ("ADDED", "before")]
    assert setting.lists == 1
    assert len(sink.retained) == 1


async def test_a_line_that_fell_silent_is_given_up(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.5)
    sink = Recorder()
    reflector = setting.reflector(sink, silence=0.5)
    async with following(reflector):
        setting.put("before")
        assert await sink.events.get() == ("ADDED", "before")
        setting.line.mute()
        setting.put("meanwhile")
        await setting.answered("watch", 0)
        assert "no answer" in str(reflector.problem)
        heard = reflector.last_activity
        setting.line.speak()
        assert await sink.events.get() == ("ADDED", "meanwhile")
        assert reflector.last_activity > heard
    assert setting.lists == 1


async def test_a_version_that_is_too_old_leads_to_a_new_list(setting: Setting) -> None:
    def put(name: str) -> None:
        raw = document(setting.namespace)
        raw["metadata"] |= {"name": name, "labels": {LABEL: name}}
        setting.api.create(raw)

    put("there")
    sink = Recorder()
    reflector = setting.reflector(sink, ROLLOUTS)
    # The API server began to serve this kind long after its first version, and remembers none before.
    reflector.version = "1"
    async with following(reflector):
        assert sink.events.get_nowait() == ("ADDED", "there")
        assert sink.retained == [{"there"}]
        put("new")
        assert await sink.events.get() == ("ADDED", "new")
    assert setting.lists == 1


async def test_what_vanished_while_nobody_watched_is_forgotten(setting: Setting) -> None:
    keys: list[Key] = []
    workloads = Workloads(keys.append)
    workloads.event("ADDED", deployment(setting.namespace))
    assert workloads.of(Key(setting.namespace, "fraud"))
    async with following(setting.reflector(workloads, DEPLOYMENTS)):
        assert workloads.of(Key(setting.namespace, "fraud")) == {}
    assert keys == [Key(setting.namespace, "fraud")] * 2


async def test_a_kind_that_is_not_served_is_an_answer_too(setting: Setting) -> None:
    sink = Recorder()
    reflector = setting.reflector(sink, Resource("nowhere.example/v1", "Path", "paths", "install the paths"))
    async with following(reflector):
        assert sink.retained[0] == set()
        assert "install the paths" in str(reflector.problem)


async def test_a_right_that_is_missing_is_named_and_waited_for(setting: Setting) -> None:
    setting.connection._client.set_default_header("Impersonate-User", "watcher")  # a user without any right yet
    setting.put("there")
    sink = Recorder()
    reflector = setting.reflector(sink)
    task = asyncio.create_task(reflector.run())
    await setting.answered("list", 403)
    assert "to list configmaps" in str(reflector.problem)
    assert not reflector.synced.is_set()

    grant(setting.api, setting.namespace)
    assert await sink.events.get() == ("ADDED", "there")
    await reflector.synced.wait()
    task.cancel()


async def test_deployments_end_up_as_workloads(setting: Setting) -> None:
    keys: asyncio.Queue[Key] = asyncio.Queue()
    workloads = Workloads(keys.put_nowait)
    key = Key(setting.namespace, "fraud")
    name = f"fraud-{REVISION}"

    def status(generation: int, ready: int) -> None:
        patch = {"status": {"observedGeneration": generation, "replicas": 2, "readyReplicas": ready}}
        setting.api.patch("Deployment", name, patch, api="apps/v1", namespace=setting.namespace, sub="status")

    async def seen() -> Workload:
        assert await keys.get() == key
        return workloads.of(key)[REVISION]

    async with following(setting.reflector(workloads, DEPLOYMENTS)):
        setting.api.create(deployment(setting.namespace))
        assert (await seen()).desired == 2
        status(1, ready=2)
        assert (await seen()).ready == 2
        setting.api.patch("Deployment", name, {"spec": {"replicas": 3}}, api="apps/v1", namespace=setting.namespace)
        # Nobody has looked at this generation yet, so nothing is known of it.
        assert ((await seen()).ready, workloads.of(key)[REVISION].desired) == (0, 3)
        status(2, ready=2)
        assert (await seen()).ready == 2
        setting.api.delete("Deployment", name, api="apps/v1", namespace=setting.namespace)
        assert await keys.get() == key
        assert workloads.of(key) == {}


async def test_configuration_is_followed_by_its_digest(setting: Setting) -> None:
    keys: asyncio.Queue[Key] = asyncio.Queue()
    configs = Configs(keys.put_nowait)
    key = Key(setting.namespace, "fraud")
    template = {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}
    setting.put("settings", level="low")
    async with following(setting.reflector(configs.sink("configmap"))):
        first = configs.tracked(key, template)
        setting.put("settings", {LABEL: "fraud", "only": "labels"}, level="low")
        setting.put("settings", level="high")
        assert await keys.get() == key
        second = configs.tracked(key, template)
        setting.remove("settings")
        assert await keys.get() == key
    assert first.missing == second.missing == ()
    assert first.digests["configmap/settings"] != second.digests["configmap/settings"]
    assert keys.empty()
    assert configs.tracked(key, template).missing == ("configmap/settings",)


def deployment(namespace: str) -> dict[str, Any]:
    labels = {LABEL: "fraud", "modelrollout.dev/revision": REVISION}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"fraud-{REVISION}", "namespace": namespace, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def grant(api: Kube, namespace: str) -> None:
    """Let the user `watcher` follow ConfigMaps."""
    rbac = "rbac.authorization.k8s.io"
    meta = {"name": "watcher", "namespace": namespace}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
    api.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
    api.create(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "watcher"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "watcher"}],
        }
    )
