"""Is the candidate slower? A test on whole histograms: ordinal multinomial counts, window by window.

The null is "the candidate is stochastically no slower than stable times a factor" within each window, for any
distribution of either, free to change from window to window. Cells are stretches of time between boundaries; the
factor is in the boundaries: those of the candidate lie higher than stable's. With cell shares `p` for stable and
`q_j` for the candidate under alternative j,

    log L_j = sum_b c_b log(q_jb / mix_jb) + sum_b s_b log(p_b / mix_jb),  mix_j = (n_c q_j + n_s p) / (n_c + n_s).

With `q_j / p` rising from cell to cell, the expectation of `L_j` under the null is at most 1: slower answers only ever
raise it, and at equality it is the likelihood ratio of which revision an answer came from (by the inequality of the
means for shares that are not exactly `p`). Any `p` and `q_j` fixed before the window is counted will do: they decide
the power, never the validity.
"""

import base64
import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Logs = NDArray[np.uint16]

SCALES: Final = (1.1, 1.25, 1.5, 2.0, 4.0)
"""Alternatives: so many times slower than tolerated."""
TAILS: Final = (0.01, 0.05, 0.2)
"""Alternatives: such a share of requests moved above stable's 95th percentile, most of it far above."""
PRIOR: Final = np.array((0.15, 0.12, 0.12, 0.12, 0.07, 0.08, 0.07, 0.07, 0.20))
"""Weights of the alternatives; the last is the one that learns from the candidate itself."""
LOG_PRIOR: Final = np.log(PRIOR)
LOG_SCALES: Final = np.log(np.array(SCALES))[:, None]
_TAILS: Final = np.array(TAILS)[:, None]
MEMORY: Final = 5000.0
"""Requests that the shares of stable remember."""
CANDIDATE_MEMORY: Final = 1000.0
DOUBT: Final = 30.0
"""Requests' worth of stable's shares that the learning alternative begins with."""
START_MASS: Final = 0.7
"""Share of the prior that is there from the start; the rest waits for a late onset."""
ONSET: Final = 1500.0
"""Seconds in which a late onset enters with probability 1 - 1/e."""
MOST_CELLS: Final = 18


@dataclass(frozen=True, slots=True)
class Design:
    """Configuration, fixed before a window is counted."""

    low: tuple[float, ...]
    """Stable's boundaries, ascending, in seconds; one cell more than boundaries."""
    high: tuple[float, ...]
    """The candidate's: each at least the tolerated factor above stable's."""
    phi: float = 1.0
    cap: float = math.inf


