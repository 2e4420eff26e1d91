"""Which series a metric of a rollout means: a source of a preset, or a query of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from modelrollout.adapters.prometheus.patterns import quote
from modelrollout.adapters.prometheus.presets import Preset, Presets
from modelrollout.adapters.prometheus.sources import Latency, Source
from modelrollout.api.metrics import Metric
from modelrollout.api.spec import Analysis, Spec

FALLBACK: Final = {
    "predictions": "model-server",
    "inputs": "model-server",
    "quality": "model-server",
    "agreement": "comparer",
}
"""Who measures a model signal where the analysis' own preset does not: gateways never do."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A source of a preset, with the slices that are wanted of it; rollouts with equal ones share queries."""

    url: str | None
    """Another Prometheus than the operator's own."""
    name: str
    """Of the preset."""
    kind: str
    slices: tuple[str, tuple[str, ...]] | None = None
    """A label and its values; series with others do not count."""
    preset: Preset = field(kw_only=True, compare=False)
    source: Source = field(kw_only=True, compare=False)

    @property
    def scale(self) -> float:
        """Seconds in one unit of a histogram's bounds."""
        return self.source.scale if isinstance(self.source, Latency) else 1.0

    @property
    def conditions(self) -> Mapping[str, str]:
        """Regular expressions of labels that choose the slices."""
        return {self.slices[0]: "|".join(map(quote, self.slices[1]))} if self.slices else {}


def metric_of(analysis: Analysis, name: str) -> Metric | None:
    """Return the metric of that name as the user wrote it; None where only the operator wants it."""
    return next((metric for metric in analysis.metrics if metric.name == name), None)


def signal_of(presets: Presets, spec: Spec, name: str, instead: str | None = None) -> Signal:
    """Return what a built-in metric of a rollout means; `instead` is a preset to read it by. Raises PresetError."""
    analysis, gateway = spec.analysis, spec.traffic.gateway_api
    metric = metric_of(analysis, name)
    kind = "errors" if name == "slo" else name
    own = instead or (metric.preset if metric is not None else None)
    preset = presets[own or analysis.preset]
    if own is None and kind in FALLBACK and kind not in preset.measured:
        preset = presets[FALLBACK[kind]]
    slices = metric.slices if metric is not None else None
    return Signal(
        analysis.prometheus,
        preset.name,
        kind,
        (slices.label, tuple(slices.values)) if slices is not None else None,
        preset=preset,
        source=preset.source_of(name, grpc=gateway is not None and gateway.kind == "GRPCRoute"),
    )
