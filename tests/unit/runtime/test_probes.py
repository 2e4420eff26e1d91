"""Probes over HTTP: what makes the operator ill or unready, and its metrics."""

from collections.abc import Mapping

import aiohttp
import pytest

from modelrollout.ports import Key
from modelrollout.runtime.health import LONGEST_SILENCE, LONGEST_STALL, Health
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.probes import application, serving
from modelrollout.runtime.store import RolloutStore
from tests.unit.runtime.virtual import run

NOW = 1000.0
"""The virtual loop begins here."""


@pytest.mark.parametrize(
    ("heard", "depth", "age", "reconciled", "ill"),
    [
        (0.0, 0, 0.0, 0.0, False),
        (LONGEST_SILENCE - 1, 0, 0.0, 0.0, False),
        (LONGEST_SILENCE + 1, 0, 0.0, 0.0, True),
        (0.0, 5, LONGEST_STALL + 1, LONGEST_STALL + 1, True),
        (0.0, 5, LONGEST_STALL + 1, 1.0, False),
        (0.0, 0, 0.0, 10 * LONGEST_STALL, False),
    ],
)
def test_illness(heard: float, depth: int, age: float, reconciled: float, ill: bool) -> None:
    async def story() -> str | None:
        health = Health(queue=lambda: (depth, age), watches=lambda: {"deployments": NOW - heard})
        health.last_reconcile = NOW - reconciled
        return health.illness()

    assert (run(story()) is not None) is ill


@pytest.mark.parametrize(
    ("standby", "leading", "unsynced", "words"),
    [
        (False, False, [], "waits for start"),
        (True, False, ["deployments"], None),
        (False, True, ["deployments", "httproutes"], "caches not complete: deployments, httproutes"),
        (False, True, [], None),
    ],
)
def test_readiness(standby: bool, leading: bool, unsynced: list[str], words: str | None) -> None:
    async def story() -> str | None:
        return Health(standby=standby, leading=leading, unsynced=lambda: unsynced).unreadiness()

    assert run(story()) == words


async def fetch(health: Health, metrics: OperatorMetrics, path: str) -> tuple[int, str, Mapping[str, str]]:
    app = application(health, metrics.registry)
    async with (
        serving(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text(), answer.headers


async def test_probes_answer_over_http() -> None:
    health, metrics = Health(), OperatorMetrics()
    assert (await fetch(health, metrics, "/healthz"))[:2] == (200, "ok\n")
    assert (await fetch(health, metrics, "/readyz"))[:2] == (503, "waits for start\n")


async def test_metrics_tell_of_rollouts_and_forget_deleted_ones() -> None:
    health, metrics, store = Health(), OperatorMetrics(), RolloutStore()
    metrics.observe(store, queue=lambda: (3, 1.5), leads=lambda: True, active=lambda: 1)
    metrics.counts_request("patch", "deployments", 200)
    metrics.counts_query("ok")
    raw = {
        "metadata": {"namespace": "ml", "name": "fraud", "uid": "u", "resourceVersion": "1"},
        "status": {
            "phase": "Progressing",
            "weights": {"stable": 80, "candidate": 20},
            "verdicts": [{"name": "errors", "verdict": "Pass"}],
        },
    }
    store.put(raw)
    _, text, headers = await fetch(health, metrics, "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    for line in (
        'modelrollout_info{name="fraud",namespace="ml",phase="Progressing"} 1.0',
        'modelrollout_weight{name="fraud",namespace="ml"} 20.0',
        'modelrollout_verdict{metric="errors",name="fraud",namespace="ml",verdict="Pass"} 1.0',
        "modelrollout_queue_depth 3.0",
        "modelrollout_queue_oldest_seconds 1.5",
        "modelrollout_leader 1.0",
        'modelrollout_api_requests_total{code="200",resource="deployments",verb="patch"} 1.0',
        'modelrollout_prometheus_queries_total{result="ok"} 1.0',
    ):
        assert line in text
    store.remove(Key("ml", "fraud"))
    _, text, _ = await fetch(health, metrics, "/metrics")
    assert "fraud" not in text
