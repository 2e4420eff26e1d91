"""From one answer to the readings of the rollouts that shared its query."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelrollout.adapters.prometheus import histograms
from modelrollout.adapters.prometheus.answers import Garbage, labels_of, samples_of, values_of
from modelrollout.adapters.prometheus.histograms import Native
from modelrollout.adapters.prometheus.patterns import Subject, words
from modelrollout.adapters.prometheus.presets import Shape
from modelrollout.adapters.prometheus.queries import RangeQuery
from modelrollout.adapters.prometheus.signals import Signal
from modelrollout.adapters.prometheus.sources import Mark, label_of
from modelrollout.adapters.prometheus.totals import partitioned
from modelrollout.core.evidence.windows import Reading, Series
from modelrollout.ports import Key

Forms = Callable[[Shape, Subject], tuple[re.Pattern[str], ...]]
"""Gives the exact forms of a revision's label values, in the order of the shape."""


@dataclass(slots=True)
class _Side:
    """One revision of one rollout, and what was found of it."""

    skip: int
    """Instants of the query before the rollout's own first one."""
    series: list[tuple[Series, bool]] = field(default_factory=list)
    """With whether each counts all requests, bad ones too."""
    native: list[Native] = field(default_factory=list)
    seen: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    fault: str | None = None


def read_answer(query: RangeQuery, entries: Iterable[object], signal: Signal, forms: Forms) -> dict[Key, Reading]:
    """Return the reading of each rollout of a query.

    A series that cannot be believed spoils the reading of its own rollout only. Raises Garbage for an answer in
    which a series does not even have labels.
    """
    instants = query.instants
    skips = [max(0, (ask.since - query.start) // query.step) if ask.candidate else 0 for ask in query.asks]
    sides = [(_Side(skip), _Side(skip)) for skip in skips]
    owners = _Owners(signal.preset.shapes, forms)
    for ask, (stable, candidate) in zip(query.asks, sides, strict=True):
        owners.add(ask.stable, stable)
        owners.add(ask.candidate, candidate)
    reader = _Reader(signal, {instant: index for index, instant in enumerate(instants)})
    for entry in entries:
        labels = labels_of(entry)
        for side in owners.of(labels):
            reader.add(side, labels, entry)
    return {
        ask.key: _reading(instants[stable.skip :], stable, candidate, signal)
        for ask, (stable, candidate) in zip(query.asks, sides, strict=True)
    }


class _Owners:
    """Finds the revision that a series belongs to in constant time, by a word of its label.

    The many series of a revision (codes, buckets, instances) share their label values, so each combination is
    looked at once.
    """

    def __init__(self, shapes: Sequence[Shape], forms: Forms) -> None:
        self._shapes = shapes
        self._forms = forms
        self._known: dict[tuple[int, tuple[str, ...]], tuple[_Side, ...]] = {}
        self._by_word: dict[str, list[tuple[Subject, _Side]]] = defaultdict(list)

    def add(self, subject: Subject | None, side: _Side) -> None:
        """Give a revision's series to a side from now on."""
        if subject is not None:
            self._by_word[subject.token].append((subject, side))

    def of(self, labels: Mapping[str, str]) -> tuple[_Side, ...]:
        for number, shape in enumerate(self._shapes):
            values = tuple(labels.get(label, "") for label in shape)
            found = self._known.get((number, values))
            if found is None:
                found = self._known[number, values] = tuple(self._search(shape, values))
            if found:
                return found
        return ()

    def _search(self, shape: Shape, values: Sequence[str]) -> Iterable[_Side]:
        near = {id(side): (subject, side) for word in words(values[0]) for subject, side in self._by_word.get(word, ())}
        for subject, side in near.values():
            forms = self._forms(shape, subject)
            if all(form.fullmatch(value) for form, value in zip(forms, values, strict=True)):
                yield side


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads single series of one metric."""

    signal: Signal
    position: Mapping[float, int]

    def add(self, side: _Side, labels: Mapping[str, str], entry: object) -> None:
        try:
            mark = self.signal.source.mark(labels)
            part = self._part(labels, mark) if mark is not None else None
            if mark is None or part is None:
                return
            if (identity := tuple(sorted(labels.items()))) in side.seen:
                raise Garbage("the same series twice")
            side.seen.add(identity)
            self._keep(side, mark, part, "/".join(labels.get(label, "") for label in self.signal.preset.source), entry)
        except Garbage as error:
            side.fault = side.fault or f"{self.signal.source.series}: Prometheus returned {error}"

    def _part(self, labels: Mapping[str, str], mark: Mark) -> str | None:
        """Return the slice or feature of a series; None where it is in none of those that were asked for."""
        if self.signal.slices is None:
            return mark.part
        value = label_of(labels, self.signal.slices[0])
        return value if value in self.signal.slices[1] else None

    def _keep(self, side: _Side, mark: Mark, part: str, source: str, entry: object) -> None:
        if mark.native:
            samples = samples_of(entry, "histograms", self.position, histograms.histogram)[side.skip :]
            if any(sample is not None for sample in samples):
                side.native.append(Native(source, part, tuple(samples)))
            return
        values = values_of(entry, self.position)[side.skip :]
        if any(value is not None for value in values):
            side.series.append((Series(mark.bad, mark.le, source, values, part, mark.cohort), mark.total))


def _reading(instants: tuple[int, ...], stable: _Side, candidate: _Side, signal: Signal) -> Reading:
    fault = candidate.fault or stable.fault
    if fault is not None:
        return Reading(error=fault)
    if all(side.native or not side.series for side in (stable, candidate)) and (stable.native or candidate.native):
        # Where both forms are there, the native one is finer.
        return _unfolded(instants, stable.native, candidate.native, signal.scale)
    return Reading(instants, *partitioned(stable.series, candidate.series))


def _unfolded(instants: tuple[int, ...], stable: list[Native], candidate: list[Native], scale: float) -> Reading:
    schema, exponents = histograms.grid((*stable, *candidate), scale)
    bounds = histograms.bounds(schema, exponents, scale)

    def side(found: list[Native]) -> tuple[Series, ...]:
        return tuple(
            Series(False, le, one.source, values, one.part)
            for one in found
            for le, values in zip(bounds, histograms.columns(one, schema, exponents), strict=True)
        )

    return Reading(instants, side(stable), side(candidate))
