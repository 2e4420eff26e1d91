"""Likelihood ratios for one window of counts of two revisions, against a margin.

The null hypothesis is `p_c <= rho * p_s + delta` within each window, with `p_s` free to change from window to
window. For a simple alternative `(theta_c*, theta_s*)` the likelihood ratio against the point of the null that is
nearest in Kullback-Leibler divergence (the reverse information projection) has expectation at most 1 everywhere on
the null, because the null is convex: it is an e-value (Turner, Gruenwald and others, arXiv 2106.02693, for blocks
of counts; here extended by a margin). For independent requests with any individual probabilities
`E[r^X] <= exp(sum p_i (r - 1))`, so the Poisson form holds for Bernoulli requests too.
"""

import math
from dataclasses import dataclass

from modelrollout.core.evidence.windows import Window

MAX_RATE = 0.95
"""No alternative claims a failure rate above this, so that logarithms stay finite."""


@dataclass(frozen=True, slots=True)
class Margin:
    """The line between tolerable and not: `p_c = rho * p_s + delta`."""

    rho: float
    delta: float

    def of(self, rate: float) -> float:
        """Return the candidate's rate on the margin when stable's is `rate`."""
        return self.rho * rate + self.delta


def project_poisson(theta_c: float, theta_s: float, n_c: int, n_s: int, margin: Margin) -> tuple[float, float]:
    """Return the point of the margin nearest to the alternative, for Poisson counts.

    Minimises `n_c KL(theta_c | rho t + delta) + n_s KL(theta_s | t)` over `t`; the derivative is a quadratic in `t`
    whose positive root is the answer. `n_c + n_s` must be positive.
    """
    rho, delta = margin.rho, margin.delta
    a = rho * (n_c * rho + n_s)
    b = n_c * rho * (delta - theta_c) + n_s * delta - n_s * rho * theta_s
    c = -n_s * theta_s * delta
    t = (-b + math.sqrt(max(0.0, b * b - 4.0 * a * c))) / (2.0 * a)
    return margin.of(t), t


def project_bernoulli(theta_c: float, theta_s: float, n_c: int, n_s: int, margin: Margin) -> tuple[float, float]:
    """Return the point of the margin nearest to the alternative, for Bernoulli counts.

    Needed where rates are high (shares of slow requests): the Poisson form stays valid there but loses power. The
    derivative rises with `t`; its root is found by Newton's steps, halving the bracket where a step would leave it.
    """
    rho, delta = margin.rho, margin.delta
    tiny = 1e-12
    low, high = tiny, min(1.0, (1.0 - delta) / rho) - tiny
    if high <= low:
        return 1.0 - tiny, low
    t = min(max(theta_s, low), high)
    weight, rest_c, rest_s = n_c * rho, 1.0 - theta_c, 1.0 - theta_s
    for _ in range(60):
        c = rho * t + delta
        # The derivative is (c - theta_c) / (c (1 - c)) = rest_c / (1 - c) - theta_c / c, and so on for stable.
        bad_c, good_c, bad_s, good_s = theta_c / c, rest_c / (1.0 - c), theta_s / t, rest_s / (1.0 - t)
        slope = weight * (good_c - bad_c) + n_s * (good_s - bad_s)
        if slope < 0.0:
            low = t
        else:
            high = t
        curve = weight * rho * (bad_c / c + good_c / (1.0 - c)) + n_s * (bad_s / t + good_s / (1.0 - t))
        after = t - slope / curve
        if not low < after < high:
            after = 0.5 * (low + high)
        near = abs(after - t) <= 1e-8 * t  # the next step would be of the order of its square
        t = after
        if near:
            break
    return margin.of(t), t


def log_ratio(window: Window, theta_c: float, theta_s: float, margin: Margin, *, bernoulli: bool) -> float:
    """Return the log likelihood ratio of a window (nats): Poisson form for rare events, else Bernoulli."""
    if window.n_c == 0:
        return 0.0
    form = log_ratio_bernoulli if bernoulli else log_ratio_poisson
    return form(window, theta_c, theta_s, margin)


def log_ratio_poisson(window: Window, theta_c: float, theta_s: float, margin: Margin) -> float:
    """Return the log likelihood ratio of a window, Poisson form (nats)."""
    null_c, null_s = project_poisson(theta_c, theta_s, window.n_c, window.n_s, margin)
    value = -window.n_c * (theta_c - null_c)
    if window.x_c:
        value += window.x_c * math.log(theta_c / null_c)
    if window.n_s:
        value -= window.n_s * (theta_s - null_s)
        if window.x_s:
            value += window.x_s * math.log(theta_s / null_s)
    return value


def log_ratio_bernoulli(window: Window, theta_c: float, theta_s: float, margin: Margin) -> float:
    """Return the log likelihood ratio of a window, Bernoulli form (nats)."""
    null_c, null_s = project_bernoulli(theta_c, theta_s, window.n_c, window.n_s, margin)
    return _binomial(window.x_c, window.n_c, theta_c, null_c) + _binomial(window.x_s, window.n_s, theta_s, null_s)


def _binomial(x: int, n: int, theta: float, null: float) -> float:
    return (x * math.log(theta / null) if x else 0.0) + (
        (n - x) * math.log((1.0 - theta) / (1.0 - null)) if n > x else 0.0
    )


def expected_gain(safe: Margin, rate: float) -> float:
    """Return the nats of safety evidence that one candidate request is worth when it is as good as stable.

    The Kullback-Leibler divergence between Poisson counts at stable's rate and at the margin.
    """
    rate = max(rate, 1e-6)
    line = safe.of(rate)
    return rate * math.log(rate / line) + (line - rate)