@lru_cache(maxsize=64)
def _grid(low: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return where stable's distribution is known, and where each scaled alternative asks for it; logarithms."""
    logs = np.log(np.asarray(low))
    # Beyond the outermost boundaries the distribution is taken to reach two e-foldings further.
    return np.concatenate(([logs[0] - 2.0], logs, [logs[-1] + 2.0])), logs - LOG_SCALES


@dataclass(frozen=True, slots=True)
class State:
    """All that the test remembers, rounded as it is packed: so a restart changes nothing."""

    stable: Logs
    """Shares of stable's cells, as logarithms."""
    seen: float
    """Requests behind `stable`, at most MEMORY."""
    candidate: Logs
    """Shares that the learning alternative assumes for the candidate."""
    candidate_seen: float
    wealth: Floats
    """Log wealth of each alternative, its prior included."""
    waiting: float
    """Prior mass of late onsets still to come."""
    log_harm: float = field(init=False)
    """Log e-value against the null."""
    shares: Floats = field(init=False)
    """Shares of stable's cells."""

    def __post_init__(self) -> None:
        """Work out once what is asked for several times a window."""
        object.__setattr__(self, "log_harm", _log_harm(self.wealth, self.waiting))
        object.__setattr__(self, "shares", _shares(self.stable))


def begin(cells: Floats) -> State:
    """Return the state before the first window; `cells`: what stable's past holds in each cell."""
    logs = _logs(np.asarray(cells, dtype=np.float64))
    wealth = np.log(PRIOR * START_MASS).astype(np.float32).astype(np.float64)
    return State(logs, float(min(cells.sum(), MEMORY)), logs, DOUBT, wealth, 1.0 - START_MASS)


def update(state: State, design: Design, candidate: Floats, stable: Floats, seconds: float) -> State:
    """Count one window of `seconds`: requests of each revision in each of its cells."""
    n_c, n_s = float(_sum(candidate)), float(_sum(stable))
    p, learned = state.shares, _shares(state.candidate)
    wealth, waiting, log_p = state.wealth, state.waiting, np.log(p)
    if n_c and n_s:
        q = alternatives(p, learned, design)
        log_mix = np.log((n_c * q + n_s * p) / (n_c + n_s))
        wealth = wealth + ((np.log(q) - log_mix) @ candidate + (log_p - log_mix) @ stable) / design.phi
    entering = waiting * -math.expm1(-seconds / ONSET)
    if entering > 0.0:
        wealth = np.logaddexp(wealth, LOG_PRIOR + math.log(entering))
    waiting -= entering
    excess = _log_harm(wealth, waiting) - state.log_harm - design.cap if design.cap < math.inf else 0.0
    if excess > 0.0:
        wealth, waiting = wealth - excess, waiting * math.exp(-excess)
    return State(
        stable=_logs(p * state.seen + stable),
        seen=min(state.seen + n_s, MEMORY),
        candidate=_logs(learned * state.candidate_seen + candidate),
        candidate_seen=min(state.candidate_seen + n_c, CANDIDATE_MEMORY),
        wealth=wealth.astype(np.float32).astype(np.float64),
        waiting=_single(waiting),
    )


def alternatives(p: Floats, learned: Floats, design: Design) -> Floats:
    """Return the candidate's cell shares under each alternative; a row each, sums 1, `row / p` rising."""
    below = np.zeros(len(p) + 1)
    np.cumsum(p, out=below[1:])
    grid, asked = _grid(design.low)
    inner = np.interp(asked, grid, below)
    rows = np.empty((len(PRIOR), len(p)))
    rows[: len(SCALES), 0] = inner[:, 0]
    rows[: len(SCALES), 1:-1] = inner[:, 1:] - inner[:, :-1]
    rows[: len(SCALES), -1] = 1.0 - inner[:, -1]
    rows[len(SCALES) : -1] = (1.0 - _TAILS) * p + _TAILS * _heavy(p, below)
    rows[-1] = learned
    np.maximum(rows, 1e-12, out=rows)
    return _rising(rows, p)


def _heavy(p: Floats, below: Floats) -> Floats:
    """Return where requests go that become slow: a part just above stable's 95th percentile, most far beyond."""
    last = len(p) - 1
    near, far = min(int(below.searchsorted(0.95)), last), max(int(below.searchsorted(0.999)) - 1, 0)
    shares = np.zeros(len(p))
    shares[near:] = p[near:] * (0.4 / _sum(p[near:]))
    shares[far:] += 0.6 / (len(p) - far)
    return shares


def _rising(rows: Floats, p: Floats) -> Floats:
    """Return rows with `row / p` made to rise, summing to 1.

    Halfway between the least rising sequence above and the greatest below: close to an isotonic regression, and
    a tenth of its time.
    """
    ratio = rows / p
    above = np.maximum.accumulate(ratio, axis=1)
    under = np.minimum.accumulate(ratio[:, ::-1], axis=1)[:, ::-1]
    rows = (above + under) * p
    result: Floats = rows / _sum(rows, axis=1, keepdims=True)
    return result


_sum: Final = np.add.reduce


def _log_harm(wealth: Floats, waiting: float) -> float:
    total = _log_sum(wealth)
    return total if waiting <= 0.0 else _log_add(total, math.log(waiting))


def _log_sum(values: Floats) -> float:
    top = float(np.maximum.reduce(values))
    return top + math.log(float(_sum(np.exp(values - top))))


def _log_add(one: float, two: float) -> float:
    return max(one, two) + math.log1p(math.exp(-abs(one - two)))


_STEP: Final = 2048.0
_HEAD: Final = struct.Struct("<Bfff")
_SINGLE: Final = struct.Struct("<f")


def _logs(cells: Floats) -> Logs:
    """Return shares of counts, none of them zero, as 16-bit logarithms (base 2, steps of 1/2048)."""
    padded = cells + 0.02
    logs: Logs = np.minimum(np.rint(np.log2(padded / _sum(padded)) * -_STEP), 65535.0).astype(np.uint16)
    return logs


def _shares(logs: Logs) -> Floats:
    shares: Floats = np.exp2(logs / -_STEP)
    shares /= _sum(shares)
    return shares


def _single(value: float) -> float:
    return float(_SINGLE.unpack(_SINGLE.pack(value))[0])


def pack(state: State) -> str:
    """Write a state as text: exact, 164 characters for 18 cells."""
    head = _HEAD.pack(len(state.stable), state.seen, state.candidate_seen, state.waiting)
    logs = state.stable.astype("<u2").tobytes() + state.candidate.astype("<u2").tobytes()
    return base64.b64encode(head + logs + state.wealth.astype("<f4").tobytes()).decode()


def unpack(text: str) -> State | None:
    """Read what `pack` wrote; None for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
        cells, seen, candidate_seen, waiting = _HEAD.unpack_from(raw)
        logs = np.frombuffer(raw, "<u2", 2 * cells, _HEAD.size).astype(np.uint16)
        wealth = np.frombuffer(raw, "<f4", len(PRIOR), _HEAD.size + 4 * cells).astype(np.float64)
    except (ValueError, struct.error):
        return None
    if cells < 2 or not np.isfinite(wealth).all() or not math.isfinite(seen + candidate_seen + waiting):
        return None
    return State(logs[:cells], seen, logs[cells:], candidate_seen, wealth, waiting)
