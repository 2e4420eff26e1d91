"""Information bounds, intervals and traffic of the benchmark of decisions."""

import math

import numpy as np
import pytest
from benchmarks.decision import bounds, traffic
from benchmarks.decision.intervals import bootstrap, median, p95
from benchmarks.decision.suite import State, rate_row, time_rows
from benchmarks.decision.targets import STEPS, degraded

from modelrollout.core.evidence.rates import Margin

SHARP = Margin(1.0, 0.0)


def test_bound_of_a_known_case():
    """Five times 0.1 % at 5 % of 100 requests a second: about 250 s to collect log(100) nats."""
    assert bounds.seconds(0.005, 0.001, 100.0, SHARP, STEPS) == pytest.approx(250.3, abs=0.1)


def test_bound_goes_on_over_the_steps_of_a_schedule():
    one = bounds.information(0.002, 0.001, 0.1, 100.0, SHARP)
    assert bounds.seconds(0.002, 0.001, 100.0, SHARP, ((0.1, 10.0), (0.1, 1e6))) == pytest.approx(math.log(100) / one)
    assert math.isinf(bounds.seconds(0.002, 0.001, 100.0, SHARP, ((0.1, 10.0),)))


@pytest.mark.parametrize("p_c", [0.0005, 0.00145])
def test_within_the_margin_there_is_no_information(p_c):
    assert bounds.information(p_c, 0.001, 0.05, 100.0, Margin(1.25, 0.0002)) == 0.0


def test_one_sample_bound_is_that_of_a_sequential_test():
    gain = 0.03 * math.log(1.5) + 0.97 * math.log(0.97 / 0.98)
    assert bounds.one_sample(0.03, 0.02, 1.0) == pytest.approx(math.log(100) / gain)
    assert math.isinf(bounds.one_sample(0.02, 0.02, 1.0))


def test_bootstrap_brackets_and_keeps_runs_that_were_never_decided():
    values = np.array([10.0] * 40 + [20.0] * 40 + [math.inf] * 20)
    assert bootstrap(values, "median") == (10.0, 20.0)
    assert median(values) == 20.0
    assert math.isinf(p95(values))


def test_rows_miss_only_what_chance_does_not_explain():
    name = ("S", "x")
    assert rate_row(name, 1, 1000, 0.01).state is State.MET
    assert rate_row(name, 12, 1000, 0.01).state is State.WITHIN
    assert rate_row(name, 40, 1000, 0.01).state is State.MISSED
    assert rate_row(name, 90, 100, 0.99, least=True).state is State.MISSED
    times = np.full(50, 100.0)
    assert [row.state for row in time_rows("S", "x", times, 100.0, 90.0)] == [State.MET, State.MISSED]


def test_a_small_run_is_the_beginning_of_a_large_one():
    first = traffic.generator("cell", 1).integers(0, 1000, 5)
    assert (traffic.generator("cell", 1).integers(0, 1000, 5) == first).all()
    assert (traffic.generator("cell", 2).integers(0, 1000, 5) != first).any()
    assert (traffic.generator("other", 1).integers(0, 1000, 5) != first).any()
    assert sum(runs for _, runs in traffic.chunks(2050)) == 2050


def test_traffic_has_the_rates_and_weights_that_were_asked_for():
    counts = traffic.independent(np.random.default_rng(3), 200, 100.0, 0.05, 0.01)
    share = counts.n_c[:, :60].sum() / (counts.n_c[:, :60].sum() + counts.n_s[:, :60].sum())
    assert share == pytest.approx(0.05, rel=0.02)
    assert counts.x_c.sum() / counts.n_c.sum() == pytest.approx(0.05, rel=0.02)
    assert degraded(0.001, "5x") == pytest.approx(0.005)
    assert degraded(0.001, "+1pp") == pytest.approx(0.011)


def test_clusters_keep_the_rate_and_scatter():
    clustered = traffic.clusters(np.random.default_rng(4), 50, 1000.0, 0.01, 8.0)
    x, n = clustered.counts.x_s, clustered.counts.n_s
    assert x.sum() / n.sum() == pytest.approx(0.01, rel=0.05)
    assert ((x - 0.01 * n) ** 2).mean() / (0.01 * n).mean() > 8.0
