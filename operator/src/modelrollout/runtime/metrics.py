"""What the operator tells Prometheus about itself and its rollouts.

Rollout series are made at scrape time from the store, so they cost no memory between scrapes, and those of a
deleted rollout are gone with it.
"""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from modelrollout import __version__
from modelrollout.runtime.store import RolloutStore

RECONCILE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class OperatorMetrics:
    """The operator's own metrics, in a registry of their own."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began, tells nothing that a restart does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        self.decisions = Counter(
            "modelrollout_decisions", "Moves of rollouts, by kind.", ["move"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "modelrollout_reconcile_seconds",
            "Time from taking a rollout from the queue to its last write.",
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.reconcile_errors = Counter(
            "modelrollout_reconcile_errors",
            "Reconciles that failed, by kind of error.",
            ["kind"],
            registry=self.registry,
        )
        self.queries = Counter(
            "modelrollout_prometheus_queries",
            "Queries sent to Prometheus, by result.",
            ["result"],
            registry=self.registry,
        )
        self.api_requests = Counter(
            "modelrollout_api_requests",
            "Requests sent to the API server; code 0 where no answer came.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )

        self.notifications = Counter(
            "modelrollout_notifications",
            "Moves told outside of the cluster, by result: sent, failed or dropped.",
            ["result"],
            registry=self.registry,
        )

    def counts_notification(self, result: str) -> None:
        """Count one move that was to be told."""
        self.notifications.labels(result).inc()

    def counts_request(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.api_requests.labels(verb, resource, str(code)).inc()

    def counts_query(self, result: str) -> None:
        """Count one query to Prometheus."""
        self.queries.labels(result).inc()

    def observe(
        self,
        store: RolloutStore,
        *,
        queue: Callable[[], tuple[int, float]],
        leads: Callable[[], bool],
        active: Callable[[], int],
    ) -> None:
        """Add the series that are read off the running operator at scrape time."""
        self.registry.register(_Live(store, queue, leads, active))


class _Live:
    """Folds store and queue into series when Prometheus asks."""

    def __init__(
        self,
        store: RolloutStore,
        queue: Callable[[], tuple[int, float]],
        leads: Callable[[], bool],
        active: Callable[[], int],
    ) -> None:
        self._store = store
        self._queue = queue
        self._leads = leads
        self._active = active

    def collect(self) -> Iterator[Metric]:
        depth, oldest = self._queue()
        yield GaugeMetricFamily("modelrollout_queue_depth", "Rollouts that wait for a worker.", value=depth)
        yield GaugeMetricFamily(
            "modelrollout_queue_oldest_seconds", "How long the first of them has been waiting.", value=oldest
        )
        yield GaugeMetricFamily("modelrollout_leader", "1 on the replica that acts.", value=float(self._leads()))
        yield GaugeMetricFamily("modelrollout_active", "Rollouts that gather evidence now.", value=self._active())
        build = GaugeMetricFamily("modelrollout_build_info", "The operator's version.", labels=["version"])
        build.add_metric([__version__], 1.0)
        yield build
        yield from self._rollouts()

    def _rollouts(self) -> Iterator[Metric]:
        place = ["namespace", "name"]
        info = GaugeMetricFamily("modelrollout_info", "Each rollout and its phase.", labels=[*place, "phase"])
        weight = GaugeMetricFamily("modelrollout_weight", "Per cent of live requests for the candidate.", labels=place)
        verdict = GaugeMetricFamily(
            "modelrollout_verdict", "What each metric of a rollout says.", labels=[*place, "metric", "verdict"]
        )
        for key, summary in self._store.summaries():
            labels = [key.namespace, key.name]
            info.add_metric([*labels, summary.phase], 1.0)
            weight.add_metric(labels, summary.weight)
            for metric, says in summary.verdicts:
                verdict.add_metric([*labels, metric, says], 1.0)
        yield from (info, weight, verdict)
