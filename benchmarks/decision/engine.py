"""The operator's own tests on simulated counts: nothing of the method is written again here."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.decision.targets import ALPHA, WINDOW
from benchmarks.decision.traffic import Counts, Floats
from modelrollout.core.evidence import eprocess, gross
from modelrollout.core.evidence.dispersion import Dispersion
from modelrollout.core.evidence.eprocess import Design, State
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.two_sample import MAX_JOINED, MIN_REQUESTS, PRIOR_WEIGHT
from modelrollout.core.evidence.windows import Window

PAST: Final = 3600
"""Seconds of stable's traffic before a rollout, from which its rate is expected."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A configuration of the rollback test of failed requests."""

    name: str
    design: Design
    alpha: float = ALPHA
    """This metric's share of the whole."""
    gross: bool = False
    """Whether the fast path for gross failure takes its part of alpha."""
    onset: float = math.inf
    """Seconds in which a late onset enters with probability 1 - 1/e."""

    @property
    def limit(self) -> float:
        """Log e-value of the test proper that rolls back."""
        return -math.log(self.alpha) - (math.log(1.0 - gross.SHARE) if self.gross else 0.0)

    def after(self, seconds: float) -> Design:
        """Return the configuration for a window of so many seconds."""
        if math.isinf(self.onset):
            return self.design
        return replace(self.design, hazard=-math.expm1(-seconds / self.onset))

    def with_scatter(self, scatter: Dispersion) -> "Profile":
        """Return the profile for a measured overdispersion."""
        return replace(self, design=replace(self.design, phi=scatter.phi, cap=scatter.cap))


def boosted(profile: Profile) -> Profile:
    """Return the profile with its limit known to the test, as in production."""
    return replace(profile, design=replace(profile.design, limit=profile.limit))


SHARP: Final = boosted(Profile("sharp", Design(Margin(1.0, 0.0))))
PLAIN: Final = Profile("sharp, not boosted", Design(Margin(1.0, 0.0)))


def joined(windows: Iterable[tuple[int, int, int, int]], seconds: int = WINDOW) -> Iterable[Window]:
    """Yield windows joined until the candidate has enough requests, as the operator joins them."""
    pending, since, end = (0, 0, 0, 0), 0, 0
    for window in windows:
        end += seconds
        pending = (
            pending[0] + window[0],
            pending[1] + window[1],
            pending[2] + window[2],
            pending[3] + window[3],
        )
        if pending[0] >= MIN_REQUESTS or (pending[0] > 0 and end - since >= MAX_JOINED):
            yield Window(end, *pending)
            pending, since = (0, 0, 0, 0), end


def begin(design: Design, requests: int, bad: int) -> State:
    """Return the state before the first window, from stable's past."""
    return state_of(design, (bad + 0.2) / (requests + 200.0), requests)


def state_of(design: Design, rate: float, requests: int) -> State:
    """Return the state before the first window, where stable's rate is expected to be `rate`."""
    return eprocess.begin(design, 0, rate, float(min(requests, PRIOR_WEIGHT)))


def rollback_time(profile: Profile, state: State, windows: Iterable[Window]) -> float:
    """Return the end of the window that rolls back, in seconds; infinite for none."""
    need = -math.log(profile.alpha)
    wealth, seen, end = gross.START, 0, 0
    for window in windows:
        if profile.gross:
            seen += window.n_c
            wealth = gross.update(wealth, window, eprocess.stable_rate(state), need)
        state = eprocess.update(state, profile.after(window.end - end), None, window)
        end = window.end
        log_harm = gross.combined(state.log_harm, wealth, seen) if profile.gross else state.log_harm
        if log_harm >= need:
            return float(window.end)
    return math.inf


def rollback_times(profile: Profile, counts: Counts, rng: np.random.Generator, rps: float, p0: float) -> Floats:
    """Return each run's time of rollback; stable's past is drawn at its rate."""
    requests = min(PRIOR_WEIGHT, round(rps * PAST))
    pasts = rng.binomial(requests, p0, size=len(counts.n_c))
    return np.array(
        [
            rollback_time(profile, begin(profile.design, requests, int(bad)), joined(counts.run(run), counts.seconds))
            for run, bad in enumerate(pasts)
        ]
    )
