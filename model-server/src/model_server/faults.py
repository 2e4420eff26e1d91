"""The faults that the server is asked to show, drawn from seeds."""

import asyncio
import math
import time
from array import array
from random import Random

from model_server.evaluators import Evaluator
from model_server.metadata import Metadata

JITTER = 0.1
LEAK = 1 << 16


class Faults:
    """Delays answers and fails a fraction of them.

    Latency and errors are drawn from two streams, so that asking for one leaves the other as it was. They show within
    `span` only, in Unix seconds: so two versions can be given the same incident.
    """

    def __init__(
        self, latency: float, error_rate: float, seed: int | None, span: tuple[float, float] = (0.0, math.inf)
    ) -> None:
        self._span = span
        self._latency = latency / 1000
        self._error_rate = error_rate
        self.any = latency > 0 or error_rate > 0
        # Fault injection is no cryptography.
        self._delays = Random(None if seed is None else f"{seed}/latency")  # noqa: S311
        self._errors = Random(None if seed is None else f"{seed}/errors")  # noqa: S311

    def delay(self) -> float:
        """Return the seconds that the next answer takes: the set latency, 10 % more or less."""
        if not self._latency:
            return 0.0
        return self._latency * (1 + JITTER * (2 * self._delays.random() - 1))

    def fails(self) -> bool:
        """Tell whether the next answer is an error."""
        return self._error_rate > 0 and self._errors.random() < self._error_rate

    async def strike(self) -> bool:
        """Wait as long as the next answer takes, then tell whether it is an error."""
        if not self._span[0] <= time.time() < self._span[1]:
            return False
        seconds, fails = self.delay(), self.fails()
        if seconds:
            await asyncio.sleep(seconds)
        return fails


class Defective:
    """A model with a named defect, for demonstrations and tests of what catches it.

    `swapped-columns` reads the first two features in each other's place; `label-shift` moves each probability a
    third of its way to 1; `worse-slice` turns answers around where the last feature is above its middle bound (or in
    the first slice, where slices are declared); `leaking` keeps 64 KiB of each request.
    """

    def __init__(self, inner: Evaluator, metadata: Metadata, defect: str) -> None:
        self._inner, self._defect = inner, defect
        self.typecode, self.outputs = inner.typecode, inner.outputs
        self._width = len(metadata.features)
        self._leaked: list[bytearray] = []
        feature = metadata.features[-1]
        self._column, self._above = self._width - 1, feature.bins[len(feature.bins) // 2] if feature.bins else 0.0
        self._equal: float | None = None
        if metadata.slice_feature and metadata.slice_values:
            self._column = metadata.names.index(metadata.slice_feature)
            value, categories = metadata.slice_values[0], metadata.features[self._column].categories
            self._equal = float(categories.index(value) if categories else value)

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return what the model says, changed by the defect."""
        if self._defect == "leaking":
            self._leaked.append(bytearray(b"\1") * LEAK)
        if self._defect == "swapped-columns" and self._width > 1:
            values = array(self.typecode, values)
            values[0 :: self._width], values[1 :: self._width] = values[1 :: self._width], values[0 :: self._width]
        answers = self._inner.predict(values, rows)
        if self._defect == "label-shift":
            return [each + (1 - each) / 3 for each in answers]
        if self._defect == "worse-slice":
            column = values[self._column :: self._width]
            hit = [value > self._above if self._equal is None else value == self._equal for value in column]
            return [1 - each if hit[at // self.outputs] else each for at, each in enumerate(answers)]
        return answers
