"""The model and the faults are the same on every run."""

import itertools
import math
from array import array

import pytest

from model_server.evaluators.trees import from_json
from model_server.faults import JITTER, Faults
from model_server.model import built_in
from model_server.signals.requests import buckets


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ([0.0, 0.0, 0.0, 0.0], -2.1 - 0.55 + 0.15 - 0.35 + 0.95 + 0.0),
        ([180.0, 6.0, 365.0, 3.0], -2.1 + 0.4 - 0.2 + 0.7 - 0.6 + 0.0),
        ([950.0, 3.0, 5.0, 6.0], -2.1 + 1.35 + 0.85 + 1.6 + 0.95 + 0.75),
    ],
)
def test_the_built_in_model_sums_its_trees(row: list[float], score: float) -> None:
    assert built_in().evaluator.predict(array("d", row), 1) == [pytest.approx(1 / (1 + math.exp(-score)))]


def test_a_value_equal_to_the_split_counts_as_above() -> None:
    tree = {"feature": "x", "at": 1, "below": -100, "above": 100}
    model = from_json({"bias": 0, "trees": [tree]}, ["x"])
    assert [round(p) for p in model.predict(array("d", [0.5, 1.0, 2.0]), 3)] == [0, 1, 1]


def test_a_seed_fixes_the_faults_and_latency_does_not_move_the_errors() -> None:
    fast, again, slow = Faults(0, 0.3, 7), Faults(0, 0.3, 7), Faults(50, 0.3, 7)
    delays = [slow.delay() for _ in range(1000)]
    errors = [fast.fails() for _ in range(1000)]
    assert errors == [again.fails() for _ in range(1000)] == [slow.fails() for _ in range(1000)]
    assert 250 < sum(errors) < 350
    assert 0.05 * (1 - JITTER) <= min(delays) < 0.046
    assert 0.054 < max(delays) <= 0.05 * (1 + JITTER)
    assert errors != [Faults(0, 0.3, 8).fails() for _ in range(1000)]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, False), (1.0, True)])
def test_the_ends_of_the_error_rate_are_exact(rate: float, expected: bool) -> None:
    faults = Faults(0, rate, 1)
    assert all(faults.fails() is expected for _ in range(1000))


def test_buckets_are_geometric_from_a_millisecond_to_ten_seconds() -> None:
    bounds = [bound for bound in buckets() if bound >= 0.001]
    assert (bounds[0], bounds[-1]) == (0.001, 10.0)
    assert all(1 < high / low <= 1.2505 for low, high in itertools.pairwise(bounds))
    assert buckets()[:4] == [0.0001, 0.0002, 0.0004, 0.0008]
