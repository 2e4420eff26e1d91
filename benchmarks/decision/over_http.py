"""Rendered counters through HTTP: a Prometheus of canned answers, read by the operator's own adapter."""

import asyncio
from typing import Any, Final

from tests.unit.adapters.prometheus.serving import Answer, Form, matrix, prometheus

from benchmarks.decision.rendering import START, Rendered
from benchmarks.decision.targets import WINDOW
from modelrollout.adapters.prometheus.metrics import PrometheusMetrics
from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Analysis
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Past, Reading
from modelrollout.ports import Key

KEY: Final = Key("bench", "model")
STABLE, CANDIDATE = "aaaaaaaaaa", "bbbbbbbbbb"


def read(rendered: Rendered, analysis: Analysis) -> Rendered:
    """Return what the adapter makes of the counters, read over HTTP in one query."""
    with prometheus(lambda form: _answer(rendered, form)) as fake:
        metrics = PrometheusMetrics(fake.url, window=WINDOW)
        try:
            reading = asyncio.run(_read(metrics, analysis, rendered.instants[-1]))
        finally:
            metrics.close()
    if reading.error is not None:
        raise RuntimeError(f"the adapter could not read what was rendered: {reading.error}")
    return Rendered(reading.instants, reading.stable, reading.candidate, reading.past or Past())


async def _read(metrics: PrometheusMetrics, analysis: Analysis, until: int) -> Reading:
    rollout = ModelRollout.model_validate(
        {
            "metadata": {"name": KEY.name, "namespace": KEY.namespace},
            "spec": {
                "template": {"spec": {"containers": [{"name": "model", "image": "model:1"}]}},
                "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
                "analysis": analysis.model_dump(by_alias=True, exclude_none=True),
            },
        }
    )
    watch = Watch(STABLE, CANDIDATE, START, ("errors",), ("errors",))
    return (await metrics.read({KEY: (rollout, watch)}, until))[KEY]["errors"]


def _answer(rendered: Rendered, form: Form) -> Answer:
    start, end, step = (round(float(form[name])) for name in ("start", "end", "step"))
    asked = range(start, end + 1, step)
    held: dict[tuple[str, bool, str], dict[int, float]] = {}
    for revision, side, instants in (
        (STABLE, rendered.past.stable, rendered.past.instants),
        (STABLE, rendered.stable, rendered.instants),
        (CANDIDATE, rendered.candidate, rendered.instants),
    ):
        for one in side:
            values = held.setdefault((revision, one.bad, one.source), {})
            values |= {at: v for at, v in zip(instants, one.values, strict=True) if v is not None and at in asked}
    return matrix(*(_series(*labels, values) for labels, values in held.items() if values))


def _series(revision: str, bad: bool, source: str, values: dict[int, float]) -> dict[str, Any]:
    service = (
        f"httproute-{KEY.namespace}-{KEY.name}-gw-gateway-public-ep-web-0-0123456789abcdef0123"
        f"-svc-{KEY.namespace}-{KEY.name}-{revision}-0@kubernetesgateway"
    )
    labels = {"code": "500" if bad else "200", "instance": source, "service": service}
    return {"metric": labels, "values": [[at, f"{value:.0f}"] for at, value in sorted(values.items())]}
