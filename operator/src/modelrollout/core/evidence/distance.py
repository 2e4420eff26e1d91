"""Are two distributions further apart than tolerated? Kolmogorov-Smirnov distance, window by window.

At each of a few boundaries, and for both signs, the null is that the candidate's share below (or above) it is at most
stable's plus the tolerance: `p_c <= p_s + delta`, the test of two rates in its Bernoulli form (see `rates`), with
`p_s` free to change from window to window. The mean of all those e-processes is one, whatever their dependence, so
nothing is paid for looking in many places but the logarithm of their number. Safety is shown the other way round: at
every boundary and for both signs, the difference must be shown to be below a wider tolerance.
"""

import base64
import math
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS: Final = np.array((0.05, 0.15, 0.35))
"""Alternatives: so far beyond the tolerance."""
PRIOR: Final = np.array((0.45, 0.4, 0.15))[:, None, None]
"""Their weights."""
MEMORY: Final = 5000.0
"""Values that the shares remember."""
START_MASS: Final = 0.85
"""Share of the prior that is there from the start; the rest waits for a late onset."""
ONSET: Final = 1500.0
"""Seconds in which a late onset enters with probability 1 - 1/e."""
_TINY: Final = 1e-9
_WHOLE: Final = 65535.0
_FINE: Final = 512.0


@dataclass(frozen=True, slots=True)
class Design:
    """Configuration, fixed before a window is counted."""

    tolerance: float
    """Distance that is tolerated."""
    phi: float = 1.0
    """Overdispersion: log ratios are divided by it."""
    cap: float = math.inf
    """Most that one window may add to log E of harm."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the tests remember of K boundaries, rounded as it is packed: so a restart changes nothing."""

    stable: Floats
    """Stable's share at or below each boundary; what makes the alternatives predictable."""
    seen: float
    """Values behind `stable`, at most MEMORY."""
    candidate: Floats
    """The candidate's shares; for people only."""
    candidate_seen: float
    wealth: Floats
    """Log wealth of harm, prior included: one row a step, sign (below, above) and boundary."""
    safety: Floats
    """Log wealth of safety: one row a sign, and boundary."""
    waiting: float = 1.0 - START_MASS
    """Prior mass of late onsets still to come."""
    best: float = 0.0
    """Largest log e-value of safety so far at this step."""

    @property
    def log_harm(self) -> float:
        """Log e-value against the null that the distance is within the tolerance."""
        top = float(self.wealth.max())
        total = top + math.log(float(np.exp(self.wealth - top).sum()))
        return total if self.waiting <= 0.0 else float(np.logaddexp(total, math.log(self.waiting)))

    @property
    def log_safety(self) -> float:
        """Log e-value against the null that the distance is beyond the step's tolerance at some boundary."""
        return float(self.safety.min())

    @property
    def distance(self) -> float:
        """Return the distance at the boundaries, over the last few thousand values."""
        return float(np.abs(self.candidate - self.stable).max())

    @property
    def stability_index(self) -> float:
        """Return the population stability index of the cells between the boundaries."""
        p, q = (np.maximum(np.diff(shares, prepend=0.0, append=1.0), 1e-4) for shares in (self.candidate, self.stable))
        return float(((p - q) * np.log(p / q)).sum())


def begin(below: Floats, total: float) -> State:
    """Return the state before the first window; `below`: values of stable's past at or below each boundary."""
    boundaries = len(below)
    shares = _shares((below + 0.5) / (total + 1.0))
    seen = _single(min(total, MEMORY))
    wealth = np.log(np.broadcast_to(PRIOR * START_MASS / (2 * boundaries), (len(STEPS), 2, boundaries)))
    return State(shares, seen, shares, 0.0, _singles(wealth), np.zeros((2, boundaries)))


def next_step(state: State) -> State:
    """Return the state as a new weight begins: safety to be earned anew, harm never forgotten."""
    return State(
        state.stable,
        state.seen,
        state.candidate,
        state.candidate_seen,
        state.wealth,
        np.zeros(state.safety.shape),
        state.waiting,
    )


