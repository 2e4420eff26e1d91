"""Everything that the server counts, for Prometheus.

On a request's path things are appended to lists; they are folded into counters when Prometheus asks or when the
lists grow long. Counting each value where it arises would cost more than the model.
"""

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_server.model import Model
from model_server.signals.drift import Drift
from model_server.signals.labels import Labels
from model_server.signals.requests import Requests

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Signals(Collector):
    """The counters of a process; those of the model exist once it is loaded."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.drift: Drift | None = None
        self.labels: Labels | None = None
        self._about: dict[str, str] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def attach(self, model: Model, drift: Drift, labels: Labels, names: tuple[str, str]) -> None:
        """Begin to count for a model; `names` are its name and version."""
        about = model.metadata
        self.requests.declare(about.features)
        self.drift, self.labels = drift, labels
        self._about = {
            "name": names[0],
            "version": names[1],
            "sha256": model.sha256,
            "data": about.data,
            "run": about.run,
            "registry_version": about.registry_version,
            "format": about.format,
        }

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family of the server."""
        yield from self.requests.collect()
        if self.drift and self.labels:
            info = GaugeMetricFamily(
                "model_server_model_info", "The model that serves; always 1.", labels=list(self._about)
            )
            info.add_metric(list(self._about.values()), 1)
            yield info
            yield from self.drift.collect()
            yield from self.labels.collect()

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: there is no other collector to clash with."""
        return iter(())

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
