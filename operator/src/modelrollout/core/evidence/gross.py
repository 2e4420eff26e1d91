"""Gross failure: a fast path beside the test proper, with a small share of alpha of its own.

Where bad requests are known to come in batches, or nothing is known of them yet, the test proper is slowed down on
purpose. A candidate that fails a quarter of its requests more than stable needs no such care. Null: `p_c <= p_s + 1/4`
in every window, against a candidate that fails half or nine tenths; an incident that both share is no evidence.
"""

import math
from typing import Final

from modelrollout.core.evidence.eprocess import log_sum_exp
from modelrollout.core.evidence.rates import Margin, log_ratio_poisson
from modelrollout.core.evidence.windows import Window

MARGIN: Final = Margin(1.0, 0.25)
ALTERNATIVES: Final = (0.5, 0.9)
SHARE: Final = 0.05
"""Its part of the metric's alpha."""
REQUESTS: Final = 30
"""Candidate requests before it has a say: one early batch of failures is no gross failure."""
START: Final = (math.log(0.5), math.log(0.5))

Wealth = tuple[float, float]
"""Log wealth of the two alternatives."""


def update(wealth: Wealth, window: Window, stable_rate: float, limit: float) -> Wealth:
    """Count one window; `stable_rate` is what stable's past makes expect.

    One window adds at most half of what the metric's `limit` (nats) asks of this test, so that one alone never decides.
    """
    if window.n_c == 0:
        return wealth
    rate = min(max(stable_rate, 1e-6), 0.2)
    one, two = (
        value + log_ratio_poisson(window, theta, rate, MARGIN)
        for value, theta in zip(wealth, ALTERNATIVES, strict=True)
    )
    cap = 0.5 * (limit - math.log(SHARE))
    excess = max(0.0, log_sum_exp((one, two)) - log_sum_exp(wealth) - cap)
    return one - excess, two - excess


def combined(log_harm: float, wealth: Wealth, requests: int) -> float:
    """Return the log e-value of the test proper and this one together; their shares sum to 1."""
    proper = log_harm + math.log(1.0 - SHARE)
    return proper if requests < REQUESTS else log_sum_exp((proper, log_sum_exp(wealth) + math.log(SHARE)))
