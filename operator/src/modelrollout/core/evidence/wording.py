"""Verdicts in words, for people."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import format_duration, parse_percent
from modelrollout.core.evidence.case import SILENCE
from modelrollout.core.evidence.interval import difference
from modelrollout.core.evidence.rates import Margin, expected_gain

WAITING: Final = "waiting for the first window of evidence"
RATES: Final = ("errors", "latency", "quality")
"""Metrics whose effect is the difference of two rates."""
DISTANCE: Final = {"predictions": 0.05, "inputs": 0.1}
MIN_AGREEMENT: Final = "98%"
MAX_DROP: Final = "1%"
"""What is tolerated when left out."""
MAX_LOG_DOUBT: Final = math.log(5.0)
"""No step forward while the e-value for harm is above 5."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one metric once its windows are counted."""

    log_harm: float
    log_safety: float
    safety_best: float
    """Largest log e-value of safety at this step."""
    safe: Margin
    """The margin that the next weight asks for."""
    stable_rate: float
    weight: int
    next_weight: int
    silent_for: int
    """Seconds without a candidate request."""
    per_second: float | None
    """Candidate requests a second in the last reading; None where there was none."""
    phi: float = 1.0
    """Overdispersion: so many requests count as one."""


def conclude(verdict: Verdict, analysis: Analysis, finding: Finding) -> Verdict:
    """Return the verdict with kind, reason, sentence and numbers: Pass, or NoData with what is missing."""
    need = -math.log(parse_percent(analysis.false_promotion))
    passed = finding.safety_best >= need and finding.log_harm <= MAX_LOG_DOUBT
    reason, message = (Reason.SAFE, _passed(verdict, finding)) if passed else _missing(verdict, finding, need)
    return verdict.model_copy(
        update={
            "verdict": VerdictKind.PASS if passed else VerdictKind.NO_DATA,
            "reason": reason,
            "message": message,
            "harm": f"{finding.log_harm:.2f}",
            "safety": f"{finding.log_safety:.2f}",
        }
    )


def with_effect(verdict: Verdict) -> Verdict:
    """Return the verdict with its effect brought up to date: for those who will read it; others bring their own."""
    rates = verdict.name.partition("[")[0] in RATES
    return verdict.model_copy(update={"effect": effect(verdict)}) if rates else verdict


def effect(verdict: Verdict) -> str:
    """Write the candidate's rate less stable's with its interval: `+0.4 points (-0.1 to +1.2)`; empty without both."""
    c, s = verdict.candidate, verdict.stable
    if not c.requests or not s.requests:
        return ""
    low, high = difference(c.bad, c.requests, s.bad, s.requests)
    middle = c.bad / c.requests - s.bad / s.requests
    return f"{100 * middle:+.3g} points ({100 * low:+.3g} to {100 * high:+.3g})"


def percent(value: float) -> str:
    """Write a rate as per cent with about three digits."""
    return f"{100 * value:.3g}%"


def e_value(log_e: float) -> str:
    """Write an e-value from its logarithm."""
    return f"{math.exp(log_e):.3g}" if log_e < 13.0 else f"1e{log_e / math.log(10):.0f}"


def counts(verdict: Verdict) -> str:
    """Write both revisions' counts: `candidate 12/240 (5%), stable 3/4560 (0.0658%)`."""

    def side(name: str, bad: int, n: int) -> str:
        return f"{name} {bad}/{n}" + (f" ({percent(bad / n)})" if n else "")

    return (
        f"{side('candidate', verdict.candidate.bad, verdict.candidate.requests)}, "
        f"{side('stable', verdict.stable.bad, verdict.stable.requests)}"
    )


def failed(verdict: Verdict, metric: Metric, analysis: Analysis) -> str:
    """Say why the rollout failed."""
    limit = 1.0 / parse_percent(analysis.false_rollback)
    if metric.query is not None and not metric.compared:
        return f"{verdict.name}: {verdict.message}"
    return f"{_worse(verdict, metric)}; e-value {e_value(float(verdict.harm))}, all metrics together reached {limit:g}"


