"""S6: predictions that drift: within the tolerated distance never a rollback, beyond it soon."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.decision import traffic
from benchmarks.decision.suite import Cell, Results, Row, hits, rate_row, time_rows
from benchmarks.decision.targets import ALPHA, DRIFT, FALSE_ROLLBACK, TOLERANCE, WINDOW, Size
from benchmarks.decision.traffic import Floats, Ints
from modelrollout.core.evidence import distance
from modelrollout.core.evidence.metrics.predictions import choose
from modelrollout.core.evidence.two_sample import MAX_JOINED, MIN_REQUESTS

NAME = "S6"
DISTANCES: Final = (0.0, 0.03, 0.1, 0.2)
BUCKETS: Final = 10
PAST: Final = 5000


def cells(size: Size) -> list[Cell]:
    """Return every distance with every traffic."""
    return [
        Cell(NAME, f"S6 KS={far:g} rps={rps}", size.few if far <= TOLERANCE else max(30, size.detect // 3), (far, rps))
        for far in DISTANCES
        for rps in (1, 10, 100)
    ]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Simulate ten equal buckets, and a candidate that moves a share from the lower half to the upper."""
    far, rps = (float(value) for value in cell.params)
    rng = traffic.generator(cell.key, chunk)
    stable = np.full(BUCKETS, 1.0 / BUCKETS)
    candidate = stable + np.repeat([-far, far], BUCKETS // 2) / (BUCKETS // 2)
    size = (runs, len(traffic.WEIGHTS))
    c = rng.multinomial(rng.poisson(rps * WINDOW * traffic.WEIGHTS, size), candidate).cumsum(axis=2)
    s = rng.multinomial(rng.poisson(rps * WINDOW * (1.0 - traffic.WEIGHTS), size), stable).cumsum(axis=2)
    held = rng.multinomial(min(PAST, round(3600 * rps)), stable, size=runs).cumsum(axis=1)
    return {"distance": np.array([_one(c[k], s[k], held[k].astype(np.float64)) for k in range(runs)])}


def _one(candidate: Ints, stable: Ints, held: Floats) -> float:
    need = -math.log(ALPHA)
    places = [*choose(held), BUCKETS - 1]
    state = distance.begin(held[places[:-1]], float(held[-1]))
    # As the metric does: no window alone decides.
    design = distance.Design(TOLERANCE, cap=need / 2.0)
    c, s, since = np.zeros(len(places)), np.zeros(len(places)), 0
    for place, (row_c, row_s) in enumerate(zip(candidate, stable, strict=True), start=1):
        end = place * WINDOW
        c, s = c + row_c[places], s + row_s[places]
        if c[-1] < MIN_REQUESTS and end - since < MAX_JOINED:
            continue
        state = distance.update(state, design, 0.9, (c, s), end - since)
        c, s, since = np.zeros(len(places)), np.zeros(len(places)), end
        if state.log_harm >= need:
            return float(end)
    return math.inf


def rows(results: Results) -> Sequence[Row]:
    """Hold rollbacks within the tolerance and delays beyond it against their targets."""
    found: list[Row] = []
    for key, values in results.items():
        far, rps = (float(part) for part in key[6:].split(" rps="))
        times = values["distance"]
        if far <= TOLERANCE:
            found.append(rate_row((NAME, key[3:]), hits(times), len(times), FALSE_ROLLBACK))
        else:
            found += time_rows(NAME, key[3:], times, DRIFT.get((int(rps), far)), None)[:1]
    return found
