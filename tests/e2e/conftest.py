"""Stories in the lab, and what to print when one goes wrong."""

import os
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.paths import GATEWAY
from xdist.scheduler import LoadScopeScheduling

from tests.support.cells import Cell
from tests.support.kube import Kube, KubeError
from tests.support.lab import LabDown, connected, eventually
from tests.support.story import LABEL, Story

Begin = Callable[..., Story]
APART = ("test_grpc.py", "test_people.py", "test_routes.py", "test_strategies.py")
"""Files whose tests share no rollout, so that each may run in a worker of its own."""
LONGEST = (
    "test_canary.py",
    "test_evidence.py",
    "test_good_version.py",
    "test_models.py",
    "test_grpc.py",
    "test_strategies.py",
    "test_routes.py",
)
"""What takes minutes begins first, so that no worker is left alone with it in the end."""


class Stories(LoadScopeScheduling):
    """Hands tests to workers: a whole file, because its tests look at the same rollouts, or one of a file apart."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.endswith(APART) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # by the number of tests, which says little of how long they take
    return Stories(config, log)


@pytest.fixture(scope="session")
def lab() -> Iterator[Kube]:
    try:
        with connected() as kube:
            for left in kube.list("Namespace", api="v1", labels=LABEL):
                if not _runs(left["metadata"]["labels"][LABEL]):
                    kube.delete("Namespace", left["metadata"]["name"], api="v1")
            yield kube
            return
    except LabDown as down:
        why = str(down)
    pytest.fail(why, pytrace=False)


def _runs(process: str) -> bool:
    """Say whether the process that began a story still runs; others run stories beside ours."""
    return process.isdigit() and Path(f"/proc/{process}").exists()


@pytest.fixture(scope="module")
def begin(lab: Kube) -> Iterator[Begin]:
    """Begin a story, by its first version; `before` is called with it when there is but its namespace."""
    begun: list[Story] = []

    def run(
        name: str,
        version: dict[str, object] | None = None,
        cell: Cell | None = None,
        before: Callable[[Story], None] | None = None,
        **spec: object,
    ) -> Story:
        namespace = f"e2e-{name}-{secrets.token_hex(2)}"
        labels = {LABEL: str(os.getpid())}
        lab.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        begun.append(Story(lab, namespace, dict(spec), cell))
        if before is not None:
            before(begun[-1])
        begun[-1].release(1, **(version or {}))
        return begun[-1]

    yield run
    for story in begun:
        with suppress(KubeError):
            lab.delete("Namespace", story.namespace, api="v1")
    for story in begun:
        for load in (story.load, *story.others):
            if load is not None:
                load.reader.join(timeout=40)  # its pod goes with the namespace


@pytest.fixture(scope="session")
def served() -> Callable[[Story], None]:
    """Wait until version 1 of a story serves through the gateway."""

    def wait(story: Story) -> None:
        story.until(90, phase="Promoted")
        with httpx.Client(base_url=GATEWAY, trust_env=False, timeout=5, headers={"Host": story.host}) as client:
            answers = lambda: client.get("/v2/models/fraud").is_success  # noqa: E731
            eventually(f"the gateway answers for {story.host}", answers, 30, story.diagnosis)

    return wait


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when != "teardown":
        values = getattr(item, "funcargs", {}).values()
        for story in (value for value in values if isinstance(value, Story)):
            with suppress(KubeError, httpx.TransportError):
                report.sections.append((f"story {story.namespace}", story.diagnosis()))
    return report