def update(state: State, design: Design, safe: float, counts: tuple[Floats, Floats], seconds: float) -> State:
    """Count one window of `seconds`; cumulative counts of candidate and stable at the boundaries and, last, of all.

    `safe` is the distance that the next weight asks to be shown to stay below.
    """
    candidate, stable = counts
    (x_c, n_c), (x_s, n_s) = ((_signs(one[:-1], one[-1]), float(one[-1])) for one in (candidate, stable))
    wealth, safety, waiting = state.wealth, state.safety, state.waiting
    entering = waiting * -math.expm1(-seconds / ONSET)
    if entering > 0.0:
        wealth = np.logaddexp(wealth, np.log(PRIOR * entering / (2 * wealth.shape[2])))
        waiting -= entering
    if n_c and n_s:
        shares = _signs(state.stable, 1.0)
        alternatives = np.concatenate((_worse(shares, design.tolerance), shares[None]))
        deltas = np.array((*(design.tolerance,) * len(STEPS), safe))[:, None, None]
        gains = log_ratio(alternatives, shares, deltas, (x_c, n_c), (x_s, n_s)) / design.phi
        wealth, safety = wealth + gains[:-1], safety + gains[-1]
    after = State(state.stable, state.seen, state.candidate, state.candidate_seen, wealth, safety, waiting)
    excess = after.log_harm - state.log_harm - design.cap
    if excess > 0.0:
        wealth, waiting = wealth - excess, waiting * math.exp(-excess)
    safety = np.clip(np.floor(safety * _FINE), -32768.0, 32767.0) / _FINE
    return State(
        stable=_blend(state.stable, state.seen, stable),
        seen=_single(min(state.seen + n_s, MEMORY)),
        candidate=_blend(state.candidate, state.candidate_seen, candidate),
        candidate_seen=_single(min(state.candidate_seen + n_c, MEMORY)),
        wealth=_singles(wealth),
        safety=safety,
        waiting=_single(waiting),
        best=_single(max(state.best, float(safety.min()))),
    )


def log_ratio(
    theta_c: Floats,
    theta_s: Floats,
    delta: Floats | float,
    candidate: tuple[Floats, Floats | float],
    stable: tuple[Floats, Floats | float],
) -> Floats:
    """Return log likelihood ratios (nats) of alternatives against the null nearest to each; arrays broadcast.

    `candidate` and `stable` are bad counts and trials; 0 where the alternative is not beyond the null's border.
    """
    (x_c, n_c), (x_s, n_s) = candidate, stable
    usable = (theta_c < 1.0 - 1e-3) & (np.abs(theta_c - theta_s - delta) > 1e-6)
    theta_c = np.where(usable, theta_c, 0.5)
    null_s = project(theta_c, theta_s, n_c, n_s, delta)
    null_c = null_s + delta
    gain = x_c * np.log(theta_c / null_c) + (n_c - x_c) * np.log((1.0 - theta_c) / (1.0 - null_c))
    gain += x_s * np.log(theta_s / null_s) + (n_s - x_s) * np.log((1.0 - theta_s) / (1.0 - null_s))
    return np.where(usable, gain, 0.0)


