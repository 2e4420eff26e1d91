"""The adapter against a real Prometheus: selectors it accepts, raw counters, births and ends of series."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.parts import Parts
from lab.paths import Paths

from modelrollout.adapters.prometheus.metrics import PrometheusMetrics
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Key
from tests.unit.adapters.prometheus.test_metrics import CANDIDATE, FRAUD, STABLE, series, watched

pytestmark = pytest.mark.e2e
ODD = Key("a--b", "x-svc-y")


def program() -> str:
    """Return Prometheus: $PROMETHEUS, the lab's, or the one on the PATH."""
    lab = Parts(Paths.from_environment()).bin("prometheus") / "prometheus"
    found = os.environ.get("PROMETHEUS") or (str(lab) if lab.exists() else shutil.which("prometheus"))
    if found is None:
        pytest.fail("no Prometheus here: `make lab-up` builds it, or set PROMETHEUS to one", pytrace=False)
    return found


@dataclass
class Exporter:
    """A gateway's metrics page."""

    port: int = 0
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    """Value by service label and code."""

    def add(self, key: Key, revision: str, code: str, value: int) -> None:
        service = series(key, revision)["metric"]["service"]
        self.counters[service.replace("--", "-"), code] = value

    def page(self) -> str:
        return "".join(
            f'traefik_service_requests_total{{service={json.dumps(service)},code="{code}"}} {value}\n'
            for (service, code), value in list(self.counters.items())
        )


@contextmanager
def exporting() -> Iterator[Exporter]:
    exporter = Exporter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        exporter.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield exporter
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running(folder: Path, exporter: Exporter) -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    target = {"job_name": "gateway", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
    (folder / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [target]})
    )
    command = [
        program(),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def last_scrape(url: str, after: float) -> float:
    """Wait for a scrape that began after a time; return when it did."""
    end = time.monotonic() + 30.0
    while time.monotonic() < end:
        try:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": "timestamp(traefik_service_requests_total)"})
            found = [float(one["value"][1]) for one in answer.json()["data"]["result"]]
        except (httpx.TransportError, ValueError, KeyError):
            continue
        if found and max(found) > after:
            return max(found)
    raise AssertionError("Prometheus scrapes nothing")


async def test_what_prometheus_really_answers(tmp_path: Path) -> None:
    with exporting() as exporter, running(tmp_path, exporter) as url:
        exporter.add(FRAUD, STABLE, "200", 10)
        exporter.add(ODD, STABLE, "200", 7)
        exporter.add(ODD, CANDIDATE, "200", 1)
        first = int(last_scrape(url, 0.0)) + 1
        last_scrape(url, first)
        exporter.counters.clear()
        exporter.add(FRAUD, STABLE, "200", 16)
        exporter.add(FRAUD, STABLE, "500", 2)
        exporter.add(FRAUD, CANDIDATE, "200", 3)
        exporter.add(ODD, STABLE, "200", 7)
        until = int(last_scrape(url, time.time() + 1.0)) + 1
        last_scrape(url, until)

        metrics = PrometheusMetrics(url, window=1)
        try:
            watches = {key: watched(key, since=first) for key in (FRAUD, ODD)}
            readings = await metrics.read(watches, until)
        finally:
            metrics.close()

    fraud, odd = readings[FRAUD]["errors"], readings[ODD]["errors"]
    assert isinstance(fraud, Reading)
    assert fraud.instants == tuple(range(first, until + 1))
    ends = {(one.bad, one.values[0], one.values[-1], one.source) for one in fraud.stable}
    source = f"127.0.0.1:{exporter.port}"
    assert ends == {(False, 10.0, 16.0, source), (True, None, 2.0, source)}
    assert [(one.values[0], one.values[-1]) for one in fraud.candidate] == [(None, 3.0)]
    assert [(one.values[0], one.values[-1]) for one in odd.stable] == [(7.0, 7.0)]
    assert [(one.values[0], one.values[-1]) for one in odd.candidate] == [(1.0, None)], "a gone series ends at once"
