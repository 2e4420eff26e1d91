"""`inputs`: do both revisions get the same kind of requests? Told, never a reason to hold or to go back.

Bins of each feature, candidate against stable over the same windows, with the test of `distance` at a few boundaries.
Where it rejects, the split is not random, or the candidate reads its inputs otherwise than stable does: either way
every other comparison is to be taken with care. Of many features those are followed that differ most at the start.
"""

import base64
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from modelrollout.api.metrics import Metric
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.core.evidence import counters, two_sample, wording
from modelrollout.core.evidence.case import Case, Outcome, Test, onward
from modelrollout.core.evidence.distance import MEMORY, ONSET, START_MASS, Floats, log_ratio
from modelrollout.core.evidence.metrics.subject import Subject
from modelrollout.core.evidence.windows import Reading

STEP: Final = 0.1
"""The alternative: so far beyond the tolerance."""
SURE: Final = math.log(100.0)
"""Log e-value at which the inputs are said to have drifted: wrongly so in one of a hundred rollouts at most."""
FEATURES: Final = 6
"""Most features that are followed."""
POINTS: Final = 4
"""Boundaries of each: the first tells missing values from all others where a feature has such a bin."""
FIRST: Final = 100
"""Rows of the candidate after which the features to be followed are chosen."""
PATIENCE: Final = 600
"""Seconds that are read again while there are not enough rows to choose."""
_HEAD: Final = struct.Struct("<IIfff")
_WHOLE: Final = 65535.0
_FINE: Final = 512.0


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered, rounded as it is packed; one row a feature in every table."""

    end: int
    names: int
    """Checksum of the names of all features, by whose order a feature is known."""
    features: tuple[int, ...]
    shares: Floats
    """Shares at or below the boundaries: stable's, then the candidate's."""
    seen: tuple[float, float]
    """Rows behind them, at most MEMORY."""
    wealth: Floats
    """Log wealth of each sign (below, above) and boundary."""
    waiting: float

    @property
    def log_harm(self) -> float:
        """Log e-value against the null that no feature's distance is beyond the tolerance."""
        total = float(np.logaddexp.reduce(self.wealth, axis=None))
        return total if self.waiting <= 0.0 else float(np.logaddexp(total, math.log(self.waiting)))

    def pack(self) -> str:
        """Write it as text, exact, below 300 characters."""
        head = _HEAD.pack(self.end, self.names, *self.seen, self.waiting)
        shares, wealth = np.rint(self.shares * _WHOLE).astype("<u2"), np.rint(self.wealth * _FINE).astype("<i2")
        return base64.b64encode(head + bytes(self.features) + shares.tobytes() + wealth.tobytes()).decode()


