"""The tests of one metric: reference values, validity by enumeration, exact restarts."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.eprocess import Design, State
from modelrollout.core.evidence.rates import (
    Margin,
    log_ratio_bernoulli,
    log_ratio_poisson,
    project_bernoulli,
    project_poisson,
)
from modelrollout.core.evidence.windows import Window

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("case", VECTORS["error_rate"], ids=lambda case: case["case"])
def test_harm_agrees_with_reference_values(case):
    config = case["config"]
    test = Design(
        margin=Margin(config["rho0"], config["delta0"]),
        ratios=case["alternatives"],
        prior=case["prior"],
        phi=config.get("phi", 1.0),
        cap=config.get("cap", math.inf),
        start_mass=config.get("start_mass", 1.0),
        hazard=config.get("restart", 0.0),
    )
    state = eprocess.begin(test, 0, config["ts0"], config["n0"])
    for end, (counts, expected) in enumerate(zip(case["windows"], case["log_e"], strict=True), start=1):
        state = eprocess.update(state, test, None, Window(end, *counts))
        assert state.log_harm == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", VECTORS["acceptance"], ids=lambda case: case["case"])
def test_safety_agrees_with_reference_values(case):
    config = case["config"]
    safe = Margin(config["rhoU"], config["deltaU"])
    test = Design(margin=safe, safety_prior=(0.5, 0.5, 0.0, 0.0))
    state = eprocess.begin(test, 0, config["ts0"], config["n0"])
    for end, (counts, expected) in enumerate(zip(case["windows"], case["log_e"], strict=True), start=1):
        state = eprocess.update(state, test, safe, Window(end, *counts))
        assert state.log_safety == pytest.approx(expected, abs=1e-9)


def _binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize("form", [log_ratio_poisson, log_ratio_bernoulli])
@pytest.mark.parametrize("margin", [Margin(1.0, 0.0), Margin(1.25, 0.002), Margin(1.0, 0.05)])
@pytest.mark.parametrize("rate", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("ratio", [1.5, 5.0, 30.0])
def test_expectation_is_at_most_one_on_the_null(form, margin, rate, ratio):
    """Every count of a small window is enumerated, at points of the null on its border and inside."""
    theta_s, n_c, n_s = 0.01, 6, 20
    theta_c = min(0.95, ratio * margin.of(theta_s))
    for share in (1.0, 0.5):
        p_c, p_s = min(1.0, share * margin.of(rate)), rate
        mean = math.fsum(
            pc * ps * math.exp(form(Window(0, n_c, x_c, n_s, x_s), theta_c, theta_s, margin))
            for x_c, pc in enumerate(_binomial(n_c, p_c))
            for x_s, ps in enumerate(_binomial(n_s, p_s))
        )
        assert mean <= 1.0 + 1e-9


@given(
    theta_s=st.floats(1e-5, 0.3),
    ratio=st.floats(1.1, 50.0),
    n_c=st.integers(1, 10_000),
    n_s=st.integers(0, 100_000),
    rho=st.floats(1.0, 2.0),
    delta=st.floats(0.0, 0.05),
)
def test_projections_lie_on_the_margin(theta_s, ratio, n_c, n_s, rho, delta):
    margin = Margin(rho, delta)
    theta_c = min(0.95, ratio * margin.of(theta_s))
    for project in (project_poisson, project_bernoulli):
        null_c, null_s = project(theta_c, theta_s, n_c, n_s, margin)
        assert null_c == pytest.approx(margin.of(null_s), rel=1e-6)
        assert null_s > 0.0


counts = st.tuples(st.integers(0, 50), st.integers(0, 500)).flatmap(
    lambda n: st.tuples(st.just(n[0]), st.integers(0, n[0]), st.just(n[1]), st.integers(0, n[1]))
)


@given(st.lists(counts, max_size=12), st.integers(0, 12), st.booleans())
def test_a_restart_at_any_window_changes_nothing(windows, cut, bernoulli):
    test = Design(Margin(1.25, 0.0002), bernoulli=bernoulli, start_mass=0.7, hazard=0.01)
    safe = Margin(1.25, 0.01)
    through = interrupted = eprocess.begin(test, 0, 0.001, 300.0)
    for end, window in enumerate(windows, start=1):
        if end == cut:
            restored = eprocess.unpack(eprocess.pack(interrupted))
            assert restored is not None
            interrupted = restored
        through = eprocess.update(through, test, safe, Window(end, *window))
        interrupted = eprocess.update(interrupted, test, safe, Window(end, *window))
    assert interrupted == through


@given(st.text(max_size=300))
def test_garbage_is_no_state(text):
    assert eprocess.unpack(text) is None or isinstance(eprocess.unpack(text), State)


def test_state_is_small():
    state = eprocess.begin(Design(Margin(1.0, 0.0)), 2_000_000_000, 0.5, 5000.0)
    full = replace(state, pending=(2**31, 2**31, 2**31, 2**31), stable_requests=2**60, stable_bad=2**60)
    assert len(eprocess.pack(full)) < 300
    assert eprocess.unpack(eprocess.pack(full)) == full
