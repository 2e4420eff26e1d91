"""Requests at a constant rate from a pod, and when each version of the model answered them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from string import Template
from typing import Any, Final

import httpx
import yaml
from lab.paths import SOURCE
from tests.support.kube import Object

from benchmarks.lab import Lab, wait

IMAGE: Final = "modelrollout/load:dev"
GATEWAY: Final = "http://traefik.gateway.svc/v2/models/fraud/infer"
RATE: Final = 80
NAME: Final = "load"
TICK: Final = 0.2
"""Seconds between two lines of progress: how exactly a first or last answer is known."""
LONGEST: Final = "60m"


@dataclass(frozen=True, slots=True)
class Tick:
    """The answers between two lines of progress."""

    begin: float
    """Unix seconds, as `end`."""
    end: float
    versions: dict[str, dict[str, int]]
    """By version: `requests` and `failed`; version none is an answer of the gateway itself."""


@dataclass
class Load:
    """What clients saw up to now."""

    ticks: list[Tick] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    """The load generator's own summary, once it has ended."""

    def read(self, line: str) -> None:
        """Take in one line of the log, with the time that the container runtime gave it."""
        stamp, _, text = line.partition(" ")
        try:
            event = json.loads(text)
        except ValueError:
            return
        if event.get("event") == "summary":
            self.summary = event
        elif event.get("event") == "progress":
            end = datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()
            begin = self.ticks[-1].end if self.ticks else end - TICK
            self.ticks.append(Tick(begin, end, event["versions"]))

    def total(self, what: str, version: str | None = None, *, since: float = 0.0) -> int:
        """Return the `requests` or `failed` of a version, or of all."""
        ticks = (tick for tick in list(self.ticks) if tick.end > since)
        return sum(
            seen[what] for tick in ticks for name, seen in tick.versions.items() if version is None or name == version
        )

    def served(self, version: str) -> tuple[float, float] | None:
        """Return when a version first and last answered, in Unix seconds, at its widest; None if it never did."""
        ticks = [tick for tick in list(self.ticks) if version in tick.versions]
        return (ticks[0].begin, ticks[-1].end) if ticks else None


@contextmanager
def load(lab: Lab, namespace: str, host: str, *, rate: int = RATE) -> Iterator[Load]:
    """Send requests for as long as the block runs; the summary is there after it."""
    seen = Load()
    lab.kube.apply(_job(namespace, host, rate))
    wait("a ready load generator", lambda: _ready(lab, namespace), seconds=60)
    pod = lab.kube.list("Pod", api="v1", namespace=namespace, labels=f"job-name={NAME}")[0]["metadata"]["name"]
    reader = threading.Thread(target=_follow, args=(lab, f"/api/v1/namespaces/{namespace}/pods/{pod}/log", seen))
    reader.daemon = True
    reader.start()
    try:
        wait("the first answers", lambda: seen.total("requests"), seconds=60)
        yield seen
    finally:
        # In the foreground, so that the pod's last lines are read before it is gone.
        path = lab.kube.path("batch/v1", "Job", NAME, namespace=namespace)
        lab.kube.request("DELETE", path, {"propagationPolicy": "Foreground"})
        reader.join(timeout=60)


def _job(namespace: str, host: str, rate: int) -> Object:
    text = Template((SOURCE / "manifests" / "load.yaml").read_text())
    values = {"name": NAME, "namespace": namespace, "image": IMAGE, "target": GATEWAY, "host": host}
    document = dict(yaml.safe_load(text.substitute(values, rate=rate, duration=LONGEST)))
    options = ["run", "--quiet", "--no-color", "--address=", f"--out=progress={TICK * 1000:.0f}ms", "/canary.js"]
    document["spec"]["template"]["spec"]["containers"][0]["args"] = options
    return document


def _ready(lab: Lab, namespace: str) -> bool:
    return bool(lab.kube.get("Job", NAME, api="batch/v1", namespace=namespace).get("status", {}).get("ready"))


def _follow(lab: Lab, path: str, seen: Load) -> None:
    params = {"follow": "true", "timestamps": "true"}
    limits = httpx.Timeout(30.0, read=None)
    with lab.kube.http.stream("GET", path, params=params, timeout=limits) as lines:
        for line in lines.iter_lines():
            seen.read(line)
