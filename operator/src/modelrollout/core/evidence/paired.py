"""Is a share too large? Tests against a fixed limit, such as that on disagreements of paired answers.

For `n` trials of which `x` are bad, the likelihood ratio of a share `p_j` against the limit `p0`,

    (p_j / p0)^x ((1 - p_j) / (1 - p0))^(n - x),

has expectation at most 1 whatever the shares of the single trials, as long as none exceeds `p0`: it rises with `x`,
and at `p0` it is 1. Mixed over alternatives it is an e-process that is a function of two totals alone, valid at every
moment. What is not bad is above `1 - p0` where the share is below `p0`: so the same ratio, reversed, shows safety.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from modelrollout.core.evidence.eprocess import log_sum_exp

RATIOS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Alternatives: the limit, so many times over; for limits above a tenth the good share so many times smaller."""
LOG_PRIOR: Final = -math.log(len(RATIOS))
START_MASS: Final = 0.7
"""Share of the prior that is there from the start; the rest waits for a late onset."""
ONSET: Final = 1500.0
"""Seconds in which a late onset enters with probability 1 - 1/e."""


@lru_cache(maxsize=256)
def _logs(limit: float) -> tuple[tuple[float, float], ...]:
    """Return each alternative's gain by a bad trial and by a good one."""
    alternatives = (min(ratio * limit, 1.0 - (1.0 - limit) / ratio) for ratio in RATIOS)
    return tuple((math.log(p / limit), math.log((1.0 - p) / (1.0 - limit))) for p in alternatives)


def log_above(bad: int, trials: int, limit: float) -> float:
    """Return the log e-value against the null that the share is at most `limit`, which lies within (0, 1)."""
    good = trials - bad
    return log_sum_exp([bad * up + good * down + LOG_PRIOR for up, down in _logs(limit)])


def log_below(bad: int, trials: int, limit: float) -> float:
    """Return the log e-value against the null that the share is at least `limit`."""
    return log_above(trials - bad, trials, 1.0 - limit)


def gain_below(share: float, limit: float) -> float:
    """Return the nats of evidence for "below" that one trial is worth, the share being what it is; 0 if it is not."""
    if share >= limit:
        return 0.0
    gains = [share * down + (1.0 - share) * up for up, down in _logs(1.0 - limit)]
    return max(0.0, *gains)


@dataclass(frozen=True, slots=True)
class State:
    """The test that the share is too large with a late onset in mind, rounded as it is packed."""

    wealth: tuple[float, ...] = (float(f"{math.log(START_MASS) + LOG_PRIOR:.6g}"),) * len(RATIOS)
    """Log wealth of each alternative, its prior included."""
    waiting: float = float(f"{1.0 - START_MASS:.6g}")
    """Prior mass of late onsets still to come."""

    @property
    def log_above(self) -> float:
        """Log e-value against the null that the share was never above the limit."""
        return log_sum_exp((*self.wealth, math.log(self.waiting)) if self.waiting > 0.0 else self.wealth)

    def pack(self) -> str:
        """Write it as text, exact."""
        return " ".join(f"{number:.6g}" for number in (self.waiting, *self.wealth))


def unpack(text: str) -> State | None:
    """Read what `pack` wrote; None for anything else."""
    try:
        waiting, *wealth = (float(word) for word in text.split(" "))
    except ValueError:
        return None
    usable = len(wealth) == len(RATIOS) and all(math.isfinite(one) for one in wealth) and 0.0 <= waiting <= 1.0
    return State(tuple(wealth), waiting) if usable else None


def update(state: State, bad: int, trials: int, limit: float, seconds: float) -> State:
    """Count one window of `seconds`."""
    entering = state.waiting * -math.expm1(-seconds / ONSET)
    fresh = math.log(entering) + LOG_PRIOR if entering > 0.0 else -math.inf
    good = trials - bad
    wealth = (
        log_sum_exp((value, fresh)) + bad * up + good * down
        for value, (up, down) in zip(state.wealth, _logs(limit), strict=True)
    )
    return State(tuple(float(f"{one:.6g}") for one in wealth), float(f"{state.waiting - entering:.6g}"))
