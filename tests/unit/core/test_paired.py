"""One share against a limit: validity by enumeration, reversal, late onset, exact restarts."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.core.evidence import paired

LIMITS = (0.001, 0.02, 0.25, 0.5, 0.9, 0.999)


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, x) * p**x * (1.0 - p) ** (n - x) for x in range(n + 1)]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("share", [1.0, 0.7, 0.0])
def test_expectation_is_at_most_one_on_the_null_and_one_on_its_border(limit, share):
    n = 30
    above = math.fsum(p * math.exp(paired.log_above(x, n, limit)) for x, p in enumerate(binomial(n, share * limit)))
    below = math.fsum(
        p * math.exp(paired.log_below(x, n, limit)) for x, p in enumerate(binomial(n, 1 - share * (1 - limit)))
    )
    assert above <= 1.0 + 1e-9
    assert below <= 1.0 + 1e-9
    if share == 1.0:
        assert above == pytest.approx(1.0, abs=1e-9)
        assert below == pytest.approx(1.0, abs=1e-9)


def test_shares_of_single_trials_may_differ():
    """Two kinds of trials, both within the limit: still no more than 1."""
    limit = 0.1
    mean = math.fsum(
        p * q * math.exp(paired.log_above(x + y, 30, limit))
        for x, p in enumerate(binomial(10, 0.1))
        for y, q in enumerate(binomial(20, 0.02))
    )
    assert mean <= 1.0


@pytest.mark.parametrize(
    ("bad", "trials", "limit", "expected"),
    [
        (0, 0, 0.02, 0.0),
        (2, 10, 0.02, math.log(sum(r**2 * ((1 - 0.02 * r) / 0.98) ** 8 for r in (1.25, 1.5, 2, 3, 5, 10)) / 6)),
        (5, 5, 0.5, math.log(sum((2 * p) ** 5 for p in (0.6, 2 / 3, 0.75, 5 / 6, 0.9, 0.95)) / 6)),
    ],
)
def test_values(bad, trials, limit, expected):
    assert paired.log_above(bad, trials, limit) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from(LIMITS))
def test_large_totals_stay_finite_and_both_directions_never_both_win(good, bad, limit):
    above, below = paired.log_above(bad, good + bad, limit), paired.log_below(bad, good + bad, limit)
    assert math.isfinite(above)
    assert math.isfinite(below)
    assert min(above, below) <= 1e-9


@given(st.floats(0.0, 1.0), st.sampled_from(LIMITS))
def test_a_trial_is_worth_something_for_below_only_below(share, limit):
    gain = paired.gain_below(share, limit)
    assert gain >= 0.0
    if share >= limit:
        assert gain == 0.0
    if share <= limit / 2:
        assert gain > 0.0


def test_no_window_raises_the_expectation_on_the_null():
    limit, state = 0.05, paired.State()
    for bad, trials in ((0, 30), (2, 20), (4, 25), (0, 100)):
        for share in (1.0, 0.3):
            mean = math.fsum(
                p * math.exp(paired.update(state, x, 20, limit, 15.0).log_above)
                for x, p in enumerate(binomial(20, share * limit))
            )
            assert mean <= math.exp(state.log_above) * (1.0 + 1e-5)
        state = paired.update(state, bad, trials, limit, 15.0)


def test_a_late_onset_is_seen_although_hours_were_fine():
    state, bad, trials = paired.State(), 0, 0
    for _ in range(240):
        state = paired.update(state, 1, 1500, 0.05, 15.0)
    late = 0
    while state.log_above < math.log(100.0):
        state, late = paired.update(state, 450, 1500, 0.05, 15.0), late + 1
        bad, trials = bad + 450, trials + 1500
    assert late <= 2
    assert paired.log_above(240 + bad, 240 * 1500 + trials, 0.05) < 0.0


@given(st.integers(0, 10**6), st.integers(0, 20), st.integers(1, 20))
def test_a_restart_at_any_window_changes_nothing(seed, cut, length):
    rng = random.Random(seed)  # noqa: S311 - a simulation
    through = interrupted = paired.State()
    for k in range(length):
        if k == cut:
            restored = paired.unpack(interrupted.pack())
            assert restored is not None
            interrupted = restored
        trials = rng.randrange(5000)
        bad = rng.randrange(trials + 1)
        through = paired.update(through, bad, trials, 0.05, 15.0)
        interrupted = paired.update(interrupted, bad, trials, 0.05, 15.0)
    assert through == interrupted
    assert len(through.pack()) < 120


@given(st.text(max_size=200))
def test_garbage_is_no_state(text):
    found = paired.unpack(text)
    assert found is None or math.isfinite(found.log_above)
