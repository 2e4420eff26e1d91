"""The test of the guard: one revision has all the traffic, and nothing is left to compare it with.

What remains to be seen is failure against a fixed limit: that of the analysis' `slo`, or gross failure (a quarter of
requests), with a small share of alpha of its own. The e-value is a function of two totals alone (see `paired`), so it
needs no state.
"""

import math
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import counters, paired, wording
from modelrollout.core.evidence.judge import GUARD_SHARE
from modelrollout.core.evidence.metrics import slo
from modelrollout.core.evidence.tallies import with_candidate
from modelrollout.core.evidence.windows import Reading

GROSS: Final = 0.25
"""The null where there is no `slo`: at most this share of requests fails."""
NAME: Final = "guard"


def source(analysis: Analysis) -> str:
    """Return the metric whose readings are watched: failed requests, as `slo` counts them where there is one."""
    return "slo" if any(metric.name == "slo" for metric in analysis.metrics) else "errors"


def limit(analysis: Analysis) -> float:
    """Return the highest share of requests that may fail."""
    return next((slo.limit(metric) for metric in analysis.metrics if metric.name == "slo"), GROSS)


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
    tally = with_candidate(verdict.candidate, counters.bad_and_all(reading, start))
    most = limit(analysis)
    log_e = paired.log_above(tally.bad, tally.requests, most)
    failed = log_e >= math.log(1.0 / (GUARD_SHARE * parse_percent(analysis.false_rollback)))
    odds = wording.e_value(log_e) if log_e > math.log(0.01) else "below 0.01"
    share = f" ({wording.percent(tally.bad / tally.requests)})" if tally.requests else ""
    text = f"{tally.bad}/{tally.requests}{share} requests failed since promotion; e-value {odds}"
    kind, reason = (VerdictKind.NO_DATA, Reason.NO_TRAFFIC) if tally.requests == 0 else (VerdictKind.PASS, Reason.SAFE)
    if failed:
        kind, reason, text = VerdictKind.FAIL, Reason.HARMFUL, f"more than {wording.percent(most)} fail: {text}"
    changed = verdict.model_copy(update={"candidate": tally, "harm": f"{log_e:.2f}"})
    return changed.model_copy(update={"verdict": kind, "reason": reason, "message": text}), reading.instants[-1]
