"""Configurations of the rollback test that the suites run with."""

from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.decision.engine import Profile, begin, boosted, joined, rollback_time
from benchmarks.decision.targets import ALPHA
from benchmarks.decision.traffic import PAST_MINUTES, PODS, Clustered, Counts, Floats, Ints
from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.core.evidence import dispersion
from modelrollout.core.evidence.dispersion import Dispersion
from modelrollout.core.evidence.judge import harm_shares
from modelrollout.core.evidence.metrics import errors
from modelrollout.core.evidence.two_sample import ONSET, START_MASS


def default(analysis: Analysis) -> Profile:
    """Return what the operator runs `errors` with in an analysis: its share of alpha, its margin."""
    (test,) = (test for test in errors.tests(Metric(name="errors")) if isinstance(test, errors.Errors))
    share = harm_shares(analysis)[test.name]
    design = replace(test.rates.design, start_mass=START_MASS)
    return boosted(Profile("default", design, ALPHA * share, gross=True, onset=ONSET))


DEFAULT: Final = default(Analysis(preset="any"))
"""The profile of a resource that says nothing about its analysis."""


def past(rng: np.random.Generator, runs: int, rps: float, p0: float) -> tuple[Ints, Ints]:
    """Return an hour of stable: requests and bad ones of each minute and pod."""
    n = rng.poisson(rps * 60.0 / PODS, (runs, PAST_MINUTES, PODS))
    return n, rng.binomial(n, p0)


def measured(n: Ints, x: Ints) -> Dispersion:
    """Measure the scatter of one run's past (minutes, pods) as the operator does."""
    cells = [list(zip(a, b, strict=True)) for a, b in zip(n.tolist(), x.tolist(), strict=True)]
    return dispersion.measure(cells, ALPHA)


def measured_times(profile: Profile, clustered: Clustered) -> Floats:
    """Return each run's time of rollback, its overdispersion measured on its own past."""
    times = []
    for run in range(len(clustered.counts.n_c)):
        n, x = clustered.past_n[run], clustered.past_x[run]
        ready = profile.with_scatter(measured(n, x))
        state = begin(ready.design, int(n.sum()), int(x.sum()))
        times.append(rollback_time(ready, state, joined(clustered.counts.run(run), clustered.counts.seconds)))
    return np.array(times)


def default_times(counts: Counts, rng: np.random.Generator, rps: float, p0: float) -> Floats:
    """Return each run's time of rollback under the operator's defaults, an hour of stable's pods read first."""
    n, x = past(rng, len(counts.n_c), rps, p0)
    return measured_times(DEFAULT, Clustered(counts, n, x))
