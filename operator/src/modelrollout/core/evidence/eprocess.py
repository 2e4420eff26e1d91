"""The two tests of one metric, run side by side over windows.

*Harm* asks whether the candidate is worse than tolerated (null: it is not); it rolls back. *Safety* asks whether the
candidate is safe at the next weight (null: it is at or beyond that step's margin); it promotes. Both are
e-processes: their expectation under the null is at most 1 at every moment, so by Ville's inequality a limit of
1/alpha is crossed with probability at most alpha over the whole rollout, however often anybody looks.
"""

import base64
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from modelrollout.core.evidence.boosting import Term, log_boost
from modelrollout.core.evidence.rates import MAX_RATE, Margin, log_ratio, project_poisson
from modelrollout.core.evidence.windows import Window

HARM_RATIOS: Final = (1.5, 2.5, 5.0, 12.0, 35.0, 150.0)
HARM_PRIOR: Final = (0.20, 0.18, 0.15, 0.15, 0.25, 0.07)
SAFETY_RATIOS: Final = (1.0, 1.3, 1.0)
"""What the candidate may be as a multiple of stable: its rate as it is now, twice, and the one before the rollout."""
SAFETY_PRIOR: Final = (0.5, 0.15, 0.2, 0.15)
"""Weights of these alternatives; the last waits, for an incident that hits both can ruin what counted before it."""
ENTERING: Final = 0.05
"""Share of the waiting weight of safety that enters with each window."""
_ROUNDING: Final = 1e-9
"""By so much the limit is passed, so that a sum of logarithms does not fall short of it."""
_TINY: Final = 1e-300
PRIOR_REQUESTS: Final = 200.0
"""Least weight of the rate assumed for stable before any of its requests were counted, in requests."""


@dataclass(frozen=True, slots=True)
class Design:
    """Configuration of one metric's tests; all of it is fixed before a window is counted."""

    margin: Margin
    """Harm that is tolerated."""
    bernoulli: bool = False
    """Bernoulli form (for shares that are not small) instead of Poisson."""
    ratios: Sequence[float] = HARM_RATIOS
    prior: Sequence[float] = HARM_PRIOR
    start_mass: float = 1.0
    """Share of the prior on harm that is there from the start; the rest waits for a late onset."""
    hazard: float = 0.0
    """Share of the waiting mass that enters with each window (a Shiryaev mixture)."""
    phi: float = 1.0
    """Overdispersion: log ratios are divided by it."""
    cap: float = math.inf
    """Most that one window may add to log E."""
    safety_prior: Sequence[float] = SAFETY_PRIOR
    """Weights of the safety alternatives, and last of what waits."""
    limit: float = math.inf
    """Log E of harm at which this metric alone rolls back; known, it makes detection faster (see `boosting`)."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the tests remember."""

    end: int
    """Evidence is counted up to here (Unix seconds)."""
    prior_rate: float
    prior_requests: float
    stable_requests: int = 0
    stable_bad: int = 0
    harm: tuple[float, ...] = ()
    """Log wealth of each harm alternative, its prior included."""
    waiting: float = 0.0
    """Prior mass of late onsets still to come."""
    safety: tuple[float, ...] = ()
    """Log wealth of each safety alternative, and last the log weight that waits."""
    safety_best: float = 0.0
    """Largest log E of safety so far at this step."""
    pending: tuple[int, int, int, int] = (0, 0, 0, 0)
    """n_c, x_c, n_s, x_s of windows not yet long enough to count."""
    pending_since: int = 0

    @property
    def log_harm(self) -> float:
        """Log e-value against the null that the candidate is no worse than tolerated."""
        return _log_harm(self.harm, self.waiting)

    @property
    def log_safety(self) -> float:
        """Log e-value against the null that the candidate is at or beyond the step's margin."""
        return log_sum_exp(self.safety)


def log_sum_exp(values: Sequence[float]) -> float:
    """Return log(sum(exp(v))) without overflow; minus infinity for nothing."""
    top = max(values, default=-math.inf)
    if len(values) == 2 and not math.isinf(top):  # most of all calls; the same number, sooner
        return top + math.log(math.exp(values[0] - top) + math.exp(values[1] - top))
    return top if math.isinf(top) else top + math.log(math.fsum([math.exp(value - top) for value in values]))


