"""The operator's own process: memory and CPU time from the kernel, queries from its metrics."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from tests.support.kube import Kube, Object

from benchmarks.report import BenchmarkError

NAMESPACE: Final = "modelrollout-system"
NAME: Final = "modelrollout"
LABELS: Final = "app.kubernetes.io/name=modelrollout"
PORT: Final = 8081
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the operator has used; differences of two are what something cost."""

    pod: str
    restarts: int
    memory_kb: int
    cpu_seconds: float
    queries: int
    """Prometheus queries since its start."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What the operator used between two moments."""

    cpu_seconds: float
    queries: int


def spent(before: Usage, after: Usage) -> Spent:
    """Return the difference; raises BenchmarkError where it means nothing, for the operator began anew."""
    if (before.pod, before.restarts) != (after.pod, after.restarts):
        raise BenchmarkError("the operator was restarted while it was measured; run nothing else in the lab meanwhile")
    return Spent(round(after.cpu_seconds - before.cpu_seconds, 2), after.queries - before.queries)


class Operator:
    """The one running replica."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def usage(self) -> Usage:
        """Return what it has used up to now; raises BenchmarkError unless exactly one replica is ready."""
        pod = self._pod()
        processes = list(_processes(pod["metadata"]["uid"]))
        if not processes:
            raise BenchmarkError(
                f"pod {pod['metadata']['name']} has no process on this machine: run this beside the lab"
            )
        return Usage(
            pod=pod["metadata"]["name"],
            restarts=sum(status["restartCount"] for status in pod["status"]["containerStatuses"]),
            memory_kb=sum(_resident_kb(process) for process in processes),
            cpu_seconds=sum(_cpu_seconds(process) for process in processes),
            queries=self._queries(pod["metadata"]["name"]),
        )

    def restart(self) -> None:
        """Ask for a new pod; `is_settled` tells when it is there."""
        annotation = {"benchmarks/restarted-at": datetime.now(UTC).isoformat()}
        patch = {"spec": {"template": {"metadata": {"annotations": annotation}}}}
        self._kube.patch("Deployment", NAME, patch, api="apps/v1", namespace=NAMESPACE)

    def is_settled(self) -> bool:
        """Whether one pod of the newest template is ready and no other is left."""
        deployment = self._kube.get("Deployment", NAME, api="apps/v1", namespace=NAMESPACE)
        status = deployment["status"]
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return bool(seen and status.get("updatedReplicas") == 1 and len(self._pods()) == len(self._ready()) == 1)

    def _pods(self) -> list[Object]:
        return list(self._kube.list("Pod", api="v1", namespace=NAMESPACE, labels=LABELS))

    def _ready(self) -> list[Object]:
        return [pod for pod in self._pods() if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)]

    def _pod(self) -> Object:
        pods = self._ready()
        if len(pods) != 1:
            raise BenchmarkError(f"{len(pods)} ready pods of the operator in {NAMESPACE}; there must be one")
        return pods[0]

    def _queries(self, pod: str) -> int:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{PORT}/proxy/metrics"
        text = self._kube.http.get(path).raise_for_status().text
        families = [
            one for one in text_string_to_metric_families(text) if one.name == "modelrollout_prometheus_queries"
        ]
        samples = [sample for family in families for sample in family.samples]
        return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _processes(uid: str) -> Iterator[Path]:
    """Yield the folders in /proc of a pod's processes, its sandbox apart."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            groups = (process / "cgroup").read_text()
            name = (process / "comm").read_text().strip()
        except OSError:
            continue  # it has just ended
        if f"pod{uid}" in groups and name != "pause":
            yield process


def _resident_kb(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _cpu_seconds(process: Path) -> float:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
