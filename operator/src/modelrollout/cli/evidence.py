"""The evidence of a status as numbers and plain words."""

import math
from dataclasses import dataclass
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Tally, Verdict
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import guard, wording
from modelrollout.core.evidence.eprocess import log_sum_exp
from modelrollout.core.evidence.judge import GUARD_SHARE, harm_shares
from modelrollout.core.evidence.stages import Stage
from modelrollout.core.evidence.wording import e_value, percent


@dataclass(frozen=True, slots=True)
class Evidence:
    """An e-value, and where it decides."""

    log_e: float
    limit: float
    """The e-value that decides."""

    @property
    def value(self) -> str:
        """The e-value, short."""
        return "<0.01" if self.log_e < math.log(0.01) else e_value(self.log_e)

    @property
    def short(self) -> str:
        """Value and limit: `2.1/100`."""
        return f"{self.value}/{self.limit:.0f}"

    def data(self) -> dict[str, float]:
        """Return the numbers for programs; the e-value itself only where a float can hold it."""
        numbers = {"logE": self.log_e, "limit": self.limit}
        return {"eValue": math.exp(self.log_e), **numbers} if self.log_e < 700.0 else numbers


SHADOW: Final = "shadow "
"""What the names of tests begin with that look at a shadow alone."""


def metric_name(name: str) -> str:
    """Return the metric of a verdict: its name without shadow and slice."""
    return name.removeprefix(SHADOW).partition("[")[0]


def weighs(name: str, analysis: Analysis, stage: Stage | None = None) -> bool:
    """Say whether a verdict has a share of alpha; thresholds, drift of inputs and the traffic alarm have none."""
    return name == guard.NAME or name in harm_shares(analysis, stage)


def counted(name: str) -> str:
    """Say what the bad ones among a metric's counts are."""
    words = {
        "errors": "failed requests",
        "latency": "slow requests",
        "quality": "wrong predictions",
        "agreement": "pairs of answers that disagree",
    }
    return words.get(metric_name(name), "bad ones")


def harm(verdict: Verdict, analysis: Analysis, stage: Stage | None = None) -> Evidence:
    """Return the evidence that a metric is worse than tolerated, and where it alone rolls back."""
    alpha = parse_percent(analysis.false_rollback)
    share = GUARD_SHARE if verdict.name == guard.NAME else harm_shares(analysis, stage).get(verdict.name, 1.0)
    return Evidence(_number(verdict.harm), 1.0 / (alpha * share))


def safety(verdict: Verdict, analysis: Analysis) -> Evidence | None:
    """Return the evidence that a metric is safe at the next weight, and where it passes; None in the guard."""
    if verdict.name == guard.NAME:
        return None
    return Evidence(_number(verdict.safety), 1.0 / parse_percent(analysis.false_promotion))


def together(verdicts: list[Verdict], analysis: Analysis, stage: Stage | None = None) -> Evidence | None:
    """Return the evidence of all metrics together that the candidate is worse, which is what rolls back.

    A test that has not begun has an e-value of 1, and its share.
    """
    known = {verdict.name: _number(verdict.harm) for verdict in verdicts}
    shares = harm_shares(analysis, stage)
    if not known.keys() & shares.keys():
        return None
    scores = [math.log(share) + known.get(name, 0.0) for name, share in shares.items()]
    return Evidence(log_sum_exp(scores), 1.0 / parse_percent(analysis.false_rollback))


def rate(tally: Tally) -> str:
    """Write counts with their rate: `12/240 (5%)`."""
    return f"{tally.bad}/{tally.requests} ({percent(tally.bad / tally.requests)})" if tally.requests else "none yet"


def tolerated(name: str, analysis: Analysis) -> str | None:
    """Say what a metric tolerates; None for what users did not ask for, such as the guard."""
    metric = next((metric for metric in analysis.metrics if metric.name == metric_name(name)), None)
    if metric is None:
        return None
    allowed = wording.tolerated(metric)
    apart = f"{metric.name} may be {allowed} apart (Kolmogorov-Smirnov distance)"
    told = {
        "predictions": apart,
        "inputs": apart,
        "agreement": f"{allowed} of the answers must agree",
        "quality": f"the share of right predictions may drop by {allowed}",
        "slo": f"{allowed} of all requests may fail, of both revisions together",
    }
    if metric.name in told or (metric.query is not None and not metric.compared):
        return told.get(metric.name, f"{name} must be {allowed}")
    what = {"errors": "failed requests", "latency": "response times"}.get(metric.name, name)
    return f"{what} may not rise at all" if allowed == "0%" else f"{what} may rise by {allowed} over stable"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
