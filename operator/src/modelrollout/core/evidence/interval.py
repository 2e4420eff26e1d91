"""Intervals for people: what the difference of two rates may be, valid at any moment they look.

For one rate, the mixture of Poisson likelihood ratios over a Gamma prior is an e-process in closed form; the rates
that it does not reject at 2/alpha are a confidence sequence (Robbins' mixture; for independent requests with any
individual probabilities it holds for their mean, as `E[r^X] <= exp(np(r - 1))`). The difference takes both at half
alpha each. A number to look at: decisions are made by the tests, window by window.
"""

import math
from typing import Final

SHAPE: Final = 0.5
PRIOR_REQUESTS: Final = 100.0
"""The prior: half a bad request in a hundred, wide enough for any rate; fixed, or the bounds would hold only once."""
ALPHA: Final = 0.05


def rate_bounds(bad: int, requests: int, alpha: float = ALPHA / 2) -> tuple[float, float]:
    """Return lower and upper bound of a rate from totals, each side at `alpha`/2; (0, 1) without requests."""
    if requests == 0:
        return 0.0, 1.0
    low = _solve(bad, requests, alpha, 0.0, max(bad / requests, 1e-300)) if bad else 0.0
    return low, _solve(bad, requests, alpha, 1.0, max(bad / requests, 0.0))


def difference(bad: int, requests: int, bad_s: int, requests_s: int) -> tuple[float, float]:
    """Return bounds of the candidate's rate less stable's, at 95 % and at every moment."""
    low_c, high_c = rate_bounds(bad, requests)
    low_s, high_s = rate_bounds(bad_s, requests_s)
    return low_c - high_s, high_c - low_s


def _solve(x: int, n: int, alpha: float, outside: float, inside: float) -> float:
    """Return the rate between `inside` (kept) and `outside` at which the mixture reaches 2/alpha, by bisection."""
    constant = (
        math.lgamma(SHAPE + x)
        - math.lgamma(SHAPE)
        + SHAPE * math.log(PRIOR_REQUESTS)
        - (SHAPE + x) * math.log(PRIOR_REQUESTS + n)
    )
    limit = math.log(2.0 / alpha)

    def rejected(rate: float) -> bool:
        return rate <= 0.0 or constant + n * rate - (x * math.log(rate) if x else 0.0) >= limit

    if not rejected(outside):
        return outside
    for _ in range(40):
        middle = 0.5 * (inside + outside)
        if rejected(middle):
            outside = middle
        else:
            inside = middle
        if abs(outside - inside) <= 1e-3 * max(inside, outside):
            break
    return outside
