"""Requests: how many, how they ended, how long they took."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from model_server.metadata import Feature
from model_server.schema import FEATURE_KINDS, REQUEST_KINDS

KNOWN_CODES = (200, 400, 500)
ERROR_KINDS = ("schema", "size", "path", "loading", "limit", "deadline", "injected", "model", "output")
FALLBACK_REASONS = ("deadline", "injected", "model", "output")
FOLD_AT = 4096


def buckets() -> list[float]:
    """Return upper bounds in seconds: 100 us to 800 us doubling, then 1 ms to 10 s, each 1.25 times the one before.

    A bound is off from a true quantile by at most a quarter where answers take a millisecond or more.
    """
    bounds = [float(f"{0.001 * 1.25**step:.4g}") for step in range(42)]
    return [0.0001, 0.0002, 0.0004, 0.0008, *bounds, 10.0]


class Requests:
    """Counts and times inference requests."""

    def __init__(self) -> None:
        # A series that is born with its first event loses that event: a rate needs the 0 before it.
        self._codes = dict.fromkeys(KNOWN_CODES, 0)
        self.errors = dict.fromkeys(ERROR_KINDS, 0)
        self.fallbacks = dict.fromkeys(FALLBACK_REASONS, 0)
        self._violations = dict.fromkeys((("", kind) for kind in REQUEST_KINDS), 0)
        self._bounds = buckets()
        self._counts = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self._new: array[float] = array("d")
        self.in_flight = 0

    def declare(self, features: Iterable[Feature]) -> None:
        """Begin the violations of a model's features at 0."""
        for feature in features:
            for kind in FEATURE_KINDS:
                self._violations.setdefault((feature.name, kind), 0)

    def ended(self, code: int | None, seconds: float) -> None:
        """Count a request out; without a code it was given up by its caller."""
        self.in_flight -= 1
        if code is None:
            return
        self._codes[code] = self._codes.get(code, 0) + 1
        self._new.append(seconds)
        if len(self._new) >= FOLD_AT:
            self._fold()

    def violated(self, feature: str, kind: str) -> None:
        """Count a value or request that the model's schema does not allow."""
        self._violations[feature, kind] = self._violations.get((feature, kind), 0) + 1

    def _fold(self) -> None:
        seconds = np.frombuffer(self._new, dtype=np.float64)
        found = np.searchsorted(self._bounds, seconds)
        self._counts += np.bincount(found, minlength=len(self._counts))
        self._sum += float(seconds.sum())
        self._new = array("d")

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        self._fold()
        yield _counter("requests", "Inference requests by HTTP status code.", "code", self._codes)
        yield histogram(
            "model_server_request_duration_seconds",
            "Seconds from an inference request's head to the end of its answer.",
            (self._bounds, self._counts, self._sum),
        )
        in_flight = "Inference requests not answered yet."
        yield GaugeMetricFamily("model_server_requests_in_flight", in_flight, value=self.in_flight)
        yield _counter("errors", "Requests without an answer of a model, by kind.", "kind", self.errors)
        yield _counter("fallback", "Requests answered by the fallback, by reason.", "reason", self.fallbacks)
        about = "Values and requests that the model's schema does not allow; feature is empty for the request."
        family = CounterMetricFamily("model_server_schema_violations", about, labels=["feature", "kind"])
        for labels, count in self._violations.items():
            family.add_metric(labels, count)
        yield family


def _counter(name: str, about: str, label: str, values: dict[int, int] | dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"model_server_{name}", about, labels=[label])
    for value, count in values.items():
        family.add_metric([str(value)], count)
    return family


def histogram(name: str, about: str, found: tuple[Iterable[float], "np.ndarray", float]) -> HistogramMetricFamily:
    """Return a histogram of bounds, counts for each bound with those above all of them last, and a sum."""
    bounds, counts, total = found
    labels = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    family = HistogramMetricFamily(name, about)
    family.add_metric([], list(zip(labels, np.cumsum(counts).tolist(), strict=True)), total)
    return family
