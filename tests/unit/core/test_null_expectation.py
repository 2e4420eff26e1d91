"""Under the null, a window's factor has expectation at most 1: by enumeration of every count, boosted or not.

That, and nothing about delays or priors, is what makes the stated rate of false rollbacks hold. States are taken far
from the limit and close to it, where boosting does most.
"""

import math
from dataclasses import replace
from functools import cache

import pytest

from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.boosting import log_boost
from modelrollout.core.evidence.eprocess import Design, State
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.windows import Window

LIMIT = math.log(100.0)
SLACK = 1e-7
"""The limit is passed by a rounding, once; and outcomes of negligible probability are left out of the sums."""


@cache
def poisson(mean: float) -> list[float]:
    most = int(mean + 9.0 * math.sqrt(mean) + 14.0)
    return [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(most)]


@cache
def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(min(n, int(n * p * 4) + 25) + 1)]


def lifted(design: Design, rate: float, lift: float) -> State:
    """Return a state whose e-value is `lift` nats, spread over the alternatives unevenly."""
    state = eprocess.begin(design, 0, rate, 3000.0)
    uneven = tuple(value + (-1.0) ** place for place, value in enumerate(state.harm))
    state = replace(state, harm=uneven)
    change = lift - state.log_harm
    return replace(state, harm=tuple(value + change for value in state.harm), waiting=state.waiting * math.exp(change))


def expectation(state: State, design: Design, sizes: tuple[int, int], laws: tuple[list[float], list[float]]) -> float:
    n_c, n_s = sizes
    before = state.log_harm
    return math.fsum(
        p * q * math.exp(eprocess.update(state, design, None, Window(1, n_c, x_c, n_s, x_s)).log_harm - before)
        for x_c, p in enumerate(laws[0])
        for x_s, q in enumerate(laws[1])
        if p * q > 1e-10
    )


@pytest.mark.parametrize("margin", [Margin(1.0, 0.0), Margin(1.25, 0.0002), Margin(1.0, 0.05)], ids=str)
@pytest.mark.parametrize(
    ("sizes", "rate"), [((6, 20), 0.0005), ((6, 20), 0.05), ((75, 400), 0.0005), ((75, 400), 0.01), ((40, 120), 0.05)]
)
@pytest.mark.parametrize("law", ["poisson", "bernoulli"])
def test_no_window_gains_on_the_null(margin, sizes, rate, law):
    design = Design(margin, limit=LIMIT, start_mass=0.7, hazard=0.01)
    for inside in (1.0, 0.4):
        p_c, p_s = inside * margin.of(rate), rate
        laws = [poisson(n * p) if law == "poisson" else binomial(n, p) for n, p in zip(sizes, (p_c, p_s), strict=True)]
        for lift, expected in ((0.0, rate), (3.0, rate / 3.0), (LIMIT - 0.3, 2.0 * rate)):
            state = lifted(design, expected, lift)
            assert expectation(state, design, sizes, (laws[0], laws[1])) <= 1.0 + SLACK


def test_a_cap_is_boosted_against_too():
    design = Design(Margin(1.0, 0.0), limit=LIMIT, cap=LIMIT / 3.0)
    state = lifted(design, 0.01, 1.0)
    laws = poisson(75 * 0.01), poisson(400 * 0.01)
    assert expectation(state, design, (75, 400), laws) <= 1.0 + SLACK
    gained = eprocess.update(state, design, None, Window(1, 75, 60, 400, 0)).log_harm - state.log_harm
    assert gained == pytest.approx(LIMIT / 3.0)


def test_boosting_gains_on_average_where_the_limit_is_near():
    plain, boosted = Design(Margin(1.0, 0.0)), Design(Margin(1.0, 0.0), limit=LIMIT)
    state = lifted(plain, 0.01, LIMIT - 1.0)
    for bad in (1, 2):
        window = Window(1, 75, bad, 400, 4)
        gain = (
            eprocess.update(state, boosted, None, window).log_harm
            - eprocess.update(state, plain, None, window).log_harm
        )
        assert 0.0 < gain < 1.0


def test_the_limit_is_reached_and_not_passed():
    design = Design(Margin(1.0, 0.0), limit=LIMIT)
    after = eprocess.update(lifted(design, 0.01, 3.0), design, None, Window(1, 75, 40, 400, 4))
    assert after.log_harm == pytest.approx(LIMIT, abs=1e-6)
    assert after.log_harm >= LIMIT


@pytest.mark.parametrize(
    ("what", "window"),
    [
        ("no bad request", Window(1, 75, 0, 400, 0)),
        ("no stable", Window(1, 75, 5, 0, 0)),
        ("very large", Window(1, 10**7, 10**5, 10**7, 10**5)),
        ("very bad", Window(1, 100, 90, 100, 90)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_boosted_where_it_would_not_help(what, window):
    assert log_boost(window, [(math.log(0.5), 1.0, -0.1), (math.log(0.5), 2.0, -0.2)], 1.0, 0.5) == 0.0
