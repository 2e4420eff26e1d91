"""Verdicts in words, for people."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict
from modelrollout.api.units import format_duration, parse_percent
from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.eprocess import State
from modelrollout.core.evidence.metrics import expected_gain
from modelrollout.core.evidence.rates import Margin

WAITING: Final = "waiting for the first window of evidence"
MAX_LOG_DOUBT: Final = math.log(5.0)
"""No step forward while the e-value for harm is above 5."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one metric once its windows are counted."""

    verdict: Verdict
    state: State
    safe: Margin
    """The margin that the next weight asks for."""
    need: float
    """Log e-value at which safety is shown."""
    weight: int
    next_weight: int
    silent: bool
    """The candidate has had no request for long."""
    per_second: float | None
    """Candidate requests a second in the last reading; None where there was none."""


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


def failed(verdict: Verdict, analysis: Analysis) -> str:
    """Say why the rollout failed."""
    limit = 1.0 / parse_percent(analysis.false_rollback)
    metric = next(m for m in analysis.metrics if m.name == verdict.name)
    allowed = " + ".join(percent(part) for part in metric.tolerated if part > 0.0)
    return (
        f"{verdict.name} worse than the tolerated increase of {allowed or '0%'}: {counts(verdict)}; "
        f"e-value {e_value(float(verdict.harm))}, all metrics together reached {limit:g}"
    )


def passed(finding: Finding) -> str:
    """Say why the next weight is safe."""
    verdict = finding.verdict
    return (
        f"safe at {finding.next_weight}%: {counts(verdict)}; less than {percent(finding.safe.delta)} above stable "
        f"(e-value {e_value(finding.state.safety_best)})"
    )


def provider_error(error: str) -> str:
    """Say that the provider did not answer, and that nothing follows from it."""
    return f"metrics provider did not answer ({error}); traffic stays as it is"


def missing(finding: Finding) -> tuple[Reason, str]:
    """Say what is missing for a verdict, and how long it should take at today's traffic."""
    verdict, state = finding.verdict, finding.state
    if finding.silent and verdict.candidate.requests == 0:
        text = f"no request reached the candidate at {finding.weight}% yet; send traffic, or check the gateway"
        return Reason.NO_TRAFFIC, text
    if finding.silent:
        return Reason.NO_TRAFFIC, f"no request reaches the candidate any more; so far {counts(verdict)}"
    if state.log_harm > MAX_LOG_DOUBT:
        odds = f"e-value for worse than tolerated {e_value(state.log_harm)}"
        return Reason.DOUBTFUL, f"doubtful: {counts(verdict)}; {odds}, no step forward above 5"
    gain = expected_gain(finding.safe, eprocess.stable_rate(state))
    more = max(1, math.ceil(max(0.0, finding.need - state.log_safety) / gain))
    wait = ""
    if finding.per_second:
        wait = f" (about {format_duration(timedelta(seconds=more / finding.per_second))} at {finding.weight}%)"
    text = f"needs about {more} more candidate requests{wait} to go to {finding.next_weight}%: {counts(verdict)}"
    return Reason.COUNTING, text
