"""What came of a simulation, for people at a terminal."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from modelrollout.api.units import format_duration
from modelrollout.simulate.result import Result
from modelrollout.simulate.summary import CONFIDENCE, Summary, bound, clopper_pearson

_NAMES = {
    "promoted": "promoted",
    "rolledBack": "rolled back",
    "paused": "paused",
    "open": "still open",
    "reported": "reported",
}


def text(summary: Summary, *, per_run: bool = False) -> str:
    """Tell one run as a timeline, more of them as a distribution."""
    single = len(summary.results) == 1
    lines = list(_timeline(summary) if single else _distribution(summary))
    if per_run and not single:
        lines += ["", *(_line(number, result) for number, result in enumerate(summary.results))]
    if summary.stage.left_out:
        lines.append(f"not simulated, for a scenario has no data for it: {', '.join(summary.stage.left_out)}")
    lines += [f"assumed: {one}" for one in summary.stage.assumed]
    for broken in [rule for result in summary.results for rule in result.broken][:20]:
        lines.append(f"BROKEN RULE at {broken}")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Write a time since the template was applied: `0:07:30`."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _duration(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))


def _timeline(summary: Summary) -> Iterator[str]:
    result, scenario = summary.results[0], summary.stage.scenario
    yield f"{scenario.name}: one run, seed {summary.seed}; times since the new template was applied"
    for told in result.moves:
        yield f"{clock(told.time):>8}  {told.move.weight:>3}%  {told.move.move:<10} {told.move.message}"
    yield (
        f"{clock(scenario.horizon):>8}  {result.weight:>3}%  {'(end)':<10} {result.reason}"
        if (result.outcome in ("paused", "open"))
        else ""
    )
    yield _ending(result)
    yield f"requests that failed beyond what stable would have failed: {result.excess:.1f}"
    least = bound(summary)
    if least is not None:
        yield f"no method could have known before {_duration(least)} (from the first traffic)"


def _ending(result: Result) -> str:
    after = "" if result.time is None else f" {_duration(result.time)} after the candidate's first traffic"
    return f"{_NAMES[result.outcome]}{after}"


def _distribution(summary: Summary) -> Iterator[str]:
    runs = len(summary.results)
    yield f"{summary.stage.scenario.name}: {runs} runs, seed {summary.seed}"
    for outcome in summary.outcomes:
        count = summary.count(outcome)
        low, high = clopper_pearson(count, runs, CONFIDENCE)
        times = summary.times(outcome)
        when = ""
        if times:
            median, p95 = np.percentile(times, [50, 95])
            when = f"   after {_duration(median)} (median), {_duration(p95)} (p95), {_duration(max(times))} (longest)"
        yield f"  {_NAMES[outcome]:<12} {count:>6}  {count / runs:>7.2%}  [{low:.2%}, {high:.2%}]{when}"
    excess = [result.excess for result in summary.results]
    yield f"requests failed beyond stable's rate: mean {np.mean(excess):.1f}, p95 {np.percentile(excess, 95):.1f}"
    least = bound(summary)
    if least is not None:
        yield f"evidence for a rollback was there after {_duration(least)} at the earliest (log(1/alpha) nats)"
    if summary.violations:
        yield f"ordering rules broken: {summary.violations}"


def _line(number: int, result: Result) -> str:
    when = "" if result.time is None else _duration(result.time)
    return f"{number:>6}  {_NAMES[result.outcome]:<12} {when:>9}  {result.weight:>3}%  {result.reason}"
