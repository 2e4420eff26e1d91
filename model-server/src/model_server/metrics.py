"""The server's own metrics, for Prometheus."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
KNOWN_CODES = (200, 400, 500)


def buckets() -> list[float]:
    """Return upper bounds in seconds from 1 ms to 10 s, each 1.25 times the one before it but for the last.

    A bound is off from a true quantile by at most a quarter, at every latency alike.
    """
    bounds = [float(f"{0.001 * 1.25**step:.4g}") for step in range(42)]
    return [*bounds, 10.0]


class Metrics:
    """Counts and times inference requests."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "model_server_requests_total",
            "Inference requests by HTTP status code.",
            ["code"],
            registry=self._registry,
        )
        # A series that is born with its first event loses that event: a rate needs the 0 before it.
        self._by_code = {code: self._requests.labels(str(code)) for code in KNOWN_CODES}
        self._duration = Histogram(
            "model_server_request_duration_seconds",
            "Seconds from an inference request's head to the end of its answer.",
            buckets=buckets(),
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "model_server_requests_in_flight",
            "Inference requests not answered yet.",
            registry=self._registry,
        )

    def started(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def ended(self, code: int | None, seconds: float) -> None:
        """Count a request out; without a code it was given up by its caller."""
        self._in_flight.dec()
        if code is None:
            return
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._requests.labels(str(code))
        counter.inc()
        self._duration.observe(seconds)

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
