"""S10: what operations do to evidence: restarts, replays, gaps, resets; and the way from counters to verdicts.

The second layer: simulated counts are rendered as counters and judged by the operator's judge; the moment of rollback
must be that of the tests alone. A few runs go through the Prometheus adapter and HTTP, too.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.decision import over_http, profiles, traffic
from benchmarks.decision.engine import SHARP, begin, joined, rollback_time
from benchmarks.decision.rendering import START, Rendered, render
from benchmarks.decision.suite import Cell, Results, Row, State
from benchmarks.decision.targets import CPU_MS, WINDOW, Size, degraded
from benchmarks.decision.traffic import Floats
from modelrollout.api.spec import Analysis
from modelrollout.api.status import Verdict, VerdictKind
from modelrollout.core.evidence import eprocess
from modelrollout.core.evidence.judge import Judgement, Question, judge
from modelrollout.core.evidence.windows import Reading, Window

NAME: Final = "S10"
ANALYSIS: Final = Analysis.model_validate({"preset": "traefik", "metrics": [{"name": "errors"}]})
CASES: Final = (("aa", 100.0, 0.001), ("5x", 100.0, 0.001), ("2x", 100.0, 0.01), ("+5pp", 10.0, 0.001))
HTTP_RUNS: Final = 3
HTTP_WINDOWS: Final = 100
"""Longer ranges would be asked for in wider windows."""


def cells(size: Size) -> list[Cell]:
    """Return a few cells of S1 and S2, and one for the invariants."""
    reps = max(10, size.detect // 6)
    layered = [Cell(NAME, f"S10 layer {case} rps={rps:g} p0={p0:g}", reps, (case, rps, p0)) for case, rps, p0 in CASES]
    return [*layered, Cell(NAME, "S10 invariants", 1, ())]


def run(cell: Cell, chunk: int, runs: int) -> dict[str, Floats]:
    """Run one chunk of a layered cell, or the invariants: 1 for each that held."""
    if not cell.params:
        return {name: np.array([float(check())]) for name, check in INVARIANTS.items()} | cpu()
    case, rps, p0 = str(cell.params[0]), float(cell.params[1]), float(cell.params[2])
    rng = traffic.generator(cell.key, chunk)
    counts = traffic.independent(rng, runs, rps, p0 if case == "aa" else degraded(p0, case), p0)
    n, x = profiles.past(rng, runs, rps, p0)
    found: dict[str, list[float]] = {"tests alone": [], "judge": [], "judge, short": [], "HTTP": []}
    for k in range(runs):
        ready = profiles.default(ANALYSIS).with_scatter(profiles.measured(n[k], x[k]))
        windows = joined(counts.run(k))
        found["tests alone"].append(
            rollback_time(ready, begin(ready.design, int(n[k].sum()), int(x[k].sum())), windows)
        )
        rendered = render(rng, counts.run(k), n[k], x[k])
        found["judge"].append(judged(rendered))
        if chunk == 0 and k < HTTP_RUNS:
            short = rendered.first(HTTP_WINDOWS)
            found["HTTP"].append(judged(over_http.read(short, ANALYSIS)))
            found["judge, short"].append(judged(short))
    return {name: np.array(values) for name, values in found.items()}


def judged(rendered: Rendered) -> float:
    """Return when the judge rolls back, asked window by window, restarted each time; infinite for never."""
    verdicts: Sequence[Verdict] = ()
    for place in range(1, len(rendered.instants)):
        found = _ask(rendered.between(place - 1, place), verdicts)
        if found.worst is VerdictKind.FAIL:
            return float(place * WINDOW)
        verdicts = [Verdict.model_validate_json(verdict.model_dump_json()) for verdict in found.verdicts]
    return math.inf


def _ask(reading: Reading, verdicts: Sequence[Verdict] = ()) -> Judgement:
    return judge(Question(ANALYSIS, verdicts, {"errors": reading}, since=START, next_weight=10, weight=5))


def _example(length: int = 40, p_c: float = 0.002) -> tuple[Rendered, list[tuple[int, int, int, int]]]:
    rng = traffic.generator("S10 example", 0)
    counts = traffic.independent(rng, 1, 100.0, p_c, 0.001, traffic.WEIGHTS[:length])
    n, x = profiles.past(rng, 1, 100.0, 0.001)
    return render(rng, counts.run(0), n[0], x[0]), counts.run(0)


def _memory(verdicts: Sequence[Verdict]) -> list[str]:
    """Return what the tests remember; what follows the bar watches the split of traffic, look by look."""
    return [verdict.evidence.partition("|")[0] for verdict in verdicts]


def restarts() -> bool:
    """Compare evidence with a restart after every window to evidence without."""
    rendered, _ = _example()
    whole = _ask(rendered.between(0, 40)).verdicts
    verdicts: Sequence[Verdict] = ()
    for place in range(1, 41):
        found = _ask(rendered.between(place - 1, place), verdicts)
        verdicts = [Verdict.model_validate_json(verdict.model_dump_json()) for verdict in found.verdicts]
    return _memory(verdicts) == _memory(whole)


def replays() -> bool:
    """Windows that were counted before change nothing when they are read again, alone or with new ones."""
    rendered, _ = _example()
    first = _ask(rendered.between(0, 30)).verdicts
    again = _ask(rendered.between(0, 30), first).verdicts
    overlap = _ask(rendered.between(10, 40), first).verdicts
    straight = _ask(rendered.between(30, 40), first).verdicts
    return _memory(again) == _memory(first) and _memory(overlap) == _memory(straight)


def gaps() -> bool:
    """NaN, infinite, negative or absent values are no evidence, and never a failure."""
    rendered, _ = _example()
    first = _ask(rendered.between(0, 20)).verdicts
    harm = first[0].harm
    for value in (None, math.nan, math.inf, -1.0):
        reading = rendered.between(20, 25)
        spoilt = replace(
            reading,
            stable=tuple(replace(one, values=(value,) * 6) for one in reading.stable),
            candidate=tuple(replace(one, values=(value,) * 6) for one in reading.candidate),
        )
        found = _ask(spoilt, first)
        if found.blamed is not None or found.verdicts[0].harm != harm:
            return False
    return True


def resets() -> bool:
    """Births and resets are counted once: the tallies are what was simulated."""
    rendered, windows = _example()
    verdict = _ask(rendered.between(0, 40)).verdicts[0]
    total = [sum(column) for column in zip(*windows, strict=True)]
    seen = (verdict.candidate.requests, verdict.candidate.bad, verdict.stable.requests, verdict.stable.bad)
    return list(seen) == total


def lost() -> bool:
    """With all of stable, or all of the candidate, out of sight, nobody is blamed and nothing passes."""
    rendered, _ = _example(p_c=0.001)
    reading = rendered.between(0, 40)
    without = (replace(reading, stable=()), replace(reading, candidate=()))
    return all(_ask(one).worst is VerdictKind.NO_DATA for one in without)


def large() -> bool:
    """Ten million requests in a window leave everything finite."""
    state = begin(SHARP.design, 5000, 5)
    for bad in (0, 10_000, 1_000_000):
        state = eprocess.update(state, SHARP.design, None, Window(WINDOW, 10_000_000, bad, 10_000_000, 10_000))
    return math.isfinite(state.log_harm) and math.isfinite(state.log_safety)


def expectation() -> bool:
    """One window's factor has expectation at most 1 on the null: all counts of a small window, boosted and not."""
    n_c, n_s, rate = 8, 30, 0.05
    for lift in (0.0, 3.0, 4.5):
        state = begin(SHARP.design, 5000, 250)
        state = replace(state, harm=tuple(value + lift for value in state.harm))
        mean = math.fsum(
            _mass(n_c, x_c, rate)
            * _mass(n_s, x_s, rate)
            * math.exp(
                eprocess.update(state, SHARP.design, None, Window(1, n_c, x_c, n_s, x_s)).log_harm - state.log_harm
            )
            for x_c in range(n_c + 1)
            for x_s in range(n_s + 1)
        )
        if mean > 1.0 + 1e-9:
            return False
    return True


