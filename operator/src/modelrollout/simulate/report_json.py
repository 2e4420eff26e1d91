"""What came of a simulation, for programs: the keys of the contract, and more beside them."""

from typing import Any

import numpy as np

from modelrollout.simulate.result import Result, Told
from modelrollout.simulate.summary import REPORTED, Summary, bound, proportion, rounded, spread


def as_json(summary: Summary, *, per_run: bool) -> dict[str, Any]:
    """Return the summary with the keys of the contract."""
    runs = len(summary.results)
    excess = [result.excess for result in summary.results]
    document: dict[str, Any] = {
        "scenario": summary.stage.scenario.name,
        "runs": runs,
        "seed": summary.seed,
        "outcomes": {outcome: summary.count(outcome) for outcome in summary.outcomes},
        "rolledBack": spread(summary.times("rolledBack")),
        "promoted": spread(summary.times("promoted")),
        "rate": {outcome: proportion(summary.count(outcome), runs) for outcome in ("rolledBack", "promoted")},
        "excess_errors": {"mean": rounded(float(np.mean(excess))), "p95": rounded(float(np.percentile(excess, 95)))},
        "bound_s": rounded(bound(summary)),
        "invariant_violations": summary.violations,
    }
    if summary.violations:
        document["violations"] = [text for result in summary.results for text in result.broken][:20]
    if summary.stage.left_out:
        document["not_simulated"] = list(summary.stage.left_out)
    if summary.stage.assumed:
        document["assumed"] = list(summary.stage.assumed)
    if REPORTED in summary.outcomes:
        document[REPORTED] = spread(summary.times(REPORTED))
    if runs == 1:
        document["moves"] = [_move(told) for told in summary.results[0].moves]
    if per_run:
        document["per_run"] = [run_as_json(number, result) for number, result in enumerate(summary.results)]
    return document


def run_as_json(number: int, result: Result) -> dict[str, Any]:
    """Return one run."""
    return {
        "run": number,
        "outcome": result.outcome,
        "time_s": rounded(result.time),
        "final_weight": result.weight,
        "reason": result.reason,
        "excess_errors": rounded(result.excess),
        "first_traffic_s": rounded(result.first),
    }


def _move(told: Told) -> dict[str, Any]:
    move = told.move
    return {
        "at_s": rounded(told.time),
        "move": move.move,
        "revision": move.revision,
        "weight": move.weight,
        "message": move.message,
    }