def project(
    theta_c: Floats, theta_s: Floats, n_c: Floats | float, n_s: Floats | float, delta: Floats | float
) -> Floats:
    """Return stable's share at the point of `p_c = p_s + delta` nearest to each alternative, for Bernoulli counts.

    The derivative of the divergence, without its denominators, is a cubic with one root between the two sides' shares:
    Newton's steps from their mean weighted by precision, halving the bracket where a step would leave it.
    """
    top = 1.0 - delta - _TINY
    low = np.clip(np.minimum(theta_s, theta_c - delta), _TINY, top)
    high = np.clip(np.maximum(theta_s, theta_c - delta), _TINY, top)
    weight_c, weight_s = n_c / (theta_c * (1.0 - theta_c)), n_s / (theta_s * (1.0 - theta_s))
    part_c = weight_c / (weight_c + weight_s)
    part_s = 1.0 - part_c
    t = np.clip(part_c * (theta_c - delta) + part_s * theta_s, low, high)
    scale_c, scale_s = n_c / (n_c + n_s), n_s / (n_c + n_s)
    for _ in range(60):
        c = t + delta
        var_t, var_c, off_c, off_s = t * (1.0 - t), c * (1.0 - c), c - theta_c, t - theta_s
        value = scale_c * off_c * var_t + scale_s * off_s * var_c
        slope = scale_c * (var_t + off_c * (1.0 - 2.0 * t)) + scale_s * (var_c + off_s * (1.0 - 2.0 * c))
        under = value < 0.0
        low, high = np.where(under, t, low), np.where(under, high, t)
        after = t - value / np.where(slope > _TINY, slope, _TINY)
        after = np.where((after >= low) & (after <= high), after, 0.5 * (low + high))
        moved, t = float(np.abs(after - t).max()), after
        if moved <= 1e-13:
            break
    return t


def _worse(shares: Floats, tolerance: float) -> Floats:
    line = shares + tolerance
    return np.where(line < 0.99, line + np.minimum(STEPS[:, None, None], 0.9 * (1.0 - line)), 1.0)


def _signs(below: Floats, total: float) -> Floats:
    return np.stack((below, total - below))


def _blend(shares: Floats, seen: float, counts: Floats) -> Floats:
    total = seen + float(counts[-1])
    return shares if total <= 0.0 else _shares((shares * seen + counts[:-1] + 1e-3) / (total + 2e-3))


def _shares(shares: Floats) -> Floats:
    rounded: Floats = np.clip(np.rint(shares * _WHOLE), 1.0, _WHOLE - 1.0) / _WHOLE
    return rounded


def _singles(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)


_SINGLE: Final = struct.Struct("<f")
_HEAD: Final = struct.Struct("<Bffff")


def _single(value: float) -> float:
    return float(_SINGLE.unpack(_SINGLE.pack(value))[0])


def pack(state: State) -> str:
    """Write a state as text: exact, 236 characters for 5 boundaries."""
    head = _HEAD.pack(len(state.stable), state.seen, state.candidate_seen, state.waiting, state.best)
    shares = np.rint(np.concatenate((state.stable, state.candidate)) * _WHOLE).astype("<u2")
    safety = np.rint(state.safety * _FINE).astype("<i2")
    raw = head + shares.tobytes() + safety.tobytes() + state.wealth.astype("<f4").tobytes()
    return base64.b64encode(raw).decode()


def unpack(text: str) -> State | None:
    """Read what `pack` wrote; None for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
        boundaries, seen, candidate_seen, waiting, best = _HEAD.unpack_from(raw)
        place = _HEAD.size
        shares = np.frombuffer(raw, "<u2", 2 * boundaries, place).astype(np.float64) / _WHOLE
        safety = np.frombuffer(raw, "<i2", 2 * boundaries, place + 4 * boundaries).astype(np.float64) / _FINE
        wealth = np.frombuffer(raw, "<f4", 2 * len(STEPS) * boundaries, place + 8 * boundaries).astype(np.float64)
    except (ValueError, struct.error):
        return None
    known = math.isfinite(seen + candidate_seen + waiting + best) and bool(np.isfinite(wealth).all())
    if not boundaries or not known or not bool(((shares > 0.0) & (shares < 1.0)).all()):
        return None
    return State(
        stable=shares[:boundaries],
        seen=seen,
        candidate=shares[boundaries:],
        candidate_seen=candidate_seen,
        wealth=wealth.reshape(len(STEPS), 2, boundaries),
        safety=safety.reshape(2, boundaries),
        waiting=waiting,
        best=best,
    )