def _mass(n: int, x: int, p: float) -> float:
    return math.comb(n, x) * p**x * (1.0 - p) ** (n - x)


INVARIANTS: Final[Mapping[str, Callable[[], bool]]] = {
    "restart at every window": restarts,
    "replayed and overlapping windows": replays,
    "NaN, infinite, negative, absent": gaps,
    "resets and births": resets,
    "stable or candidate out of sight": lost,
    "expectation under the null": expectation,
    "ten million requests a window": large,
}


def cpu() -> dict[str, Floats]:
    """Measure CPU milliseconds of one metric and window: the test alone, and the judge with packing and words."""
    rendered, windows = _example(120, 0.001)
    design = profiles.DEFAULT.design
    state, ready = begin(design, 5000, 5), list(joined(windows))
    began = time.process_time()
    for window in ready:
        state = eprocess.update(state, design, None, window)
    alone = (time.process_time() - began) / len(ready)
    verdicts: Sequence[Verdict] = ()
    began = time.process_time()
    for place in range(1, 121):
        verdicts = _ask(rendered.between(place - 1, place), verdicts).verdicts
    whole = (time.process_time() - began) / 120
    return {"CPU test": np.array([1000.0 * alone]), "CPU judge": np.array([1000.0 * whole])}


def rows(results: Results) -> Sequence[Row]:
    """Say which invariants held, whether the layers agree, and what a window costs."""
    found = []
    for key, values in results.items():
        if key == "S10 invariants":
            found += [
                Row(NAME, name, "holds", "holds" if values[name][0] else "broken", "", _held(bool(values[name][0])))
                for name in INVARIANTS
            ]
            for name, what in (("CPU test", "errors: test of one window"), ("CPU judge", "errors: whole judge")):
                cost = float(values[name][0])
                found.append(
                    Row(NAME, f"CPU, {what}", f"<= {CPU_MS:g} ms", f"{cost:.3f} ms", "", _held(cost <= CPU_MS))
                )
            continue
        alone, through = values["tests alone"], values["judge"]
        http, short = values["HTTP"], values["judge, short"]
        same = int((alone == through).sum())
        found.append(Row(NAME, f"{key[4:]}: judge as tests", f"{len(alone)}", f"{same}", "", _held(same == len(alone))))
        same = int((http == short).sum())
        found.append(Row(NAME, f"{key[4:]}: HTTP as judge", f"{len(http)}", f"{same}", "", _held(same == len(http))))
    return found


def _held(good: bool) -> State:
    return State.MET if good else State.MISSED
