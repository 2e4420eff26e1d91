"""Feeds the judge window after window, as a rollout does: counters grow, verdicts come back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Status, Verdict
from modelrollout.core.evidence.judge import Judgement, Question, enter_step, judge
from modelrollout.core.evidence.windows import Past, Reading, Series

WINDOW = 15
Key = tuple[str, bool, float | None, str, int | None]
"""What identifies a counter: metric, bad, le, part, cohort."""


def analysis(*metrics: Mapping[str, object], **fields: object) -> Analysis:
    """Return an analysis with these metrics."""
    return Analysis.model_validate({"preset": "traefik", "metrics": list(metrics), **fields})


@dataclass
class Feed:
    """A trial of a candidate; `window` lets a window pass."""

    analysis: Analysis
    weight: int = 5
    next_weight: int = 20
    now: int = 0
    since: int = 0
    settled: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    counters: dict[str, Counter[Key]] = field(default_factory=lambda: {"stable": Counter(), "candidate": Counter()})
    past: Mapping[str, Past] = field(default_factory=dict)
    last: Judgement | None = None
    gauges: list[tuple[float | None, float | None]] = field(default_factory=list)
    waiting: list[tuple[int, dict[str, Counter[Key]]]] = field(default_factory=list)
    """The instants that are not counted yet, with what the counters held."""

    def __post_init__(self) -> None:
        self.waiting.append((0, self.held()))

    def held(self) -> dict[str, Counter[Key]]:
        """Return what the counters hold now."""
        return {side: Counter(held) for side, held in self.counters.items()}

    def count(self, side: str, metric: str, n: int, **mark: object) -> None:
        """Let a counter of a side grow."""
        key = (metric, mark.get("bad", False), mark.get("le"), mark.get("part", ""), mark.get("cohort"))
        self.counters[side][key] += n  # type: ignore[index]

    def rates(self, metric: str, candidate: tuple[int, int], stable: tuple[int, int], **mark: object) -> None:
        """Count (all, bad) of both sides."""
        for side, (n, x) in (("candidate", candidate), ("stable", stable)):
            self.count(side, metric, n - x, **mark)
            self.count(side, metric, x, bad=True, **mark)

    def histogram(self, metric: str, bounds: Sequence[float], candidate: Sequence[int], stable: Sequence[int]) -> None:
        """Count the cells of a histogram."""
        for side, cells in (("candidate", candidate), ("stable", stable)):
            total = 0
            for bound, cell in zip(bounds, cells, strict=True):
                total += cell
                self.count(side, metric, total, le=bound)

    def window(self, *, judged: bool = True) -> dict[str, Verdict]:
        """End the window, and let the judge look unless it is away."""
        self.now += WINDOW
        self.waiting.append((self.now, self.held()))
        if judged:
            readings = {metric.name: self._reading(metric.name) for metric in self.analysis.metrics}
            self.last = self._ask(readings)
        return self.said

    def silence(self, error: str | None) -> dict[str, Verdict]:
        """Let the judge look while there is no answer, or nothing to read."""
        readings = {} if error is None else {m.name: Reading(error=error) for m in self.analysis.metrics}
        self.last = self._ask(readings)
        return self.said

    @property
    def said(self) -> dict[str, Verdict]:
        """What the judge said last, by name."""
        return {verdict.name: verdict for verdict in self.verdicts}

    def _ask(self, readings: Mapping[str, Reading]) -> Judgement:
        question = Question(
            self.analysis,
            self.verdicts,
            readings,
            self.since,
            self.next_weight,
            self.weight,
            settled=self.settled,
        )
        found = judge(question)
        # Through JSON, as status is kept; this also checks that it is valid.
        self.verdicts = Status.model_validate_json(
            Status(verdicts=list(found.verdicts)).model_dump_json(by_alias=True)
        ).verdicts
        self.since = found.end
        self.waiting = [one for one in self.waiting if one[0] >= self.since]
        return found

    def enter(self, weight: int, next_weight: int, settles: int = 0) -> None:
        """Begin a step, at which the route needs some seconds to settle."""
        self.weight, self.next_weight = weight, next_weight
        self.since, self.settled = self.now, self.now + settles
        self.verdicts = enter_step(self.analysis, self.verdicts, self.since, settled=self.settled)
        self.waiting = [(self.now, self.held())]

    def _reading(self, name: str) -> Reading:
        instants = tuple(instant for instant, _ in self.waiting)
        if self.gauges:
            values = [(None, None), *self.gauges]
            places = [instant // WINDOW for instant in instants]
            sides = [(Series(False, None, "", tuple(values[p][k] for p in places)),) for k in (0, 1)]
            return Reading(instants, sides[0], sides[1])

        def side(which: str) -> tuple[Series, ...]:
            keys = [key for key in self.counters[which] if key[0] == name]
            return tuple(
                Series(bad, le, "s", tuple(float(held[which][key]) for _, held in self.waiting), part, cohort)
                for key in keys
                for (_, bad, le, part, cohort) in (key,)
            )

        return Reading(instants, side("stable"), side("candidate"), past=self.past.get(name))
