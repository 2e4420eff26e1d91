"""The rules of other tools on counts made by hand."""

import math

import numpy as np
import pytest
from benchmarks.decision.comparators import RULES, argo, flagger, kayenta, ztest
from benchmarks.decision.traffic import Counts


def counts(x_c: list[int], n_c: int = 100, x_s: int = 0, n_s: int = 1000, seconds: int = 60) -> Counts:
    """Return one run with so many bad requests of the candidate in each window."""
    bad = np.array([x_c], dtype=np.int64)
    return Counts(np.full_like(bad, n_c), bad, np.full_like(bad, n_s), np.full_like(bad, x_s), seconds)


def test_flagger_rolls_back_at_the_fifth_failed_check_of_all():
    assert flagger.standard(counts([2, 0, 2, 2, 0, 2, 2, 0]), 0.0) == [7 * 60]
    assert math.isinf(flagger.standard(counts([2, 2, 2, 2, 0, 0]), 0.0)[0])
    assert math.isinf(flagger.standard(counts([1] * 10), 0.0)[0]), "99 % is still fine"
    assert math.isinf(flagger.tuned(counts([2] * 10), 0.01)[0])


def test_flagger_takes_no_value_for_a_failure():
    assert flagger.standard(counts([0] * 6, n_c=0), 0.0) == [300]


def test_argo_aborts_at_the_fourth_failure():
    assert argo.every_minute(counts([2, 0, 2, 2, 2, 2]), 0.0) == [300]
    assert argo.every_five_minutes(counts([2] * 25), 0.0) == [1200]


def test_kayenta_judges_every_quarter_of_an_hour():
    worse = counts([5, 6, 4, 7] * 5, x_s=10)
    assert kayenta.judge(worse, 0.0) == [900]
    assert math.isinf(kayenta.judge(counts([1, 1, 1, 1] * 5, x_s=10), 0.0)[0])


def test_kayenta_needs_more_than_a_tolerance_and_some_data():
    noise = np.linspace(0.0, 0.01, 15)
    assert kayenta.is_high(noise + 0.05, noise)
    assert not kayenta.is_high(noise, noise)
    assert not kayenta.is_high(np.array([0.5, math.nan]), np.array([0.1]))
    assert not kayenta.is_high(np.array([math.nan]), noise)


def test_repeated_z_test_looks_at_the_sum_so_far():
    clear = counts([0, 0, 30], x_s=1)
    assert ztest.repeated(clear, 0.0) == [180]
    assert ztest.scores(counts([0, 0]))[0] == pytest.approx([0.0, 0.0])


def test_calibrated_z_test_exceeds_its_critical_value_as_often_as_asked():
    rng = np.random.default_rng(7)
    n = np.full((2000, 10), 500)
    equal = Counts(n, rng.binomial(n, 0.02), n, rng.binomial(n, 0.02), 60)
    critical = ztest.calibrate(equal, 0.01)
    found = np.isfinite(ztest.calibrated(equal, critical)).mean()
    assert 0.005 <= found <= 0.0105
    assert critical > ztest.CRITICAL


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_answers_for_every_run(rule):
    rng = np.random.default_rng(1)
    n = rng.poisson(100, (3, 240))
    times = RULES[rule](Counts(n, rng.binomial(n, 0.3), n, rng.binomial(n, 0.01)), 0.01)
    assert times.shape == (3,)
    assert np.isfinite(times).all()
