"""The least time that any method with the same guarantee needs, by information theory (Wald, Lorden).

Against the nearest point of the null, `log(1/alpha)` nats must be collected; a method that stops earlier on average
would break its guarantee.
"""

import math
from collections.abc import Sequence

from benchmarks.decision.targets import ALPHA
from modelrollout.core.evidence.rates import Margin, project_bernoulli


def bernoulli_kl(p: float, q: float) -> float:
    """Return the divergence of Bernoulli(p) from Bernoulli(q) in nats."""
    total = 0.0
    if p > 0.0:
        total += p * math.log(p / q)
    if p < 1.0:
        total += (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
    return total


def information(p_c: float, p_s: float, share: float, rps: float, margin: Margin) -> float:
    """Return nats per second against the null `p_c <= rho p_s + delta`; 0 inside the null."""
    if p_c <= margin.of(p_s):
        return 0.0
    scale = 1_000_000
    n_c, n_s = round(scale * share), round(scale * (1.0 - share))
    null_c, null_s = project_bernoulli(p_c, p_s, n_c, n_s, margin)
    return rps * (share * bernoulli_kl(p_c, null_c) + (1.0 - share) * bernoulli_kl(p_s, null_s))


def seconds(p_c: float, p_s: float, rps: float, margin: Margin, steps: Sequence[tuple[float, float]]) -> float:
    """Return when `log(1/alpha)` nats have been collected over a schedule of (share, seconds); infinite if never."""
    missing, passed = -math.log(ALPHA), 0.0
    for share, length in steps:
        rate = information(p_c, p_s, share, rps, margin)
        if rate * length >= missing:
            return passed + missing / rate
        missing -= rate * length
        passed += length
    return math.inf


def one_sample(p: float, p0: float, per_second: float) -> float:
    """Return seconds for a share `p` against the null of at most `p0` at a constant rate of samples."""
    return math.inf if p <= p0 else -math.log(ALPHA) / (per_second * bernoulli_kl(p, p0))
