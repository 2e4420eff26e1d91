"""Delayed labels: joined with recent predictions, counted by when the prediction was made.

A label says something about the version that served when the prediction was made, not when the label arrived. Hence
counters by cohort: the span of time in which the prediction was made, five minutes as a rule.
"""

import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from prometheus_client.core import CounterMetricFamily, Metric

from model_server.metadata import Metadata, ModelError

COHORT_S = 300
COHORTS = 24
OTHER = "other"
Outcome = Literal["joined", "unknown", "late", "double", "invalid"]
OUTCOMES: tuple[Outcome, ...] = ("joined", "unknown", "late", "double", "invalid")
# cohort, predictions, slice of each row
_Entry = tuple[int, list[float], list[str]]


class Labels:
    """A bounded store of recent predictions and the counters of their labels.

    `rows` bounds the store: the oldest predictions are forgotten first, and their labels count as unknown. `length` is
    that of a cohort in seconds.
    """

    def __init__(
        self,
        metadata: Metadata,
        outputs: int,
        rows: int,
        clock: Callable[[], float] = time.time,
        length: int = COHORT_S,
    ) -> None:
        self._metadata, self._outputs, self._capacity, self._clock = metadata, outputs, rows, clock
        self._store: dict[str, _Entry] = {}
        self._labelled: dict[str, set[int]] = {}
        self._order: deque[tuple[str, int]] = deque()
        self._rows = 0
        self._length, self._cohort = length, -length
        self._results = dict.fromkeys(OUTCOMES, 0)
        self._slicer = _slicer(metadata)
        self._slices = [*metadata.slice_values, OTHER] if metadata.slice_feature else [""]
        self._cohorts: dict[int, dict[tuple[str, str], int]] = {}
        answers = self._classes()
        pairs = [(one, other) for one in answers for other in answers]
        self._confusion = {(part, *pair): 0 for part in self._slices for pair in pairs}

    def _classes(self) -> list[str]:
        if self._metadata.task == "regression":
            return []
        return [str(each) for each in range(max(self._outputs, 2))]

    def remember(self, request_id: str, values: "array[float]", rows: int, predictions: list[float]) -> None:
        """Keep the predictions of a request for their labels."""
        if rows > self._capacity:
            return
        now = self._clock()
        if not 0 <= now - self._cohort < self._length:
            self._cohort = int(now) // self._length * self._length
            if self._cohort not in self._cohorts:
                self._begin(self._cohort)
        slices = self._slicer(values, rows) if self._slicer else []
        self._store[request_id] = (self._cohort, predictions, slices)
        self._order.append((request_id, rows))
        self._rows += rows
        while self._rows > self._capacity:
            oldest, count = self._order.popleft()
            self._rows -= count
            self._store.pop(oldest, None)
            self._labelled.pop(oldest, None)

    def _begin(self, cohort: int) -> None:
        self._cohorts[cohort] = {(outcome, part): 0 for outcome in ("right", "wrong") for part in self._slices}
        for old in sorted(self._cohorts)[:-COHORTS]:
            del self._cohorts[old]

    def label(self, request_id: str, row: int, truth: float) -> Outcome:
        """Count the label of one row of a request, and say what became of it.

        An unknown one is not counted yet: another pod may know it.
        """
        result = self._join(request_id, row, truth)
        if result != "unknown":
            self._results[result] += 1
        return result

    def count(self, outcome: Outcome, labels: int) -> None:
        """Count labels that came to nothing here."""
        self._results[outcome] += labels

    def _join(self, request_id: str, row: int, truth: float) -> Outcome:
        entry = self._store.get(request_id)
        if entry is None:
            return "unknown"
        cohort, predictions, slices = entry
        seen = self._labelled.setdefault(request_id, set())
        if not 0 <= row < len(predictions) // self._outputs:
            return "invalid"
        if row in seen:
            return "double"
        counts = self._cohorts.get(cohort)
        if counts is None:
            return "late"
        part = slices[row] if slices else ""
        if self._metadata.task == "regression":
            right = abs(predictions[row] - truth) <= self._metadata.tolerance
        else:
            predicted, actual = self._predicted(predictions, row), int(truth)
            key = (part, str(predicted), str(actual))
            if truth != actual or key not in self._confusion:
                return "invalid"
            right = predicted == actual
            self._confusion[key] += 1
        seen.add(row)
        counts["right" if right else "wrong", part] += 1
        return "joined"

    def _predicted(self, predictions: list[float], row: int) -> int:
        if self._outputs == 1:
            return int(predictions[row] >= self._metadata.threshold)
        answers = predictions[row * self._outputs : (row + 1) * self._outputs]
        return answers.index(max(answers))

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        now = int(self._clock()) // self._length * self._length
        if now not in self._cohorts:  # a cohort's series should be there, at 0, before its first label
            self._begin(now)
        about = "Labels by the start of the span (FEEDBACK_COHORT_S) in which their prediction was made."
        labels = CounterMetricFamily("model_server_labels", about, labels=["cohort", "outcome", "slice"])
        for cohort, counts in sorted(self._cohorts.items()):
            for (outcome, part), count in counts.items():
                labels.add_metric([str(cohort), outcome, part], count)
        yield labels
        results = CounterMetricFamily("model_server_feedback", "Labels by what became of them.", labels=["result"])
        for result, count in self._results.items():
            results.add_metric([result], count)
        yield results
        names = ["slice", "predicted", "actual"]
        matrix = CounterMetricFamily("model_server_confusion", "Labelled predictions by both classes.", labels=names)
        for key, count in self._confusion.items():
            matrix.add_metric(key, count)
        yield matrix


_Slicer = Callable[["array[float]", int], list[str]]


def _slicer(metadata: Metadata) -> _Slicer | None:
    """Return what tells the slice of each row, or None when the model has no slices.

    Raises ModelError when a slice is no value of its feature.
    """
    if not metadata.slice_feature:
        return None
    position = metadata.names.index(metadata.slice_feature)
    feature, width = metadata.features[position], len(metadata.features)
    known: dict[float, str] = {}
    for value in metadata.slice_values:
        try:
            code = feature.categories.index(value) if feature.categories else float(value)
        except ValueError:
            raise ModelError(f"slice_values: {value!r} is no value of the feature {feature.name!r}") from None
        known[float(code)] = value

    def slices(values: "array[float]", rows: int) -> list[str]:
        return [known.get(values[at], OTHER) for at in range(position, rows * width, width)]

    return slices
