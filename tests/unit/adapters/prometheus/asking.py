"""Rollouts, series and readings for tests of the adapter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.metrics import PrometheusMetrics
from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Key
from tests.unit.adapters.prometheus.serving import Answer, Fake, Form, prometheus

WINDOW = 15
UNTIL = 1_800_000_000
SINCE = UNTIL - WINDOW
STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
FRAUD, CHURN = Key("prod", "fraud"), Key("prod", "churn")
PRESETS = Presets.installed()

Respond = Callable[[Form], Answer]
Watches = Mapping[Key, tuple[ModelRollout, Watch]]


def watched(
    key: Key,
    *metrics: str | dict[str, Any],
    preset: str = "model-server",
    since: int = SINCE,
    past: tuple[str, ...] = (),
    **analysis: Any,
) -> tuple[ModelRollout, Watch]:
    """Return a rollout that watches these metrics, by name or as in its spec."""
    written = [{"name": metric} if isinstance(metric, str) else metric for metric in metrics]
    rollout = ModelRollout.model_validate(
        {
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": {
                "template": {"spec": {"containers": [{"name": "model", "image": "model:1"}]}},
                "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
                "strategy": {"type": "Shadow"},
                "analysis": {"preset": preset, "metrics": written, **analysis},
            },
        }
    )
    return rollout, Watch(STABLE, CANDIDATE, since, tuple(metric["name"] for metric in written), past)


def pod(key: Key, revision: str, number: int = 1) -> str:
    """Return a pod's name."""
    return f"{key.name}-{revision}-7d9f8b6c5-x2x4{number}"


def of_pod(
    key: Key, revision: str, name: str, *values: object, at: int = SINCE, number: int = 1, **labels: str
) -> dict[str, Any]:
    """Return a series that a pod exports."""
    samples = [[at + index * WINDOW, value] for index, value in enumerate(values) if value is not None]
    metric = {"__name__": name, "namespace": key.namespace, "pod": pod(key, revision, number), **labels}
    return {"metric": metric, "values": samples}


async def read(
    respond: Respond,
    watches: Watches,
    *,
    access: Access | None = None,
    allow: Sequence[str] = (),
    count: Callable[[str], None] = lambda _: None,
) -> tuple[Mapping[Key, Mapping[str, Reading]], Fake]:
    """Read from a scripted Prometheus; `{url}` in `allow` stands for its address."""
    with prometheus(respond) as fake:
        metrics = PrometheusMetrics(
            fake.url,
            window=WINDOW,
            count=count,
            presets=PRESETS,
            access=access,
            allow=[one.replace("{url}", fake.url) for one in allow],
        )
        try:
            return await metrics.read(watches, UNTIL), fake
        finally:
            metrics.close()