def unpack(text: str) -> Memory | None:
    """Read what `pack` wrote; None for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
        end, names, seen_s, seen_c, waiting = _HEAD.unpack_from(raw)
        many, rest = divmod(len(raw) - _HEAD.size, 1 + 8 * POINTS)
        if many < 1 or rest or not math.isfinite(seen_s + seen_c + waiting):
            return None
        place = _HEAD.size + many
        shares = np.frombuffer(raw, "<u2", many * 2 * POINTS, place) / _WHOLE
        wealth = np.frombuffer(raw, "<i2", many * 2 * POINTS, place + many * 4 * POINTS) / _FINE
    except (ValueError, struct.error):
        return None
    shape = (many, 2, POINTS)
    features = tuple(raw[_HEAD.size : place])
    return Memory(end, names, features, shares.reshape(shape), (seen_s, seen_c), wealth.reshape(shape), waiting)


@dataclass(frozen=True, slots=True)
class Inputs(Subject):
    """What both revisions are asked."""

    @property
    def tolerance(self) -> float:
        """Distance that is tolerated."""
        return self.metric.max_distance or wording.DISTANCE["inputs"]

    def enter_step(self, evidence: str, since: int) -> str:
        """Return the state as a new weight begins."""
        memory = unpack(evidence)
        return replace(memory, end=onward(since, memory.end)).pack() if memory is not None else ""

    def judge(self, case: Case) -> Outcome:
        """Count rows."""
        names = sorted({one.part for one in case.reading.stable})
        memory = unpack(case.last.evidence)
        if memory is not None and memory.names != _checksum(names) and names:
            memory = None
        start = case.first(case.since if memory is None else memory.end)
        if start is None or not names:
            return self._wait(case, memory, "no bins of stable's features; does the model server export them?")
        if memory is None:
            memory, start = _begin(case.reading, names, start)
        if memory is None:
            return self._wait(case, memory, f"counting the first {FIRST} rows of the candidate")
        before = memory
        memory, rows = self._fold(case.reading, [names[place] for place in memory.features], memory, start)
        tallies = {
            "stable": Tally(requests=case.last.stable.requests + rows[0]),
            "candidate": Tally(requests=case.last.candidate.requests + rows[1]),
        }
        verdict = case.last.model_copy(update={**tallies, "evidence": memory.pack()} if memory is not before else {})
        return Outcome(self._conclude(verdict, names, memory), memory.log_harm, memory.end)

    def _wait(self, case: Case, memory: Memory | None, why: str) -> Outcome:
        """Conclude nothing new."""
        if memory is not None:
            return Outcome(_pass(case.last, case.last.reason, case.last.message), memory.log_harm, memory.end)
        instants = case.reading.instants
        back = max(case.since, instants[-1] - (PATIENCE if case.reading.stable else 0)) if instants else case.since
        return Outcome(_pass(case.last, Reason.WAITING, why), 0.0, back)

    def _fold(self, reading: Reading, followed: Sequence[str], memory: Memory, start: int) -> tuple[Memory, list[int]]:
        counts = _counts(reading, followed, start)
        rows, held = [0, 0], np.zeros(counts.shape[1:])
        for end, window in zip(reading.instants[start + 1 :], counts, strict=True):
            held = held + window
            n_s, n_c = (float(held[:, side, -1].max()) for side in (0, 1))
            if 0 < n_c < two_sample.MIN_REQUESTS and end - memory.end < two_sample.MAX_JOINED:
                continue
            memory = _update(memory, self.tolerance, held, end)
            rows = [rows[0] + round(n_s), rows[1] + round(n_c)]
            held = np.zeros(held.shape)
        return memory, rows

    def _conclude(self, verdict: Verdict, names: Sequence[str], memory: Memory) -> Verdict:
        apart = np.abs(memory.shares[:, 1] - memory.shares[:, 0]).max(axis=1)
        worst = int(apart.argmax())
        if memory.log_harm >= SURE:
            worst = int(np.logaddexp.reduce(memory.wealth.reshape(len(apart), -1), axis=1).argmax())
        name = names[memory.features[worst]]
        seen = f"{name} differs most, by {apart[worst]:.3f} ({self.tolerance:g} is tolerated)"
        changes = {"harm": f"{memory.log_harm:.2f}", "effect": f"{name} {apart[worst]:.3f}"}
        verdict = verdict.model_copy(update=changes)
        if memory.log_harm < SURE:
            return _pass(verdict, Reason.SAFE, f"alike for both revisions: {seen}")
        odds = wording.e_value(memory.log_harm)
        text = f"differ: {seen}; e-value {odds}; is the split random, and do both read their inputs alike?"
        return _pass(verdict, Reason.DRIFTED, text)


def _pass(verdict: Verdict, reason: Reason, message: str) -> Verdict:
    return verdict.model_copy(update={"verdict": VerdictKind.PASS, "reason": reason, "message": message})


def _checksum(names: Sequence[str]) -> int:
    return zlib.crc32("\n".join(names).encode())


def _begin(reading: Reading, names: Sequence[str], first: int) -> tuple[Memory | None, int]:
    """Choose the features that differ most over the first windows; None while those hold too little."""
    names, held = names[:256], np.zeros((len(names[:256]), 2, POINTS + 1))
    for place, window in enumerate(_counts(reading, names, first)[:-1], start=first + 1):
        held += window
        if held[:, 1, -1].max() < FIRST or held[:, 0, -1].max() < FIRST:
            continue
        shares = (held[..., :-1] + 0.5) / (held[..., -1:] + 1.0)
        apart = np.abs(shares[:, 0] - shares[:, 1]).max(axis=1)
        chosen = tuple(sorted(int(feature) for feature in np.argsort(-apart, kind="stable")[:FEATURES]))
        wealth = np.full((len(chosen), 2, POINTS), math.log(START_MASS / (len(chosen) * 2 * POINTS)))
        seen = (float(min(held[:, 0, -1].max(), MEMORY)), float(min(held[:, 1, -1].max(), MEMORY)))
        waiting = _single(1.0 - START_MASS)
        end, rounded = reading.instants[place], _rounded(shares[list(chosen)])
        return Memory(end, _checksum(names), chosen, rounded, seen, _down(wealth), waiting), place
    return None, first


def _update(memory: Memory, tolerance: float, counts: Floats, end: int) -> Memory:
    """Count one window: for each feature stable's and the candidate's counts at the boundaries, and of all rows."""
    stable, candidate = (_signs(counts[:, side, :-1], counts[:, side, -1:]) for side in (0, 1))
    n_s, n_c = (counts[:, side, -1][:, None, None] for side in (0, 1))
    entering = memory.waiting * -math.expm1(-(end - memory.end) / ONSET)
    wealth = np.logaddexp(memory.wealth, math.log(max(entering, 1e-300) / memory.wealth.size))
    theta = _signs(memory.shares[:, 0], 1.0)
    line = theta + tolerance
    worse = np.where(line < 0.99, line + np.minimum(STEP, 0.9 * (1.0 - line)), 1.0)
    both = (n_s > 0) & (n_c > 0)
    gain = log_ratio(worse, theta, tolerance, (candidate, np.maximum(n_c, 1)), (stable, np.maximum(n_s, 1)))
    grown = counts[..., -1].max(axis=0)
    shares = memory.shares
    for side in (0, 1):
        total = memory.seen[side] + counts[:, side, -1:]
        blended = (shares[:, side] * memory.seen[side] + counts[:, side, :-1]) / np.maximum(total, 1.0)
        shares = np.where((np.arange(2) == side)[None, :, None], blended[:, None, :], shares)
    seen = (min(memory.seen[0] + float(grown[0]), MEMORY), min(memory.seen[1] + float(grown[1]), MEMORY))
    return replace(
        memory,
        end=end,
        shares=_rounded(shares),
        seen=(_single(seen[0]), _single(seen[1])),
        wealth=_down(wealth + np.where(both, gain, 0.0)),
        waiting=_single(memory.waiting - entering),
    )


def _counts(reading: Reading, features: Sequence[str], start: int) -> Floats:
    """Return counts at the boundaries, and of all rows: window by feature by side (stable, candidate)."""
    known = counters.sources_known((*reading.stable, *reading.candidate), len(reading.instants))
    place = {name: index for index, name in enumerate(features)}
    cells: list[dict[float, list[list[int]]]] = [{} for _ in features]
    windows = len(reading.instants) - start - 1
    for side, found in enumerate((reading.stable, reading.candidate)):
        for one in found:
            if one.le is not None and one.part in place:
                bins = cells[place[one.part]].setdefault(one.le, [[0] * windows, [0] * windows])
                grown = counters.increments(one, known[one.source], start)
                bins[side] = [a + b for a, b in zip(bins[side], grown, strict=True)]
    result = np.zeros((windows, len(features), 2, POINTS + 1))
    for index, found_bins in enumerate(cells):
        if len(found_bins) > 1:
            cumulative = np.cumsum(np.array([found_bins[le] for le in sorted(found_bins)]), axis=0)
            points = [*np.rint(np.linspace(0, len(found_bins) - 2, POINTS)).astype(int), len(found_bins) - 1]
            result[:, index] = cumulative[points].transpose(2, 1, 0)
    return result


def _signs(below: Floats, total: Floats | float) -> Floats:
    return np.stack((below, total - below), axis=1)


def _rounded(shares: Floats) -> Floats:
    rounded: Floats = np.clip(np.rint(shares * _WHOLE), 1.0, _WHOLE - 1.0) / _WHOLE
    return rounded


def _down(wealth: Floats) -> Floats:
    """Round logarithms down, so that the sum stays an e-value; below -64 nothing is left to lose."""
    rounded: Floats = np.clip(np.floor(wealth * _FINE), -32768.0, 32767.0) / _FINE
    return rounded


def _single(value: float) -> float:
    return float(np.float32(value))


def tests(metric: Metric) -> Iterator[Test]:
    """Yield the test of the metric."""
    yield Inputs(metric, share=0.0)
