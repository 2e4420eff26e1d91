"""What the comparer counts. Every series is there from the start: one that is born with its first event loses it."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from modelrollout.comparer.answers import CODES, Answer, End
from modelrollout.comparer.rules import Compared, Kind

SECONDS: Final = (*(float(f"{0.0005 * 1.25**step:.4g}") for step in range(53)), 60.0)
"""Bounds of durations: from 0.5 ms to 60 s, each a quarter above the one before."""
DISTANCES: Final = (0.0, *(float(f"1e{power}") for power in range(-9, 7)))

QUEUE, BYTES, TOO_LARGE, BROKEN = "queue", "bytes", "too_large", "broken"
LOOP, UNSUPPORTED, STOPPING = "loop", "unsupported", "stopping"
SHED: Final = (QUEUE, BYTES, TOO_LARGE, BROKEN, LOOP, UNSUPPORTED, STOPPING)
"""Why a request is not compared: no place, no memory, larger than one may be, not sent to its end, made by a comparer,
no plain HTTP request, or shutting down."""
STABLE, UNREACHABLE, LARGE_ANSWER, INTERNAL = "stable", "unreachable", "too_large", "internal"
UNPAIRED: Final = (STABLE, UNREACHABLE, LARGE_ANSWER, INTERNAL)
"""Why there is no pair: stable failed, the candidate was not reached, an answer too large, a fault of ours."""

_OF: Final = ("namespace", "rollout", "revision")


class _Revision:
    """What is counted of one revision that is asked."""

    def __init__(self, requests: Counter, seconds: Histogram, labels: tuple[str, str, str]) -> None:
        self._codes = {code: requests.labels(*labels, code) for code in CODES}
        self._seconds = seconds.labels(*labels)

    def asked(self, answer: Answer) -> None:
        """Count an answer, or that there was none; a late one has taken at least as long as was waited."""
        self._codes[answer.code].inc()
        if answer.end is not End.UNREACHABLE:
            self._seconds.observe(answer.seconds)


class Counts:
    """All counters, in a registry of their own. The label `revision` is the candidate's, unless a revision is asked."""

    def __init__(self, namespace: str, rollout: str, stable: str, candidate: str) -> None:
        # A second series for each counter, with the time it began, tells nothing that a restart does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        self._place = (namespace, rollout)
        self._candidate = (namespace, rollout, candidate)
        requests = self._counter("requests", "Requests sent to each revision, by how they ended.", "code")
        seconds = self._histogram("request_duration_seconds", "Time to the last byte of an answer.", SECONDS)
        self.stable = _Revision(requests, seconds, (namespace, rollout, stable))
        self.candidate = _Revision(requests, seconds, self._candidate)
        self.received = self._counter("received", "Mirrored requests that came.").labels(*self._candidate)
        self.late = self._counter("late", "Requests that the candidate alone did not answer in time.").labels(
            *self._candidate
        )
        self.shed = self._children("shed", "Mirrored requests that were not compared.", "reason", SHED)
        self.unpaired = self._children("unpaired", "Requests without a pair of answers.", "reason", UNPAIRED)
        self._pairs = self._children("pairs", "Pairs of answers of stable and candidate.", "agree", _AGREE)
        self._noise = self._children("noise_pairs", "Pairs of answers of stable alone.", "agree", _AGREE)
        self._rows = self._children("rows", "Rows in pairs of answers.", "agree", _AGREE)
        self._kinds = self._children("difference_kind", "Pairs that disagree, by how.", "kind", Kind)
        self._difference = self._histogram(
            "difference", "Largest difference of two numbers in a pair.", DISTANCES
        ).labels(*self._candidate)
        self.pairs = dict.fromkeys(_AGREE, 0)
        self.noise = dict.fromkeys(_AGREE, 0)

    def pair(self, found: Compared) -> None:
        """Count a pair of answers of stable and candidate."""
        agree = _AGREE[found.agree]
        self.pairs[agree] += 1
        self._pairs[agree].inc()
        self._rows["true"].inc(found.agreeing)
        self._rows["false"].inc(found.rows - found.agreeing)
        if found.difference is not None:
            self._kinds[found.difference.kind].inc()
        # An infinite difference would make the sum useless for good.
        if found.largest is not None and found.largest <= _LARGEST:
            self._difference.observe(found.largest)

    def noise_pair(self, found: Compared) -> None:
        """Count a pair of answers of stable alone."""
        agree = _AGREE[found.agree]
        self.noise[agree] += 1
        self._noise[agree].inc()

    def watch(self, waiting: Callable[[], int], in_flight: Callable[[], int], held: Callable[[], int]) -> None:
        """Export what is going on at each scrape: requests that wait and are compared, bytes of their bodies."""
        for name, words, read in (
            ("queue_depth", "Requests that wait.", waiting),
            ("in_flight", "Requests that are compared now.", in_flight),
            ("held_bytes", "Bytes of request bodies in memory.", held),
        ):
            gauge = Gauge(f"modelrollout_comparer_{name}", words, _OF, registry=self.registry)
            gauge.labels(*self._candidate).set_function(read)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"modelrollout_comparer_{name}", words, (*_OF, *labels), registry=self.registry)

    def _histogram(self, name: str, words: str, bounds: Iterable[float]) -> Histogram:
        return Histogram(f"modelrollout_comparer_{name}", words, _OF, buckets=tuple(bounds), registry=self.registry)

    def _children(self, name: str, words: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
        counter = self._counter(name, words, label)
        return {value: counter.labels(*self._candidate, value) for value in values}


_AGREE: Final = ("false", "true")
_LARGEST: Final = 1e300
