"""Which queries to send for a window: few, compact, and none that a laggard makes long for everybody."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelrollout.adapters.prometheus.patterns import Subject, literal
from modelrollout.adapters.prometheus.presets import Shape
from modelrollout.adapters.prometheus.sources import Source
from modelrollout.ports import Key

MOST_STEPS: Final = 120
"""A rollout that is further behind than this is read in steps of several windows."""
CURRENT_STEPS: Final = 4
"""Rollouts at most this far behind share their queries; those further behind have their own."""
MOST_ROLLOUTS: Final = 200
"""In one query."""
MOST_DATA: Final = 24_000
"""Bound of one answer's size, in rollouts x (labels + instants) x the metric's heft; about ten megabytes."""
LABELS: Final = 10
"""The labels of a series weigh about as much as this many samples."""


PAST: Final = 3600
"""Seconds of stable's past that are read once, before evidence begins."""
PAST_STEP: Final = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """What one rollout needs of a metric: everything since the start of the first window not counted yet."""

    key: Key
    since: int
    stable: Subject | None
    """None: this side is not asked for."""
    candidate: Subject | None

    @property
    def subjects(self) -> list[Subject]:
        """The revisions asked for."""
        return [subject for subject in (self.stable, self.candidate) if subject is not None]


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """One query: the rollouts that share it, and its instants."""

    asks: tuple[Ask, ...]
    start: int
    end: int
    step: int

    @property
    def instants(self) -> tuple[int, ...]:
        """The aligned instants, Unix seconds."""
        return tuple(range(self.start, self.end + 1, self.step))

    def text(self, source: Source, shapes: Iterable[Shape], more: Mapping[str, str] | None = None) -> str:
        """Return the PromQL of these rollouts' series; `more`: regular expressions of further labels."""
        subjects = [subject for ask in self.asks for subject in ask.subjects]
        conditions = {**source.where, **(more or {})}
        return " or ".join(selector(source.names, shape, subjects, conditions) for shape in shapes)


def selector(names: Sequence[str], shape: Shape, subjects: Sequence[Subject], more: Mapping[str, str]) -> str:
    """Return the PromQL selector of the series of some revisions."""
    matchers = [f"{label}=~{literal(pattern.of_any(subjects))}" for label, pattern in shape.items()]
    matchers += [f"{label}=~{literal(regex)}" for label, regex in more.items()]
    if len(names) == 1:
        return f"{names[0]}{{{','.join(matchers)}}}"
    return f"{{__name__=~{literal('|'.join(names))},{','.join(matchers)}}}"


def plan_queries(asks: Iterable[Ask], until: int, window: int, heft: int = 1) -> Iterator[RangeQuery]:
    """Group what rollouts need up to `until` into queries.

    Every rollout's `since` is an instant of its query. Where the step is several windows, the last instant may be
    before `until`; the rest is read with the next window. A rollout that lacks no whole window is left out.
    `heft`: how many times the series of a plain counter a rollout has.
    """
    groups: dict[tuple[int, int, bool], list[Ask]] = defaultdict(list)
    for ask in asks:
        behind = (until - ask.since) // window
        if behind < 1:
            continue
        step = window * max(1, -(-behind // MOST_STEPS))
        groups[step, ask.since % step, behind > CURRENT_STEPS].append(ask)
    for (step, _, _), members in groups.items():
        members.sort(key=lambda ask: (ask.since, ask.key))
        while members:
            start = members[0].since
            windows = (until - start) // step
            size = max(1, min(MOST_ROLLOUTS, MOST_DATA // ((LABELS + windows + 1) * heft)))
            yield RangeQuery(tuple(members[:size]), start, start + windows * step, step)
            del members[:size]


def plan_past(asks: Iterable[Ask], window: int, heft: int = 1) -> Iterator[RangeQuery]:
    """Group rollouts into queries about the hour of stable's past before `since`, on a grid of a minute or more."""
    groups: dict[int, list[Ask]] = defaultdict(list)
    step = max(PAST_STEP, window)
    for ask in asks:
        groups[ask.since // step * step].append(replace(ask, candidate=None))
    size = max(1, min(MOST_ROLLOUTS, MOST_DATA // ((LABELS + PAST // step + 1) * heft)))
    for end, members in groups.items():
        for first in range(0, len(members), size):
            yield RangeQuery(tuple(members[first : first + size]), end - PAST // step * step, end, step)
