"""What a test is about: a metric, or one slice of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelrollout.api.metrics import Metric
from modelrollout.core.evidence.windows import Reading, Series


@dataclass(frozen=True, slots=True)
class Subject:
    """What tests have in common; each kind of them adds how it judges."""

    metric: Metric
    """The metric, as the user wrote it."""
    share: float
    """Its part of alpha, relative to the others'; 0 for one that never fails."""
    part: str = ""
    """The slice that it judges; empty for all requests."""

    @property
    def name(self) -> str:
        """The name of its verdict."""
        return f"{self.metric.name}[{self.part}]" if self.part else self.metric.name

    def own(self, reading: Reading) -> Reading:
        """Return what a reading of the metric holds of it."""
        if not self.part:
            return reading
        past = None if reading.past is None else replace(reading.past, stable=self._only(reading.past.stable))
        return replace(reading, stable=self._only(reading.stable), candidate=self._only(reading.candidate), past=past)

    def _only(self, series: Sequence[Series]) -> tuple[Series, ...]:
        return tuple(one for one in series if one.part == self.part)


def split(metric: Metric, share: float = 1.0) -> Iterator[tuple[float, str]]:
    """Yield the share of alpha and the slice of each test of a metric: one for each slice, or one for all requests.

    `share` is that of the metric where the user gives it no weight.
    """
    share = metric.weight or share
    parts: Sequence[str] = metric.slices.values if metric.slices is not None else ("",)
    yield from ((share / len(parts), part) for part in parts)
