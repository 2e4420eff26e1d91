"""Many runs, on several processes; what comes out depends on the seed alone."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from modelrollout.api.resource import ModelRollout
from modelrollout.simulate.result import Result
from modelrollout.simulate.run import Run
from modelrollout.simulate.scenario import Scenario
from modelrollout.simulate.stage import Stage, prepare
from modelrollout.simulate.summary import Summary

_stage: dict[str, Stage] = {}
"""The stage of a worker process, built once."""


def simulate(rollout: ModelRollout, scenario: Scenario, runs: int, seed: int, jobs: int | None = None) -> Summary:
    """Play a scenario `runs` times. Raises InvalidScenario when the rollout cannot be simulated."""
    stage = prepare(rollout, scenario)
    workers = min(jobs or os.cpu_count() or 1, max(1, runs // 4))
    if workers == 1:
        results = [_play(stage, seed, number, record=runs == 1) for number in range(runs)]
        return Summary(stage, seed, results)
    share = max(1, min(25, runs // (workers * 4)))
    pieces = [(seed, start, min(runs, start + share)) for start in range(0, runs, share)]
    with ProcessPoolExecutor(workers, initializer=_set_stage, initargs=(rollout, scenario)) as pool:
        results = [result for piece in pool.map(_piece, pieces) for result in piece]
    return Summary(stage, seed, results)


def _set_stage(rollout: ModelRollout, scenario: Scenario) -> None:
    _stage["stage"] = prepare(rollout, scenario)


def _piece(piece: tuple[int, int, int]) -> list[Result]:
    seed, start, end = piece
    return list(_played(seed, start, end))


def _played(seed: int, start: int, end: int) -> Iterator[Result]:
    for number in range(start, end):
        yield _play(_stage["stage"], seed, number, record=False)


def _play(stage: Stage, seed: int, number: int, *, record: bool) -> Result:
    return Run(stage, seed, number, record=record).play()
