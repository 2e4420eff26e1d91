"""From a rollout's metrics to questions for a Prometheus, and from its answers to readings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from modelrollout.adapters.prometheus.answers import Garbage, labels_of
from modelrollout.adapters.prometheus.custom import Query, QueryTextError
from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.adapters.prometheus.presets import PresetError, Presets, Shape
from modelrollout.adapters.prometheus.queries import Ask, RangeQuery
from modelrollout.adapters.prometheus.readings import read_answer
from modelrollout.adapters.prometheus.signals import Signal, metric_of, signal_of
from modelrollout.api.metrics import Metric
from modelrollout.api.resource import ModelRollout
from modelrollout.backtest.recording import InvalidRecording, Recording
from modelrollout.core.evidence.judge import measured
from modelrollout.core.evidence.stages import Stage
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.strategies import stage_at
from modelrollout.ports import Key

PAST: Final = 3600
PIECE: Final = 500
"""Instants asked for at once."""


class Client(Protocol):
    """Whoever answers range queries."""

    def query_range(self, query: str, start: int, end: int, step: int) -> list[Any]:
        """Return the series."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Which two revisions of which rollout."""

    rollout: ModelRollout
    stable: str
    candidate: str
    namespace: str

    @property
    def stage(self) -> Stage | None:
        """The tests that look at a recording: those of live traffic, for it holds no copies of requests."""
        return stage_at(self.rollout.spec, None)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that are judged."""
        analysis = self.rollout.spec.analysis
        names = measured(analysis, self.stage)
        return tuple(metric for metric in analysis.metrics if metric.name in names)

    @property
    def key(self) -> Key:
        """The rollout's identity."""
        return Key(self.namespace, self.rollout.metadata.name)

    def subject(self, revision: str) -> Subject:
        """Return a revision as patterns of label values know it."""
        return Subject(self.namespace, self.rollout.metadata.name, revision)

    def ask(self, start: int) -> Ask:
        """Return what is wanted from `start` on."""
        return Ask(self.key, start, self.subject(self.stable), self.subject(self.candidate))


def texts(trial: Trial, presets: Presets) -> Iterator[tuple[str, str]]:
    """Yield the name of each answer and its PromQL. Raises InvalidRecording for a metric that cannot be asked."""
    for metric in trial.metrics:
        try:
            if metric.query is None:
                signal = signal_of(presets, trial.rollout.spec, metric.name)
                query = RangeQuery((trial.ask(0),), 0, 0, 1)
                yield metric.name, query.text(signal.source, signal.preset.shapes, signal.conditions)
                continue
            own = Query(metric.name, metric.query)
            sides = (("/stable", trial.stable), ("/candidate", trial.candidate)) if metric.compared else ()
            for suffix, revision in sides or (("", trial.candidate),):
                yield metric.name + suffix, own.filled(trial.subject(revision), trial.stable, trial.candidate)
        except (PresetError, QueryTextError) as error:
            raise InvalidRecording(str(error)) from None


def record(trial: Trial, presets: Presets, client: Client, span: tuple[int, int, int]) -> Recording:
    """Ask for everything between two instants in steps, and for the hour before; return it as a recording."""
    since, end, step = span
    start = since - -(-PAST // step) * step
    answers: dict[str, list[Any]] = {}
    for name, text in texts(trial, presets):
        merged: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        for begin in range(start, end + 1, PIECE * step):
            until = min(end, begin + (PIECE - 1) * step)
            for entry in client.query_range(text, begin, until, step):
                _join(merged, entry)
        answers[name] = list(merged.values())
    return Recording(answers, start, end, step, trial.stable, trial.candidate, trial.namespace, since)


def _join(merged: dict[tuple[tuple[str, str], ...], dict[str, Any]], entry: dict[str, Any]) -> None:
    whole = merged.setdefault(tuple(sorted(labels_of(entry).items())), {"metric": entry["metric"]})
    for kind in ("values", "histograms"):
        if kind in entry:
            whole.setdefault(kind, []).extend(entry[kind])


def readings(trial: Trial, presets: Presets, recording: Recording) -> dict[str, Reading]:
    """Return the whole reading of each metric. Raises InvalidRecording for answers that cannot be believed."""
    result = {}
    query = RangeQuery((trial.ask(recording.start),), recording.start, recording.end, recording.step)
    for metric in trial.metrics:
        try:
            if metric.query is None:
                signal = signal_of(presets, trial.rollout.spec, metric.name)
                reading = _built_in(trial, signal, query, _answer(recording, metric.name))
            else:
                reading = _own(trial, metric.name, query, recording)
        except (PresetError, QueryTextError) as error:
            raise InvalidRecording(str(error)) from None
        except Garbage as error:
            raise InvalidRecording(f"metrics.{metric.name}: holds {error}") from None
        if reading.error is not None:
            raise InvalidRecording(f"metrics.{metric.name}: {reading.error}")
        result[metric.name] = reading
    return result


def _answer(recording: Recording, name: str) -> list[Any]:
    if name not in recording.answers and name == "slo":
        name = "errors"
    if name not in recording.answers:
        known = ", ".join(recording.answers) or "none"
        raise InvalidRecording(
            f"metrics.{name}: is missing (there: {known}); record it, or take it out of spec.analysis.metrics"
        )
    return recording.answers[name]


def _built_in(trial: Trial, signal: Signal, query: RangeQuery, entries: list[Any]) -> Reading:
    return read_answer(query, entries, signal, _forms)[trial.key]


def _forms(shape: Shape, subject: Subject) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern.of(subject)) for pattern in shape.values())


def _own(trial: Trial, name: str, query: RangeQuery, recording: Recording) -> Reading:
    metric = metric_of(trial.rollout.spec.analysis, name)
    if metric is None or metric.query is None:
        return Reading()
    own, instants = Query(name, metric.query), query.instants
    position: Mapping[float, int] = {float(instant): index for index, instant in enumerate(instants)}
    if not metric.compared:
        return Reading(instants, (), own.series(_answer(recording, name), position))
    stable, candidate = (own.series(_answer(recording, f"{name}/{side}"), position) for side in ("stable", "candidate"))
    return Reading(instants, stable, candidate)