@lru_cache(maxsize=32)
def _log_harm(harm: tuple[float, ...], waiting: float) -> float:
    """Return the log e-value for harm; asked for several times of the same state."""
    return log_sum_exp((*harm, math.log(waiting)) if waiting > 0.0 else harm)


def _log_add(one: float, two: float) -> float:
    return max(one, two) + math.log1p(math.exp(-abs(one - two)))


def _log(share: float) -> float:
    return math.log(share) if share > 0.0 else -math.inf


def begin(test: Design, end: int, prior_rate: float, prior_requests: float) -> State:
    """Return the state before the first window."""
    return State(
        end=end,
        prior_rate=prior_rate,
        prior_requests=max(prior_requests, PRIOR_REQUESTS),
        harm=tuple(math.log(share * test.start_mass) for share in test.prior),
        waiting=1.0 - test.start_mass,
        safety=tuple(_log(share) for share in test.safety_prior),
        pending_since=end,
    )


def next_step(state: State, end: int) -> State:
    """Begin to count anew at `end`: safety has to be earned again at every weight, harm is never forgotten."""
    return replace(
        state,
        end=end,
        pending=(0, 0, 0, 0),
        pending_since=end,
        safety=tuple(math.log(share) for share in SAFETY_PRIOR),
        safety_best=0.0,
    )


def update(state: State, test: Design, safe: Margin | None, window: Window) -> State:
    """Count one window. `safe` is the margin that the next weight asks for; None when there is none to earn.

    A window without a request of stable shows nothing safe: what cannot be compared has to wait.
    """
    rate = stable_rate(state)
    harm, waiting = _update_harm(state, test, rate, window)
    safety = state.safety if safe is None or window.n_s == 0 else _update_safety(state, test, safe, rate, window)
    return replace(
        state,
        end=window.end,
        stable_requests=state.stable_requests + window.n_s,
        stable_bad=state.stable_bad + window.x_s,
        harm=harm,
        waiting=waiting,
        safety=safety,
        safety_best=state.safety_best if safety is state.safety else max(state.safety_best, log_sum_exp(safety)),
    )


def stable_rate(state: State) -> float:
    """Return the rate of stable expected from its past alone: what makes the alternatives predictable."""
    return (state.stable_bad + state.prior_rate * state.prior_requests) / (state.stable_requests + state.prior_requests)


def _update_harm(state: State, test: Design, rate: float, window: Window) -> tuple[tuple[float, ...], float]:
    before = state.log_harm
    cap = min(test.cap, test.limit + _ROUNDING - before) if before < test.limit else test.cap
    if test.bernoulli or test.phi != 1.0 or test.limit == math.inf:
        wealth, boost = _plain(state, test, rate, window), 0.0
    else:
        terms = _poisson_terms(state, test, rate, window)
        wealth = [c + u * window.x_c + v * window.x_s for c, u, v in terms]
        rest = [(math.log(state.waiting), 0.0, 0.0)] if state.waiting > 0.0 else []
        relative = [(c - before, u, v) for c, u, v in (*terms, *rest)]
        boost = log_boost(window, relative, test.margin.rho, cap)
    entering = state.waiting * test.hazard
    waiting = state.waiting - entering
    if entering > 0.0:
        fresh = math.log(entering)
        wealth = [_log_add(v, fresh + math.log(share)) for v, share in zip(wealth, test.prior, strict=True)]
    after = log_sum_exp((*wealth, math.log(waiting)) if waiting > 0.0 else wealth)
    change = min(boost, cap - (after - before))
    if change != 0.0:
        wealth = [value + change for value in wealth]
        waiting *= math.exp(change)
    return tuple(wealth), waiting


def _plain(state: State, test: Design, rate: float, window: Window) -> list[float]:
    line = test.margin.of(rate)
    wealth = []
    for ratio, value in zip(test.ratios, state.harm, strict=True):
        theta = min(MAX_RATE, ratio * line)
        gain = log_ratio(window, theta, rate, test.margin, bernoulli=test.bernoulli) if theta > line else 0.0
        wealth.append(value + gain / test.phi)
    return wealth


