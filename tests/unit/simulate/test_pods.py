"""Synthetic counters: integers that only grow, that lose nothing at changes of the split, and hit their rates."""

import numpy as np
import pytest

from modelrollout.core.actions import Watch
from modelrollout.core.evidence import counters
from modelrollout.simulate.pods import Batch, Dice, Grid
from modelrollout.simulate.run import Run
from modelrollout.simulate.stage import prepare
from tests.unit.simulate.rollouts import rollout, scenario

BUSY = "traffic: {rps: 100}\nstable: {pods: 4, errorRate: 1%}\nhorizon: 1h"


def batch(seed: int, *, cluster: float = 1.0, ready: float = 0.0) -> Batch:
    stage = prepare(rollout(), scenario(BUSY))
    random = np.random.default_rng(seed)
    grid = Grid(15, float(random.integers(15)), 250)
    phases = 15.0 * (1.0 - random.random(3))
    return Batch(grid, ("a", "b", "c"), phases, stage.tables[stage.stable], Dice(random, stage.shape, cluster), ready)


def test_no_request_is_lost_or_counted_twice_whatever_the_split_does():
    expected = counted = failed = 0.0
    for seed in range(12):
        one, random = batch(seed, ready=7.0 * seed), np.random.default_rng(seed)
        time = one.ready
        while time < 2400.0:
            load = float(random.choice([0.0, 0.05, 0.3]))
            one.change(time, np.full(3, load))
            one.reach(one.grid.row(time) + int(random.integers(5)))
            length = float(random.exponential(25.0))
            expected, time = expected + 3 * load * 100.0 * length, time + length
        one.change(time, np.zeros(3))
        last = one.grid.row(time) + 2
        one.reach(last)
        assert (np.diff(one.held[one.grid.row(one.ready) - 1 : last + 1], axis=0) >= 0).all()
        assert (one.held == np.round(one.held)).all()
        counted, failed = counted + one.held[last, :, :2].sum(), failed + one.held[last, :, 1].sum()
    assert abs(counted - expected) < 4.0 * expected**0.5
    assert abs(failed - 0.01 * expected) < 4.0 * (0.01 * expected) ** 0.5


def test_a_restarted_container_counts_from_0_again():
    one = batch(1)
    one.change(0.0, np.full(3, 0.3))
    one.reach(40)
    before = one.held[40, 1].copy()
    one.restart(one.grid.instant(40) + 1.0, 1)
    one.reach(42)
    assert (one.held[42, 1] < before)[0]
    assert one.held[42, 0, 0] > one.held[40, 0, 0]


def test_errors_in_batches_keep_their_rate_and_scatter_more():
    alone, batched = (np.diff(_failures(batch(seed, cluster=size))) for seed, size in ((3, 1.0), (3, 8.0)))
    assert np.mean(batched) == pytest.approx(np.mean(alone), rel=0.25)
    assert np.var(batched) > 5.0 * np.var(alone)


def _failures(one: Batch) -> np.ndarray:
    one.change(0.0, np.full(3, 1.0 / 3.0))
    one.reach(240)
    return one.held[1:240, :, 1].sum(axis=1)


def test_what_the_operator_reads_adds_up_to_the_traffic():
    stage = prepare(rollout(), scenario(BUSY))
    run = Run(stage, 5, 0)
    run.play()
    since = stage.base + 60
    reading = run.prometheus.read(Watch(stage.stable, stage.templates[0][1], since, ("errors",)), since + 600)["errors"]
    n_c, x_c, n_s, x_s = (sum(column) for column in zip(*counters.bad_and_all(reading, 0), strict=True))
    assert n_c + n_s == pytest.approx(60_000, rel=0.03)
    assert x_c + x_s == pytest.approx(600, rel=0.2)


def test_an_hour_of_stable_is_there_before_the_rollout():
    stage = prepare(rollout(), scenario(BUSY))
    run = Run(stage, 5, 0)
    watch = Watch(stage.stable, stage.templates[0][1], stage.base + 15, ("errors",), past=("errors",))
    run.cluster.advance(40.0)
    past = run.prometheus.read(watch, stage.base + 30)["errors"].past
    assert past is not None
    assert len(past.instants) == 61
    requests, bad = (
        counters.lifetime(past.stable, 60)[0] - counters.lifetime(past.stable, 0)[0],
        [one for one in past.stable if one.bad],
    )
    assert requests == pytest.approx(360_000, rel=0.02)
    assert len(bad) == 4


def test_nothing_is_read_while_prometheus_is_down_and_little_after_a_gap():
    text = BUSY + "\nevents: [{kind: prometheusDown, at: 5m, for: 10m}]"
    stage = prepare(rollout(strategy={"minStepDuration": "30m"}), scenario(text))
    run = Run(stage, 2, 0)
    watch = Watch(stage.stable, stage.templates[0][1], stage.base + 60, ("errors",))
    run.cluster.advance(400.0)
    assert run.prometheus.read(watch, stage.base + 300)["errors"].error is not None
    run.cluster.advance(1500.0)
    reading = run.prometheus.read(watch, stage.base + 1200)["errors"]
    values = reading.stable[0].values
    assert reading.error is None
    assert None in values
    assert sum(n for _, _, n, _ in counters.bad_and_all(reading, 0)) == pytest.approx(100 * 1140, rel=0.03)
