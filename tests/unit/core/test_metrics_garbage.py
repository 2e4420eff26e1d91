"""Whatever a provider answers: no crash, no state that cannot be kept, nothing decided out of garbage."""

import math
import random
from collections.abc import Sequence

import pytest

from modelrollout.api.status import Status, VerdictKind
from modelrollout.core.evidence.judge import Question, judge
from modelrollout.core.evidence.windows import Past, Reading, Series
from tests.unit.core.feeding import analysis

METRICS = {
    "errors": {"name": "errors"},
    "latency": {"name": "latency"},
    "predictions": {"name": "predictions"},
    "inputs": {"name": "inputs"},
    "agreement": {"name": "agreement"},
    "quality": {"name": "quality"},
    "slo": {"name": "slo", "maxErrorRate": "5%"},
    "queue": {"name": "queue", "query": "max(x)", "max": 1},
    "gpu": {"name": "gpu", "query": 'avg(x{pod="{service}"})'},
}
INSTANTS = tuple(range(0, 75, 15))
NONSENSE = (None, math.nan, -1.0, -1e300)
VALUES = (*NONSENSE, 0.0, 1.0, 2.5, 1e3, 1e7, 1e8)
BOUNDS = (None, -1.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.0, math.inf)


def side(rng: random.Random, values: Sequence[float | None]) -> tuple[Series, ...]:
    return tuple(
        Series(
            bad=rng.random() < 0.5,
            le=rng.choice(BOUNDS),
            source=rng.choice("ab"),
            values=tuple(rng.choice(values) for _ in INSTANTS),
            part=rng.choice(("", "f", "g")),
            cohort=rng.choice((None, 0, 15, 30, 10**12)),
        )
        for _ in range(rng.randrange(15))
    )


def reading(rng: random.Random, values: Sequence[float | None]) -> Reading:
    past = Past(INSTANTS, side(rng, values)) if rng.random() < 0.5 else None
    return Reading(INSTANTS, side(rng, values), side(rng, values), past=past)


@pytest.mark.parametrize("name", METRICS)
def test_anything_can_be_read(name):
    spec = analysis(METRICS[name])
    for seed in range(60):
        rng, verdicts, since = random.Random(seed), [], 0  # noqa: S311 - garbage
        for _ in range(3):
            found = judge(Question(spec, verdicts, {name: reading(rng, VALUES)}, since, 20, 5))
            for verdict in found.verdicts:
                assert math.isfinite(float(verdict.harm))
                assert len(verdict.evidence) <= 300
            verdicts = Status.model_validate_json(Status(verdicts=list(found.verdicts)).model_dump_json()).verdicts
            since = rng.choice((0, found.end))


@pytest.mark.parametrize("name", METRICS)
def test_nothing_follows_from_nonsense(name):
    for seed in range(30):
        rng = random.Random(seed)  # noqa: S311 - garbage
        found = judge(Question(analysis(METRICS[name]), [], {name: reading(rng, NONSENSE)}, 0, 20, 5))
        assert found.blamed is None or name == "queue"
        if name not in {"inputs", "quality", "queue", "gpu"}:
            assert found.worst is VerdictKind.NO_DATA