def _poisson_terms(state: State, test: Design, rate: float, window: Window) -> list[Term]:
    """Return each alternative's log wealth after the window as a linear function of the two bad counts."""
    line = test.margin.of(rate)
    terms = []
    for ratio, value in zip(test.ratios, state.harm, strict=True):
        theta = min(MAX_RATE, ratio * line)
        if theta <= line or window.n_c == 0:
            terms.append((value, 0.0, 0.0))
            continue
        null_c, null_s = project_poisson(theta, rate, window.n_c, window.n_s, test.margin)
        less = window.n_c * (theta - null_c) + window.n_s * (rate - null_s)
        terms.append((value - less, math.log(theta / null_c), math.log(rate / max(null_s, _TINY))))
    return terms


def _update_safety(state: State, test: Design, safe: Margin, rate: float, window: Window) -> tuple[float, ...]:
    gains = []
    for ratio, base in zip(SAFETY_RATIOS, (rate, rate, state.prior_rate), strict=True):
        better = ratio * base < min(safe.of(base), MAX_RATE)
        gain = log_ratio(window, ratio * base, base, safe, bernoulli=test.bernoulli) if better else 0.0
        gains.append(gain / test.phi)
    return advance_safety(state.safety, gains)


@lru_cache(maxsize=8)
def _entering_shares(alternatives: int) -> tuple[float, ...]:
    """Return how what enters is shared out among the alternatives; logarithms."""
    total = math.fsum(SAFETY_PRIOR[:alternatives])
    return tuple(math.log(share / total) for share in SAFETY_PRIOR[:alternatives])


def advance_safety(safety: Sequence[float], gains: Sequence[float]) -> tuple[float, ...]:
    """Return the log wealth of each alternative after a window, and last what still waits.

    A part of the waiting weight enters with each window: a mixture over the moments at which one may begin to count, so
    that evidence against safety from an incident does not have to be made up for.
    """
    *wealth, waiting = safety
    if waiting == -math.inf:
        return (*(value + gain for value, gain in zip(wealth, gains, strict=True)), waiting)
    entering = waiting + math.log(ENTERING)
    grown = [
        log_sum_exp((value + gain, entering + share))
        for value, gain, share in zip(wealth, gains, _entering_shares(len(wealth)), strict=True)
    ]
    return (*grown, waiting + math.log1p(-ENTERING))


VERSION: Final = 3
"""Of the packed form; another one is not read."""
_HEAD = struct.Struct("<BIIdd2Q4I")


def pack(state: State) -> str:
    """Write a state as text for the resource's status: exact, under 300 characters."""
    head = _HEAD.pack(
        VERSION,
        state.end,
        state.pending_since,
        state.prior_rate,
        state.prior_requests,
        state.stable_requests,
        state.stable_bad,
        *state.pending,
    )
    numbers = (*state.harm, state.waiting, *state.safety, state.safety_best)
    return base64.b64encode(head + struct.pack(f"<{len(numbers)}d", *numbers)).decode()


def unpack(text: str) -> State | None:
    """Read what `pack` wrote; None for anything else, such as a state of another version."""
    try:
        raw = base64.b64decode(text, validate=True)
        version, end, since, rate, requests, n_s, x_s, *pending = _HEAD.unpack_from(raw)
        numbers = struct.unpack_from(f"<{len(HARM_RATIOS) + len(SAFETY_PRIOR) + 2}d", raw, _HEAD.size)
    except (ValueError, struct.error):
        return None
    if version != VERSION:
        return None
    cut = len(HARM_RATIOS)
    return State(
        end=end,
        prior_rate=rate,
        prior_requests=requests,
        stable_requests=n_s,
        stable_bad=x_s,
        harm=numbers[:cut],
        waiting=numbers[cut],
        safety=numbers[cut + 1 : -1],
        safety_best=numbers[-1],
        pending=(pending[0], pending[1], pending[2], pending[3]),
        pending_since=since,
    )
