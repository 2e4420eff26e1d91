"""The test of the guard: one revision has all the traffic, and nothing is left to compare it with.

What remains to be seen is gross failure, judged against a fixed null (a quarter of requests failing) with a small
share of alpha of its own. The e-value is a function of two totals alone, so it needs no state:
`E = sum_j pi_j (p_j/p0)^x ((1-p_j)/(1-p0))^(n-x)`, the likelihood ratio of Bernoulli counts, mixed.
"""

import math
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, wording
from modelrollout.core.evidence.eprocess import log_sum_exp
from modelrollout.core.evidence.judge import GUARD_SHARE
from modelrollout.core.evidence.windows import Reading

GROSS: Final = 0.25
"""The null: at most this share of requests fails."""
ALTERNATIVES: Final = (0.4, 0.6, 0.9)
NAME: Final = "guard"
METRIC: Final = "errors"


def judge_guard(analysis: Analysis, last: Verdict | None, reading: Reading | None, since: int) -> tuple[Verdict, int]:
    """Count the guarded revision's requests on from `since`; returns the verdict and the new end."""
    verdict = last or Verdict(name=NAME, verdict=VerdictKind.NO_DATA, message=wording.WAITING)
    if reading is None:
        return verdict, since
    if reading.error is not None:
        changes = {"verdict": VerdictKind.PROVIDER_ERROR, "reason": Reason.PROVIDER_ERROR}
        return verdict.model_copy(update={**changes, "message": wording.provider_error(reading.error)}), since
    start = next((k for k, instant in enumerate(reading.instants[:-1]) if instant >= since), None)
    if start is None:
        return verdict, since
    windows = counters.bad_and_all(reading, start)
    tally = Tally(
        requests=verdict.candidate.requests + sum(window[0] for window in windows),
        bad=verdict.candidate.bad + sum(window[1] for window in windows),
    )
    log_e = log_gross(tally)
    failed = log_e >= math.log(1.0 / (GUARD_SHARE * parse_percent(analysis.false_rollback)))
    share = f" ({wording.percent(tally.bad / tally.requests)})" if tally.requests else ""
    text = f"{tally.bad}/{tally.requests}{share} requests failed since promotion; e-value {wording.e_value(log_e)}"
    kind, reason = (VerdictKind.NO_DATA, Reason.NO_TRAFFIC) if tally.requests == 0 else (VerdictKind.PASS, Reason.SAFE)
    if failed:
        kind, reason, text = VerdictKind.FAIL, Reason.HARMFUL, f"more than {wording.percent(GROSS)} fail: {text}"
    changed = verdict.model_copy(update={"candidate": tally, "harm": f"{log_e:.2f}"})
    return changed.model_copy(update={"verdict": kind, "reason": reason, "message": text}), reading.instants[-1]


def log_gross(tally: Tally) -> float:
    """Return the log e-value against the null that at most a quarter of requests fails."""
    good = tally.requests - tally.bad
    return log_sum_exp(
        [
            tally.bad * math.log(p / GROSS) + good * math.log((1.0 - p) / (1.0 - GROSS)) - math.log(len(ALTERNATIVES))
            for p in ALTERNATIVES
        ]
    )
