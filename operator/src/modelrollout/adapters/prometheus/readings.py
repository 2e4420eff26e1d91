"""From one answer to the readings of the rollouts that shared its query."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelrollout.adapters.prometheus.answers import Garbage, labels_of, upper_bound, values_of
from modelrollout.adapters.prometheus.patterns import Subject, words
from modelrollout.adapters.prometheus.presets import Errors, Latency, Preset
from modelrollout.adapters.prometheus.queries import Ask, RangeQuery
from modelrollout.core.evidence.windows import Reading, Series
from modelrollout.ports import Key

Forms = Callable[[Preset, Subject], tuple[re.Pattern[str], ...]]
"""Gives the exact forms of a revision's label values, in the order of `Preset.patterns`."""


@dataclass(slots=True)
class _Side:
    """One revision of one rollout, and what was found of it."""

    forms: tuple[re.Pattern[str], ...]
    skip: int
    """Instants of the query before the rollout's own first one."""
    series: list[Series] = field(default_factory=list)
    fault: str | None = None


def read_answer(
    query: RangeQuery, entries: Iterable[object], preset: Preset, source: Errors | Latency, forms: Forms
) -> dict[Key, Reading]:
    """Return the reading of each rollout of a query.

    A series that cannot be believed spoils the reading of its own rollout only. Raises Garbage for an answer in
    which a series does not even have labels.
    """
    instants = query.instants
    sides = [
        (_Side(forms(preset, ask.stable), _skip(query, ask)), _Side(forms(preset, ask.candidate), _skip(query, ask)))
        for ask in query.asks
    ]
    owners = _Owners(preset, query.asks, sides)
    reader = _Reader(source, preset.source, {instant: index for index, instant in enumerate(instants)})
    for entry in entries:
        labels = labels_of(entry)
        for side in owners.of(labels):
            reader.add(side, labels, entry)
    return {
        ask.key: _reading(instants[stable.skip :], stable, candidate)
        for ask, (stable, candidate) in zip(query.asks, sides, strict=True)
    }


class _Owners:
    """Finds the revision that a series belongs to in constant time, by a word of its label.

    The many series of a revision (codes, buckets, instances) share their label values, so each combination is
    looked at once.
    """

    def __init__(self, preset: Preset, asks: Sequence[Ask], sides: Sequence[tuple[_Side, _Side]]) -> None:
        self._labels = tuple(preset.patterns)
        self._known: dict[tuple[str, ...], tuple[_Side, ...]] = {}
        self._by_word: dict[str, list[_Side]] = defaultdict(list)
        for ask, (stable, candidate) in zip(asks, sides, strict=True):
            self._by_word[ask.stable.token].append(stable)
            self._by_word[ask.candidate.token].append(candidate)

    def of(self, labels: Mapping[str, str]) -> tuple[_Side, ...]:
        values = tuple(labels.get(label, "") for label in self._labels)
        if values not in self._known:
            near = {id(side): side for word in words(values[0]) for side in self._by_word.get(word, ())}
            self._known[values] = tuple(side for side in near.values() if _fits(side.forms, values))
        return self._known[values]


def _fits(forms: Sequence[re.Pattern[str]], values: Sequence[str]) -> bool:
    return all(form.fullmatch(value) for form, value in zip(forms, values, strict=True))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads single series of one metric."""

    source: Errors | Latency
    source_label: str
    position: Mapping[float, int]

    def add(self, side: _Side, labels: Mapping[str, str], entry: object) -> None:
        try:
            values = values_of(entry, self.position)[side.skip :]
            bad = isinstance(self.source, Errors) and _is_bad(self.source, labels)
            le = upper_bound(labels.get("le"), self.source.scale) if isinstance(self.source, Latency) else None
        except Garbage as error:
            side.fault = side.fault or f"{self.source.series}: Prometheus returned {error}"
            return
        if any(value is not None for value in values):
            side.series.append(Series(bad, le, labels.get(self.source_label, ""), values))


def _is_bad(source: Errors, labels: Mapping[str, str]) -> bool:
    for label in source.bad:
        if not labels.get(label):
            # Taking it for good would hide every failure wherever relabelling has dropped the label.
            raise Garbage(f"a series without the label {label}")
    return all(re.fullmatch(regex, labels[label]) for label, regex in source.bad.items())


def _skip(query: RangeQuery, ask: Ask) -> int:
    return (ask.since - query.start) // query.step


def _reading(instants: tuple[int, ...], stable: _Side, candidate: _Side) -> Reading:
    fault = candidate.fault or stable.fault
    if fault is not None:
        return Reading(error=fault)
    return Reading(instants, tuple(stable.series), tuple(candidate.series))
