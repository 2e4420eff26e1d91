"""Native histograms: each sample holds a whole histogram, here turned into cumulative counts at fixed bounds.

Prometheus sends only the buckets that hold something, so the buckets of a series change with its traffic. Comparing
revisions needs the same bounds on both sides and in every window: a fixed grid of powers of two, as fine as the
coarsest series, to which exponential buckets merge exactly.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from modelrollout.adapters.prometheus.answers import Garbage, counter, scaled, shown

FINEST: Final = 3
"""Schema of the finest grid: bounds grow by 2**(1/8), 9 %."""
LOWEST, HIGHEST = 2.0**-12, 2.0**8
"""Ends of the grid in seconds, about 0.2 ms and 256 s; what is below or above falls into the outermost cells."""
SCHEMAS: Final = range(-4, 9)


@dataclass(frozen=True, slots=True)
class Histogram:
    """One sample: how many observations, and the buckets as upper bound and count, not cumulated."""

    count: float
    buckets: tuple[tuple[float, float], ...]
    schema: int | None
    """Buckets grow by 2**(2**-schema); None where none tells."""


@dataclass(frozen=True, slots=True)
class Native:
    """A series of histograms at the instants that were asked for."""

    source: str
    part: str
    values: tuple[Histogram | None, ...]


def histogram(sample: object) -> Histogram:
    """Read one sample of a native histogram. Raises Garbage."""
    if not isinstance(sample, dict) or not isinstance(sample.get("buckets", []), list):
        raise Garbage(f"a histogram {shown(sample)}")
    count = counter(sample.get("count"))
    buckets, schemas = [], set()
    for bucket in sample.get("buckets", []):
        if not isinstance(bucket, list) or len(bucket) != 4:
            raise Garbage(f"a bucket {shown(bucket)}")
        left, right = _bound(bucket[1]), _bound(bucket[2])
        if not left <= right or left == -math.inf:
            raise Garbage("a native histogram with custom bounds; scrape its classic buckets too")
        if 0.0 < left < right < math.inf:
            schemas.add(_schema(left, right))
        buckets.append((right, counter(bucket[3])))
    # Observations of NaN are counted and lie in no bucket.
    if len(schemas) > 1 or sum(held for _, held in buckets) > count:
        raise Garbage("a histogram whose buckets contradict each other")
    return Histogram(count, tuple(buckets), schemas.pop() if schemas else None)


def grid(series: Iterable[Native], scale: float) -> tuple[int, range]:
    """Return the schema of the grid that all series share and the range of its exponents; `scale`: seconds a unit."""
    schemas = [value.schema for one in series for value in one.values if value is not None and value.schema is not None]
    schema = min([FINEST, *schemas])
    steps = 2.0**schema
    low, high = (math.log2(end / scale) * steps for end in (LOWEST, HIGHEST))
    return schema, range(math.ceil(low), math.floor(high) + 1)


def bounds(schema: int, exponents: range, scale: float) -> list[float]:
    """Return the grid's bounds in seconds, ascending; infinity last."""
    return [*(scaled(2.0 ** (exponent * 2.0**-schema), scale) for exponent in exponents), math.inf]


def cumulative(sample: Histogram, schema: int, exponents: range) -> list[float]:
    """Return the observations at or below each bound of the grid, and all of them."""
    cells = [0.0] * (len(exponents) + 1)
    for right, held in sample.buckets:
        cells[_cell(right, schema, exponents)] += held
    result, total = [], 0.0
    for cell in cells[:-1]:
        total += cell
        result.append(total)
    return [*result, sample.count]


def _cell(right: float, schema: int, exponents: range) -> int:
    """Return the cell of the grid that holds the bucket with this upper bound."""
    if right <= 0.0:
        return 0
    if right == math.inf:
        return len(exponents)
    # Rounding down by a hair: the logarithm of an exact bound is not exact.
    exponent = math.ceil(math.log2(right) * 2.0**schema - 1e-6)
    return min(max(exponent - exponents.start, 0), len(exponents))


def columns(one: Native, schema: int, exponents: range) -> Sequence[tuple[float | None, ...]]:
    """Return for each bound of the grid its counts at all instants."""
    rows = [
        [None] * (len(exponents) + 1) if sample is None else cumulative(sample, schema, exponents)
        for sample in one.values
    ]
    return list(zip(*rows, strict=True))


def _bound(text: object) -> float:
    try:
        bound = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise Garbage(f"a bucket with bound {shown(text)}")
    return bound


def _schema(left: float, right: float) -> int:
    growth = math.log2(right) - math.log2(left)
    schema = round(-math.log2(growth)) if growth > 0.0 else -99
    if schema not in SCHEMAS or not math.isclose(growth, 2.0**-schema, rel_tol=1e-6):
        raise Garbage("a native histogram with custom bounds; scrape its classic buckets too")
    return schema
