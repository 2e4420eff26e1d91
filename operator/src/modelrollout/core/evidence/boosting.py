"""Sequential boosting: what a window's e-value wastes beyond the limit is spread over the outcomes below it.

A process that stops at 1/alpha gains nothing from a jump beyond 1/alpha. Fischer and Ramdas (arXiv 2410.16076) cut
the factor `W` of a window at the cap `C` that reaches the limit, and multiply it by the largest `b` for which
`min(b W, C)` still has expectation at most 1 under the null. Their `b` needs the law of the data under the null. Rates
are free from window to window here, so it is found conditional on `m`, the bad requests of both revisions together:

* Where nothing is tolerated beyond a factor (`p_c <= rho p_s`), `X_c` given `m` is binomial with a share of at most
  `pi = rho n_c / (rho n_c + n_s)`, whatever the rates are, and `min(b W, C)` grows with `X_c`: the border is the worst.
* With an absolute margin (`p_c <= rho p_s + delta`), the share given `m` may be anything up to 1 and `E[W | m]` is no
  longer 1, so asking for expectation 1 given `m` would be wrong. It is enough that boosting adds nothing, for each `m`,
  to the expectation that `W` has: `E[min(b W, C) | m] <= E[W | m]`. That has to be seen at the share `pi` only:
  - above `pi` it holds too. `W - min(b W, C)` goes from negative to positive once as `X_c` grows, and a family with
    monotone likelihood ratios keeps that order of signs in the expectation;
  - below `pi`, `E[min(b W, C) | m]` is smaller than at `pi`, hence at most `E[W | m]` at `pi`. Summed over the law of
    `m`, that is the expectation of `W` at the point `p_c = rho p_s` with as many bad requests in all: a point of the
    null, where it is at most 1.

Both arguments are for Poisson counts. Requests that fail or not (Bernoulli), at one rate for each revision, give the
noncentral hypergeometric law with odds `rho` instead, which is a little narrower; the smaller `b` of the two is taken.
"""

import math
from collections.abc import Sequence
from typing import Final

from modelrollout.core.evidence.windows import Window

Term = tuple[float, float, float]
"""(c, u, v): the part `exp(c + u x_c + v x_s)` of a window's factor; u >= 0 >= v."""

_HUGE: Final = 700.0
"""Exponents are cut here: what lies above is far beyond any cap."""
_TINY: Final = 1e-250
_WIDEST: Final = 225.0
"""Variance of the candidate's bad requests above which nothing is boosted: such a window tells enough by itself."""
_COMMON: Final = 0.1
"""Share of bad requests above which nothing is boosted: the laws differ, and a failure so gross needs no help."""
_NEAR_BINOMIAL: Final = 0.002
"""Below this share of bad requests the two laws differ by less than what the sums leave out."""


def log_boost(window: Window, terms: Sequence[Term], rho: float, log_cap: float) -> float:
    """Return log b (nats, 0 or more) for a window whose factor is the sum of `terms`, to be cut at `log_cap`."""
    bad = window.x_c + window.x_s
    if bad == 0 or window.n_s == 0 or log_cap <= 0.0 or _log_factor(terms, bad, 0) <= log_cap:
        return 0.0
    odds = rho * window.n_c / window.n_s
    if bad * odds / (1.0 + odds) ** 2 > _WIDEST or bad > _COMMON * (window.n_c + window.n_s):
        return 0.0
    first, shares = _law(window, odds, bad, exact=False)
    found = _solve(_factors(terms, bad, first, len(shares)), shares, math.exp(min(_HUGE, log_cap)))
    if bad > _NEAR_BINOMIAL * (window.n_c + window.n_s):
        first, shares = _law(window, odds, bad, exact=True)
        found = min(found, _solve(_factors(terms, bad, first, len(shares)), shares, math.exp(min(_HUGE, log_cap))))
    return math.log(found) if found > 1.0 else 0.0


def _log_factor(terms: Sequence[Term], x_c: int, x_s: int) -> float:
    values = [c + u * x_c + v * x_s for c, u, v in terms]
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def _factors(terms: Sequence[Term], bad: int, first: int, count: int) -> list[float]:
    """Return the window's factor for each number of the candidate's bad requests, from `first` on."""
    totals = [0.0] * count
    for c, u, v in terms:
        exponent, step = c + u * first + v * (bad - first), u - v
        for index in range(count):
            totals[index] += math.exp(min(_HUGE, exponent))
            exponent += step
    return totals


def _law(window: Window, odds: float, bad: int, *, exact: bool) -> tuple[int, list[float]]:
    """Return the least number of the candidate's bad requests and the probabilities from it on, ten deviations wide.

    Leaving out the upper end is on the safe side: it takes expectation from `W` and nothing from what is cut.
    """
    share = odds / (1.0 + odds)
    mean, deviation = bad * share, math.sqrt(bad * share * (1.0 - share))
    low, high = math.floor(mean - 10.0 * deviation - 15.0), math.ceil(mean + 10.0 * deviation + 15.0)
    low, high = max(0, low, bad - window.n_s if exact else 0), min(bad, high, window.n_c if exact else bad)
    weights = [1.0]
    middle = min(max(low, round(mean)), high)
    for x in range(middle, high):
        weights.append(weights[-1] * _step(window, odds, bad, x, exact=exact))
    below = [1.0]
    for x in range(middle - 1, low - 1, -1):
        below.append(below[-1] / _step(window, odds, bad, x, exact=exact))
    weights = below[:0:-1] + weights
    total = math.fsum(weights)
    return low, [weight / total for weight in weights]


def _step(window: Window, odds: float, bad: int, x: int, *, exact: bool) -> float:
    """Return P(X = x + 1) / P(X = x): binomial, or noncentral hypergeometric."""
    if not exact:
        return (bad - x) / (x + 1) * odds
    free_s = window.n_s - bad + x + 1
    return (bad - x) * (window.n_c - x) / ((x + 1) * free_s) * odds * window.n_s / window.n_c


def _solve(factors: Sequence[float], shares: Sequence[float], cap: float) -> float:
    """Return the largest b with E[min(b W, cap)] <= E[W]; `factors` (W) ascend."""
    sums = [0.0]
    for share, factor in zip(shares, factors, strict=True):
        sums.append(sums[-1] + share * min(factor, 1e280))
    cut = 0.0
    for index in range(len(factors), 0, -1):
        if sums[index] < _TINY:
            return 1.0
        b = (sums[-1] - cap * cut) / sums[index]
        if b * factors[index - 1] <= cap:
            return b
        cut += shares[index - 1]
    return 1.0
