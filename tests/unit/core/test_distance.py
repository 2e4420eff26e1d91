"""The distance of two distributions: projections, validity by enumeration, power, exact restarts."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.core.evidence import distance
from modelrollout.core.evidence.distance import Design, State

BELOW = np.array([1.0, 2.0, 3.0, 4.0, 5.0]) / 6.0


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, x) * p**x * (1.0 - p) ** (n - x) for x in range(n + 1)]


@given(
    st.floats(0.001, 0.99), st.floats(0.001, 0.98), st.floats(0.005, 0.6), st.integers(1, 10**4), st.integers(1, 10**6)
)
def test_the_nearest_point_of_the_null_has_no_slope(theta_c, theta_s, delta, n_c, n_s):
    t = float(distance.project(np.array(theta_c), np.array(theta_s), n_c, n_s, delta))
    c = t + delta
    assert 0.0 < t < c < 1.0

    def divergence(t: float) -> float:
        def kl(p: float, q: float) -> float:
            return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))

        return n_c * kl(theta_c, t + delta) + n_s * kl(theta_s, t)

    here = divergence(t)
    for other in (t - 1e-4, t + 1e-4):
        if 1e-6 < other < 1.0 - delta - 1e-6:
            assert divergence(other) >= here - 1e-9 * max(1.0, here)


@pytest.mark.parametrize(("theta_c", "theta_s", "delta"), [(0.4, 0.3, 0.05), (0.9, 0.4, 0.2), (0.3, 0.3, 0.1)])
@pytest.mark.parametrize("p_s", [0.02, 0.3, 0.7])
def test_expectation_is_at_most_one_on_the_null(theta_c, theta_s, delta, p_s):
    """Harm and safety alike: the null is the side of the line that the alternative is not on."""
    n_c, n_s, harm = 6, 12, theta_c > theta_s + delta
    for beyond in (0.0, 0.5):
        p_c = max(0.0, (p_s + delta) * (1.0 - beyond)) if harm else p_s + delta + beyond * (1.0 - p_s - delta)
        x_c, x_s = (np.array(grid, dtype=float) for grid in zip(*product(range(n_c + 1), range(n_s + 1)), strict=True))
        logs = distance.log_ratio(
            np.full(len(x_c), theta_c), np.full(len(x_c), theta_s), delta, (x_c, float(n_c)), (x_s, float(n_s))
        )
        chances = [p * q for p in binomial(n_c, p_c) for q in binomial(n_s, p_s)]
        assert math.fsum(p * math.exp(log) for p, log in zip(chances, logs, strict=True)) <= 1.0 + 1e-9


def state_after(windows: int, seed: int = 0) -> State:
    state, rng = distance.begin(BELOW * 600.0, 600.0), np.random.default_rng(seed)
    for _ in range(windows):
        state = distance.update(state, Design(0.05), 0.3, (cells(rng, 20, 0.15), cells(rng, 100, 0.0)), 15.0)
    return state


def cells(rng: np.random.Generator, n: int, moved: float) -> np.ndarray:
    """Return cumulative counts of values of which a share moved from the lower half to the uppermost cell."""
    shares = np.full(6, 1.0 / 6.0) + moved * np.array([-1, -1, -1, 0, 0, 3]) / 3.0
    return rng.multinomial(n, shares).cumsum().astype(float)


@pytest.mark.parametrize("windows", [0, 5])
def test_no_window_raises_the_expectation_on_the_null(windows):
    """One boundary; what is rounded and mixed along the way included."""
    full = state_after(windows)
    state = State(
        full.stable[2:3],
        full.seen,
        full.candidate[2:3],
        full.candidate_seen,
        full.wealth[..., 2:3],
        full.safety[:, 2:3],
    )
    design, n_c, n_s, p_s = Design(0.05, cap=1.5), 5, 9, 0.45
    for p_c in (p_s + 0.05, p_s, p_s - 0.05):
        mean = math.fsum(
            p * q * math.exp(distance.update(state, design, 0.3, counts(x_c, n_c, x_s, n_s), 15.0).log_harm)
            for x_c, p in enumerate(binomial(n_c, p_c))
            for x_s, q in enumerate(binomial(n_s, p_s))
        )
        assert mean <= math.exp(state.log_harm) * (1.0 + 1e-6)
    for p_c, sign in ((p_s + 0.3, 0), (p_s - 0.3, 1)):
        mean = math.fsum(
            p * q * math.exp(distance.update(state, design, 0.3, counts(x_c, n_c, x_s, n_s), 15.0).safety[sign, 0])
            for x_c, p in enumerate(binomial(n_c, p_c))
            for x_s, q in enumerate(binomial(n_s, p_s))
        )
        assert mean <= math.exp(state.safety[sign, 0]) + 1e-9


def counts(x_c: int, n_c: int, x_s: int, n_s: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x_c, n_c], dtype=float), np.array([x_s, n_s], dtype=float)


@pytest.mark.parametrize(
    ("moved", "limit", "windows"),
    [(0.2, math.log(100.0), 40), (0.03, math.log(5.0), 0), (0.0, math.log(5.0), 0)],
    ids=["drifted", "within tolerance", "alike"],
)
def test_what_has_drifted_is_told_from_what_has_not(moved, limit, windows):
    rng, found = np.random.default_rng(7), 0
    state = distance.begin(BELOW * 5000.0, 5000.0)
    for window in range(1, 200):
        state = distance.update(state, Design(0.05), 0.15, (cells(rng, 20, moved), cells(rng, 380, 0.0)), 15.0)
        if state.log_harm >= limit and not found:
            found = window
    assert (0 < found <= windows) if windows else found == 0
    assert (state.best >= 3.0) == (moved < 0.1)
    assert state.distance == pytest.approx(moved, abs=0.05)


def test_no_window_adds_more_than_the_cap():
    state = state_after(0)
    far = (np.array([0.0, 0.0, 0.0, 0.0, 0.0, 900.0]), np.array([100.0, 200.0, 300.0, 400.0, 500.0, 600.0]))
    after = distance.update(state, Design(0.05, cap=2.0), 0.3, far, 15.0)
    assert after.log_harm - state.log_harm == pytest.approx(2.0, abs=1e-5)


def test_windows_without_one_side_say_nothing():
    state = state_after(3)
    nothing, some = np.zeros(6), np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for pair in ((nothing, some), (some, nothing), (nothing, nothing)):
        after = distance.update(state, Design(0.05), 0.3, pair, 15.0)
        assert after.log_harm == pytest.approx(state.log_harm, abs=1e-6)
        assert (after.safety == state.safety).all()


def same(one: State, two: State) -> bool:
    return distance.pack(one) == distance.pack(two) and all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in State.__slots__
    )


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 8))
def test_a_restart_at_any_window_changes_nothing(seed, cut):
    rng = np.random.default_rng(seed)
    through = interrupted = state_after(0)
    for k in range(8):
        if k == cut:
            restored = distance.unpack(distance.pack(interrupted))
            assert restored is not None
            interrupted = restored
        window = (cells(rng, int(rng.integers(0, 50)), 0.1), cells(rng, int(rng.integers(0, 5000)), 0.0))
        through = distance.update(through, Design(0.05, phi=1.7), 0.3, window, 15.0)
        interrupted = distance.update(interrupted, Design(0.05, phi=1.7), 0.3, window, 15.0)
    assert same(through, interrupted)
    fresh = distance.unpack(distance.pack(distance.next_step(through)))
    assert fresh is not None
    assert fresh.log_safety == fresh.best == 0.0
    assert fresh.log_harm == through.log_harm


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: __import__("base64").b64encode(raw).decode()))
def test_garbage_is_no_state(text):
    found = distance.unpack(text)
    assert found is None or math.isfinite(found.log_harm)


def test_shares_at_the_edge_are_no_trouble():
    """All values of stable in one cell, counts of ten millions, a candidate that is elsewhere altogether."""
    state = distance.begin(np.array([0.0, 0.0, 1e7, 1e7, 1e7]), 1e7)
    c, s = np.array([1e7] * 6), np.array([0.0, 0.0, 1e7, 1e7, 1e7, 1e7])
    for _ in range(5):
        state = distance.update(state, Design(0.05), 0.1, (c, s), 15.0)
        assert math.isfinite(state.log_harm)
    assert state.log_harm > math.log(1000.0)
    assert len(distance.pack(state)) == 236
