"""S5: slower answers, from histograms: good versions, good ones under a changing load, bad ones of several kinds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.decision import traffic
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row, time_rows
from benchmarks.decision.targets import (
    ALPHA,
    FALSE_ROLLBACK,
    LATENCY,
    LATENCY_MEDIAN,
    LATENCY_SIGMA,
    LAYOUTS,
    RPS,
    WINDOW,
    Size,
)
from benchmarks.decision.traffic import Floats, Ints
from modelrollout.api.spec import Analysis
from modelrollout.core.evidence import ordinal
from modelrollout.core.evidence.boundaries import Cells, choose
from modelrollout.core.evidence.judge import harm_shares
from modelrollout.core.evidence.two_sample import MAX_JOINED, MIN_REQUESTS

NAME = "S5"
EQUAL: Final = ("A/A", "A/A drift")
WORSE: Final = ("+10%", "+20%", "+50%", "tail")
PAST: Final = 5000
"""Requests of stable's past that choose the boundaries."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How much slower is tolerated, and the share of alpha."""

    factor: float
    alpha: float


SETTINGS: Final = {
    "sharp": Setting(1.0, ALPHA),
    "default": Setting(1.25, ALPHA * harm_shares(Analysis(preset="any"))["latency"]),
}


def cells(size: Size) -> list[Cell]:
    """Return every layout with every traffic and case."""
    found = []
    for layout in LAYOUTS:
        for rps in RPS:
            for case in (*EQUAL, *WORSE):
                reps = size.few if case in EQUAL else max(30, size.detect // 3)
                found.append(Cell(NAME, f"S5 {case} {layout} rps={rps}", reps, (case, layout, rps)))
    return found


def bucket_shares(bounds: Sequence[float], scale: Floats | float, tail: float = 0.0) -> Floats:
    """Return the share of requests in each bucket when answers take `scale` times as long, `tail` of them 2 s."""
    edges = (np.log(np.array(bounds) / LATENCY_MEDIAN) - np.log(np.atleast_1d(scale))[:, None]) / LATENCY_SIGMA
    below = 0.5 * (1.0 + np.vectorize(math.erf)(edges / math.sqrt(2.0)))
    padded = np.concatenate((np.zeros((len(below), 1)), below, np.ones((len(below), 1))), axis=1)
    found = np.diff(padded, axis=1) * (1.0 - tail)
    found[:, int(np.searchsorted(np.array(bounds), 2.0))] += tail
    shares: Floats = found / found.sum(axis=1, keepdims=True)
    return shares


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate one case, judged with and without a tolerated factor."""
    case, layout, rps = str(cell.params[0]), str(cell.params[1]), float(cell.params[2])
    bounds = LAYOUTS[layout]
    rng = traffic.generator(cell.key, chunk)
    scale: Floats | float = np.linspace(0.8, 1.6, len(traffic.WEIGHTS)) if case == "A/A drift" else 1.0
    slower = 1.0 + float(case[1:-1]) / 100.0 if case.startswith("+") else 1.0
    stable = bucket_shares(bounds, scale)
    candidate = bucket_shares(bounds, scale * slower, 0.02 if case == "tail" else 0.0)
    size = (runs, len(traffic.WEIGHTS))
    c = rng.multinomial(rng.poisson(rps * WINDOW * traffic.WEIGHTS, size), candidate)
    s = rng.multinomial(rng.poisson(rps * WINDOW * (1.0 - traffic.WEIGHTS), size), stable)
    held = rng.multinomial(min(PAST, round(3600 * rps)), stable[:1], size=(runs, 1))[:, 0]
    return {name: _times(setting, (*bounds, math.inf), c, s, held) for name, setting in SETTINGS.items()}


def _times(setting: Setting, bounds: Sequence[float], c: Ints, s: Ints, held: Ints) -> Floats:
    c, s, held = c.cumsum(axis=2), s.cumsum(axis=2), held.cumsum(axis=1)
    return np.array([_one(setting, bounds, c[run], s[run], held[run]) for run in range(len(c))])


def _one(setting: Setting, bounds: Sequence[float], candidate: Ints, stable: Ints, held: Ints) -> float:
    """Return one run's time of rollback; NaN-free, infinite also where the layout is refused as too coarse."""
    past = held.astype(np.float64)
    cells = choose(past, bounds, setting.factor)
    if isinstance(cells, str):
        return math.inf
    design = ordinal.Design(tuple(bounds[k] for k in cells.low), tuple(bounds[k] for k in cells.high))
    state = ordinal.begin(cells.of(past, cells.low))
    return _decide(state, design, cells, (candidate, stable), -math.log(setting.alpha))


def _decide(state: ordinal.State, design: ordinal.Design, cells: Cells, rows: tuple[Ints, Ints], need: float) -> float:
    c, s, since = np.zeros(len(cells.low) + 1), np.zeros(len(cells.low) + 1), 0
    for place, (row_c, row_s) in enumerate(zip(*rows, strict=True), start=1):
        end = place * WINDOW
        c, s = c + cells.of(row_c, cells.high), s + cells.of(row_s, cells.low)
        if c.sum() < MIN_REQUESTS and end - since < MAX_JOINED:
            continue
        state = ordinal.update(state, design, c, s, end - since)
        c, s, since = np.zeros(len(c)), np.zeros(len(s)), end
        if state.log_harm >= need:
            return float(end)
    return math.inf


def rows(results: Results) -> Sequence[Row]:
    """Say how often good versions were rolled back, and how fast bad ones."""
    found: list[Row] = []
    for key, times in results.items():
        case, layout, rps = _named(key)
        if case in EQUAL:
            found += [
                rate_row((NAME, f"{key[3:]} {name}"), hits(times[name]), len(times[name]), FALSE_ROLLBACK)
                for name in SETTINGS
            ]
            continue
        if case == "+10%":
            within = times["default"]
            found.append(rate_row((NAME, f"{key[3:]} default"), hits(within), len(within), FALSE_ROLLBACK))
        target = LATENCY.get((layout, rps, case))
        if target is not None or rps in (10, 100):
            found += time_rows(NAME, f"{key[3:]} sharp", times["sharp"], target, None)[:1]
        if case in ("+50%", "tail") and rps in (10, 100):
            found += time_rows(NAME, f"{key[3:]} default", times["default"], None, None)[:1]
    return found


def _named(key: str) -> tuple[str, str, int]:
    rest, rps = key[3:].split(" rps=")
    case, layout = rest.rsplit(" ", 1)
    return case, layout, int(rps)
