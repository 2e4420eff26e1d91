"""What a running Prometheus really has of a preset: which series, which labels, which buckets; and what is missing."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Literal

from modelrollout.adapters.prometheus.answers import Garbage, bound_of, counter, labels_of, scaled
from modelrollout.adapters.prometheus.client import PrometheusClient
from modelrollout.adapters.prometheus.patterns import literal
from modelrollout.adapters.prometheus.presets import Preset, Shape
from modelrollout.adapters.prometheus.sources import Latency, Predictions, Source

FEWEST_STEPS: Final = 4
"""Buckets that the requests between the median and the 99th percentile must be spread over."""
WIDEST_STEP: Final = 2.0
"""Where there are too few requests to tell: the factor from one bound to the next that still compares well."""
ENOUGH: Final = 100
SHOWN: Final = 12

State = Literal["found", "coarse", "unlabelled", "unmatched", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric of a preset in a running Prometheus."""

    preset: str
    metric: str
    names: tuple[str, ...]
    state: State
    series: int = 0
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Values seen of the labels that are read, at most a dozen each."""
    bounds: Sequence[float] = ()
    """Of a histogram; in seconds for latency."""
    advice: str = ""
    """What is wrong and what to do; empty where nothing is."""


def examine(client: PrometheusClient, preset: Preset, kind: str, namespace: str, rollout: str | None) -> Finding:
    """Ask for one metric of a preset. Raises QueryError, and Garbage for an answer that cannot be read."""
    source = preset.source_of(kind)
    wanted = " or ".join(_selector(source, _loose(shape, namespace, rollout)) for shape in preset.shapes)
    groups = _counted(client, wanted, ("__name__", *source.telling))
    if not groups:
        return _absent(client, preset, kind, source)
    telling = ["__name__"] * (len(source.names) > 1) + [label for label in source.telling if label != "le"]
    labels = {label: sorted({group[label] for group, _ in groups}) for label in telling}
    bounds = _bounds(source, (group.get("le", "") for group, _ in groups))
    finding = Finding(
        preset.name,
        kind,
        source.names,
        "found",
        series=sum(count for _, count in groups),
        labels={label: [value for value in values if value][:SHOWN] for label, values in labels.items()},
        bounds=bounds,
    )
    lacking = [label for label, values in labels.items() if "" in values]
    if lacking:
        return replace(
            finding, state="unlabelled", advice=f"series without the label {', '.join(lacking)}; relabelling dropped it"
        )
    if isinstance(source, Latency) and bounds and _coarse(client, wanted, bounds, source.scale):
        shown = ", ".join(f"{bound:g}" for bound in bounds)
        return replace(
            finding, state="coarse", advice=f"buckets are too coarse to compare versions ({shown} s): add finer ones"
        )
    return finding


def expected(preset: Preset, namespace: str, rollout: str | None) -> str:
    """Say for people which labels tell the revisions apart."""
    return " or ".join(
        ", ".join(f"{label}=~{regex}" for label, regex in _loose(shape, namespace, rollout).items())
        for shape in preset.shapes
    )


def _absent(client: PrometheusClient, preset: Preset, kind: str, source: Source) -> Finding:
    """Tell a metric that does not exist from one whose labels are other than they must be."""
    finding = Finding(preset.name, kind, source.names, "missing")
    needs = source.needs or preset.needs
    identities = [next(iter(shape)) for shape in preset.shapes]
    groups = _counted(client, _selector(source, {}), tuple(dict.fromkeys(identities)))
    if not groups:
        return replace(finding, state="missing", advice=f"no series named {source.series}. {needs}".rstrip())
    seen = {label: sorted({group[label] for group, _ in groups if group.get(label)})[:SHOWN] for label in identities}
    finding = Finding(preset.name, kind, source.names, "unmatched", sum(count for _, count in groups), seen)
    bare = [label for label, values in seen.items() if not values]
    if len(bare) == len(seen):
        return replace(
            finding, state="unlabelled", advice=f"series without the label {', '.join(bare)}. {needs}".rstrip()
        )
    return replace(
        finding, state="unmatched", advice="series exist, but none of this namespace or rollout; see the label values"
    )


def _loose(shape: Shape, namespace: str, rollout: str | None) -> dict[str, str]:
    return {label: pattern.of_somebody(namespace, rollout) for label, pattern in shape.items()}


def _selector(source: Source, matchers: Mapping[str, str]) -> str:
    written = [f"{label}=~{literal(regex)}" for label, regex in {**matchers, **source.where}.items()]
    return "{" + ",".join([f"__name__=~{literal('|'.join(source.names))}", *written]) + "}"


def _counted(client: PrometheusClient, selector: str, by: Sequence[str]) -> list[tuple[dict[str, str], int]]:
    """Return how many series there are for each combination of labels."""
    found = []
    for entry in client.query(f"count by ({', '.join(by)}) ({selector})"):
        labels = labels_of(entry)
        found.append(({label: labels.get(label, "") for label in by}, int(_value(entry))))
    return found


def _value(entry: object) -> float:
    sample = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(sample, list) or len(sample) != 2:
        raise Garbage("a series without value")
    return counter(sample[1])


def _bounds(source: Source, texts: Iterable[str]) -> list[float]:
    """Return the finite bounds of a classic histogram, ascending."""
    if not isinstance(source, Latency | Predictions):
        return []
    scale = source.scale if isinstance(source, Latency) else 1.0
    found = {scaled(bound_of(text), scale) for text in texts if text}
    return sorted(bound for bound in found if math.isfinite(bound))


def _coarse(client: PrometheusClient, wanted: str, bounds: Sequence[float], scale: float) -> bool:
    """Say whether the requests that were seen, or else the bounds, are too far apart."""
    held: dict[float, float] = defaultdict(float)
    for entry in client.query(f"sum by (le) ({wanted})"):
        if (text := labels_of(entry).get("le")) is not None:
            held[scaled(bound_of(text), scale)] += _value(entry)
    total = held.get(math.inf, 0.0)
    if total >= ENOUGH:
        median, last = (next(k for k, b in enumerate([*bounds, math.inf]) if held[b] >= q * total) for q in (0.5, 0.99))
        return last - median < FEWEST_STEPS
    steps = sorted(high / low for low, high in pairwise(bounds) if low > 0.0)
    return not steps or steps[len(steps) // 2] > WIDEST_STEP
