"""What comes in and what goes out: bins and moments of each feature, a histogram of predictions.

Bins are the training data's quantiles, so that Kolmogorov-Smirnov distance, population stability index,
Jensen-Shannon divergence, L-infinity distance and shifts of mean and variance all come out of counters.
"""

import ctypes
import itertools
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from model_server import native
from model_server.metadata import Feature, Metadata
from model_server.signals.requests import histogram

# A fold of this many rows of twenty features takes one or two milliseconds by numpy.
FOLD_AT = 4096
# Compiled, what a fold costs besides its rows is little: better that rows are still in the nearest cache.
FOLD_AT_COMPILED = 256
MISSING = "missing"


class Drift:
    """Counts the rows that a model was asked for and its predictions."""

    def __init__(self, metadata: Metadata, typecode: str, outputs: int) -> None:
        self._features, self._outputs = metadata.features, outputs
        self._type = np.float64 if typecode == "d" else np.float32
        self._bounds = np.array(metadata.prediction_bounds)
        self._counts = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        ends = list(itertools.accumulate(feature.bin_count + 1 for feature in self._features))
        self._flat = np.zeros(ends[-1], dtype=np.int64)
        self._bins = np.split(self._flat, ends[:-1])
        self._sums = np.zeros(len(self._features))
        self._squares = np.zeros(len(self._features))
        self._compiled = _Compiled(self._features, typecode, (self._flat, self._sums, self._squares))
        self._fold_at = FOLD_AT_COMPILED if self._compiled.count else FOLD_AT
        self._values: list[array[float]] = []
        self._predictions: list[float] = []
        self._rows = 0

    def observe(self, values: "array[float]", rows: int, predictions: list[float]) -> None:
        """Count `rows` rows and their predictions."""
        self._values.append(values)
        self._predictions += predictions
        self._rows += rows
        if self._rows >= self._fold_at:
            self.fold()

    def fold(self) -> None:
        """Bring the counters up to date."""
        if not self._rows:
            return
        rows = b"".join(self._values)
        if self._compiled.count:
            self._compiled.count(self._compiled.address, rows, self._rows, len(self._features))
        else:
            self._count(np.frombuffer(rows, self._type).reshape(self._rows, len(self._features)))
        # Not of a list at once: numpy looks at each of its items twice.
        predictions = np.frombuffer(array("d", self._predictions))
        if self._outputs > 1:
            predictions = predictions.reshape(self._rows, self._outputs).max(axis=1)
        self._counts += np.bincount(np.searchsorted(self._bounds, predictions), minlength=len(self._counts))
        self._sum += float(predictions.sum())
        self._values, self._predictions, self._rows = [], [], 0

    def _count(self, table: NDArray[Any]) -> None:
        columns = np.ascontiguousarray(table.T, dtype=np.float64)
        absent = np.isnan(columns)
        gaps = absent.sum(axis=1)
        for position, feature in enumerate(self._features):
            column, bins = columns[position], self._bins[position]
            bins[-1] += gaps[position]
            if feature.categories:
                bins[:-1] += np.bincount(bins_of(feature, column[~absent[position]]), minlength=feature.bin_count)
                continue
            # A comparison with each bound is several times faster than a search; NaN is below none of them.
            below = [np.count_nonzero(column <= bound) for bound in feature.bins]
            bins[:-1] += np.diff([0, *below, self._rows - gaps[position]])
        self._add_moments(np.where(absent, 0.0, columns) if gaps.any() else columns)

    def _add_moments(self, columns: NDArray[np.float64]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sums, squares = columns.sum(axis=1), np.einsum("ij,ij->i", columns, columns)
        # One absurd value must not turn the sums to infinity for ever.
        sound = np.isfinite(sums) & np.isfinite(squares)
        self._sums += np.where(sound, sums, 0.0)
        self._squares += np.where(sound, squares, 0.0)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        self.fold()
        about = "Predictions; for several classes the probability of the likeliest."
        yield histogram("model_server_prediction", about, (self._bounds, self._counts, self._sum))
        labels = ["feature", "bin"]
        bins = CounterMetricFamily("model_server_feature_bin", "Rows by bin of each feature.", labels=labels)
        sums = GaugeMetricFamily("model_server_feature_sum", "Sum of a feature's values.", labels=labels[:1])
        squares = GaugeMetricFamily("model_server_feature_squares", "Sum of their squares.", labels=labels[:1])
        present = CounterMetricFamily("model_server_feature_values", "How many values those are.", labels=labels[:1])
        for position, feature in enumerate(self._features):
            counts = self._bins[position].tolist()
            for number, count in enumerate(counts[:-1]):
                bins.add_metric([feature.name, str(number)], count)
            bins.add_metric([feature.name, MISSING], counts[-1])
            sums.add_metric([feature.name], self._sums[position])
            squares.add_metric([feature.name], self._squares[position])
            present.add_metric([feature.name], sum(counts[:-1]))
        yield from (bins, present, sums, squares)


class _Columns(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("bounds", "first_bound", "first_bin", "categories", "bins", "sums", "squares")
    )


class _Compiled:
    """The compiled count, and the address of what it counts by and into; `count` is None where nothing was compiled.

    `into` are the bins of all features one after another, their sums and their sums of squares.
    """

    def __init__(self, features: tuple[Feature, ...], typecode: str, into: tuple[NDArray[Any], ...]) -> None:
        self.count: Any = native.function("count", typecode)
        bounds = [bound for feature in features for bound in feature.bins]
        first_bound = [0, *itertools.accumulate(len(feature.bins) for feature in features)]
        first_bin = [0, *itertools.accumulate(feature.bin_count + 1 for feature in features)]
        categories = [len(feature.categories) for feature in features]
        numbers = (np.array(each, np.int32) for each in (first_bound, first_bin, categories))
        # Kept here because the structure holds addresses alone.
        self._parts: tuple[NDArray[Any], ...] = (np.array(bounds, np.float64), *numbers, *into)
        self._columns = _Columns(*(part.ctypes.data for part in self._parts))
        self.address = ctypes.addressof(self._columns)


def bins_of(feature: Feature, values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the bin of each value; a category's code is its bin, and codes beyond the last count as the last."""
    if feature.categories:
        return np.clip(values, 0, len(feature.categories) - 1).astype(np.intp)
    return np.searchsorted(feature.bins, values)