def _worse(verdict: Verdict, metric: Metric) -> str:
    """Say what is worse than tolerated, and by how much."""
    by, seen = f"; by {verdict.effect}" if verdict.effect else "", verdict.message.partition(";")[0]
    match metric.name:
        case "predictions":
            return f"predictions drifted further than tolerated ({tolerated(metric)}): {verdict.effect}"
        case "agreement" | "slo":
            return f"{verdict.name} missed ({tolerated(metric)}): {seen.removeprefix('doubtful: ')}"
        case "quality":
            return f"{verdict.name} worse than the tolerated drop of {tolerated(metric)}: {counts(verdict)}{by}"
    if metric.query is not None:
        lost = f"{verdict.candidate.bad} of {verdict.candidate.requests} windows"
        return (
            f"{verdict.name} worse than the tolerated increase of {tolerated(metric)} in {lost}, last {verdict.effect}"
        )
    return f"{verdict.name} worse than the tolerated increase of {tolerated(metric)}: {counts(verdict)}{by}"


def tolerated(metric: Metric) -> str:
    """Write what a metric tolerates: `25% + 0.02%`."""
    match metric.name:
        case "predictions" | "inputs":
            return f"{metric.max_distance or DISTANCE[metric.name]:g}"
        case "agreement":
            return f"at least {metric.min_agreement or MIN_AGREEMENT}"
        case "quality":
            return metric.max_drop or MAX_DROP
        case "slo":
            return f"at most {metric.max_error_rate}"
    if metric.query is not None and not metric.compared:
        limits = (("at least", metric.min), ("at most", metric.max))
        return " and ".join(f"{word} {one:g}" for word, one in limits if one is not None)
    return " + ".join(percent(part) for part in metric.tolerated if part > 0.0) or "0%"


def _passed(verdict: Verdict, finding: Finding) -> str:
    """Say why the next weight is safe."""
    return (
        f"safe at {finding.next_weight}%: {counts(verdict)}; less than {percent(finding.safe.delta)} above stable "
        f"(e-value {e_value(finding.safety_best)})"
    )


def provider_error(error: str) -> str:
    """Say that the provider did not answer, and that nothing follows from it."""
    return f"metrics provider did not answer ({error}); traffic stays as it is"


def no_traffic(verdict: Verdict, weight: int) -> str:
    """Say that the candidate gets no requests."""
    if verdict.candidate.requests == 0:
        at = f" at {weight}%" if weight else ""
        return f"no request reached the candidate{at} yet; send traffic, or check the gateway"
    return f"no request reaches the candidate any more; so far {counts(verdict)}"


def wait(more: float, per_second: float | None, weight: int) -> str:
    """Say how long so many requests of the candidate take at today's traffic; empty where nobody knows."""
    at = f" at {weight}%" if weight else ""
    return f" (about {format_duration(timedelta(seconds=more / per_second))}{at})" if per_second else ""


def _missing(verdict: Verdict, finding: Finding, need: float) -> tuple[Reason, str]:
    """Say what is missing for a verdict, and how long it should take at today's traffic."""
    if finding.silent_for >= SILENCE:
        return Reason.NO_TRAFFIC, no_traffic(verdict, finding.weight)
    if finding.log_harm > MAX_LOG_DOUBT:
        odds = f"e-value for worse than tolerated {e_value(finding.log_harm)}"
        return Reason.DOUBTFUL, f"doubtful: {counts(verdict)}; {odds}, no step forward above 5"
    gain = expected_gain(finding.safe, finding.stable_rate) / finding.phi
    more = max(1, math.ceil(max(0.0, need - finding.log_safety) / gain))
    long = wait(more, finding.per_second, finding.weight)
    text = f"needs about {more} more candidate requests{long} to go to {finding.next_weight}%: {counts(verdict)}"
    return Reason.COUNTING, text
