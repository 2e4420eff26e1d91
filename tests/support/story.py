"""A rollout in a cluster, with the words in which tests tell what happens to it."""

import json
from dataclasses import dataclass, field
from typing import Any

from lab.demo.load import Tally

from tests.support.cells import ROUTERS, Cell, Router
from tests.support.kube import Kube
from tests.support.lab import Object, eventually, operator_log, pods
from tests.support.load import Load

API = "modelrollout.dev/v1alpha1"
NAME = "fraud"
IMAGE = "modelrollout/model-server:dev"
IMAGE_GRPC = "modelrollout/model-server-grpc:dev"
WEIGHTS = (5, 20, 40, 60, 80)
LABEL = "modelrollout-test"


def template(*, grpc: bool = False, **env: object) -> Object:
    """Return the pod template of a model server with these settings; with `grpc` it has a port of that name, too."""
    ports = [{"name": "http", "containerPort": 8080}]
    if grpc:
        ports.append({"name": "grpc", "containerPort": 8081})
        env["GRPC_PORT"] = 8081
    container = {
        "name": "model",
        "image": IMAGE_GRPC if grpc else IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": ports,
        "env": [{"name": name, "value": str(value)} for name, value in sorted(env.items())],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "15m", "memory": "48Mi"}, "limits": {"memory": "256Mi"}},
    }
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}
    pod = {"automountServiceAccountToken": False, "containers": [container]}
    return {"metadata": {"annotations": scraped}, "spec": pod}


@dataclass
class Story:
    """One rollout in a namespace of its own."""

    kube: Kube
    namespace: str
    spec: Object = field(default_factory=dict)
    """What it has besides, or instead of, the usual."""
    cell: Cell | None = None
    """Strategy and router; None: a canary over the lab's Traefik by Gateway API."""
    load: Load | None = None
    others: list[Load] = field(default_factory=list)
    """More clients, who come another way."""
    generation: int = 0

    @property
    def host(self) -> str:
        """The host name that its route answers to."""
        return f"{self.namespace}.example.com"

    def release(self, version: int, **env: object) -> None:
        """Apply the rollout with a version of the model."""
        strategy = {"steps": [{"weight": weight} for weight in WEIGHTS], "minStepDuration": "2s"}
        spec = {
            "replicas": 2,
            "template": template(grpc=bool(self.cell and self.cell.router.grpc), MODEL_VERSION=version, **env),
            "traffic": {
                "gatewayAPI": {"parentRefs": [{"name": "public", "namespace": "gateway"}], "hostnames": [self.host]}
            },
            "strategy": {**strategy, "guard": {"duration": "5s"}},
            "analysis": {"preset": "traefik"},
            **(self.cell.spec(self.host) if self.cell else {}),
            **self.spec,
        }
        metadata = {"name": NAME, "namespace": self.namespace}
        stored = self.kube.apply({"apiVersion": API, "kind": "ModelRollout", "metadata": metadata, "spec": spec})
        self.generation = stored["metadata"]["generation"]

    def start_load(self, rate: int, every: str = "5s") -> Load:
        """Let clients come, `rate` requests a second; they tell what they saw `every` so often."""
        self.load = self._clients(self.cell.router if self.cell else ROUTERS["gateway-api/traefik"], rate, every)
        return self.load

    def start_more(self, router: str, rate: int) -> Load:
        """Let more clients come, by the way of another router."""
        self.others.append(self._clients(ROUTERS[router], rate, "5s", f"load-{len(self.others) + 2}"))
        return self.others[-1]

    def _clients(self, router: Router, rate: int, every: str, name: str = "load") -> Load:
        return Load(
            self.kube,
            self.namespace,
            self.host if router.host else "",
            rate,
            target=router.target(self.namespace),
            connections=router.connections,
            every=every,
            name=name,
        )

    def stop_load(self) -> Tally:
        """Let the clients go, and tell what they saw."""
        assert self.load is not None
        tally, self.load = self.load.stop(), None
        return tally

    @property
    def status(self) -> Object:
        """The status that answers the last release; empty until there is one."""
        found = self.kube.get("ModelRollout", NAME, api=API, namespace=self.namespace).get("status") or {}
        return found if found.get("observedGeneration", 0) >= self.generation else {}

    @property
    def weight(self) -> int:
        """Per cent of requests for the candidate, as the status says."""
        return int(self.status.get("weights", {}).get("candidate", 0))

    def moves(self, kind: str | None = None) -> list[Object]:
        """Return the history, or the moves of one kind in it."""
        history = self.status.get("history", [])
        return [move for move in history if kind in (None, move["move"])]

    def highest_weight(self, revision: str) -> int:
        """Return the highest weight that a revision was given as a candidate."""
        return max((move["weight"] for move in self.moves() if move["revision"] == revision), default=0)

    def until(self, seconds: float, **wanted: object) -> Object:
        """Wait until the status has these values (a tuple: one of them), and return it."""

        def probe() -> Object | None:
            status = self.status
            for name, value in wanted.items():
                if status.get(name) not in (value if isinstance(value, tuple) else (value,)):
                    return None
            return status

        return eventually(f"{self.namespace}: {wanted}", probe, seconds, self.diagnosis) or {}

    def until_weight(self, weight: int, seconds: float = 90) -> None:
        """Wait until the candidate has at least this weight, or the rollout is over."""

        def probe() -> bool:
            return self.weight >= weight or self.status.get("phase") in ("Guarding", "RolledBack")

        eventually(f"{self.namespace}: weight {weight}", probe, seconds, self.diagnosis)
        assert self.weight >= weight, self.diagnosis()

    def until_move(self, kind: str, seconds: float) -> Object:
        """Wait for a move of this kind since the last release, and return it."""

        def probe() -> Object | None:
            history = self.moves()
            started = max((k for k, move in enumerate(history) if move["move"] == "Started"), default=0)
            return next((move for move in history[started:] if move["move"] == kind), None)

        return eventually(f"{self.namespace}: {kind}", probe, seconds, self.diagnosis) or {}

    def pods(self, revision: str) -> dict[str, Object]:
        """Return the pods of a revision by their uid."""
        found = pods(self.kube, self.namespace, f"modelrollout.dev/revision={revision}")
        return {pod["metadata"]["uid"]: pod for pod in found}

    def diagnosis(self) -> str:
        """Return all that helps to see what went wrong."""
        found = self.kube.get("ModelRollout", NAME, api=API, namespace=self.namespace)
        status: dict[str, Any] = dict(found.get("status") or {})
        history = status.pop("history", [])
        lines = [f"-- {self.namespace}, generation {found['metadata']['generation']}", json.dumps(status, indent=1)]
        lines += [
            f"{move['at']} {move['move']} {move['revision']} {move['weight']}% {move['message']}" for move in history
        ]
        for pod in self.kube.list("Pod", api="v1", namespace=self.namespace):
            states = [one.get("state") for one in pod["status"].get("containerStatuses", [])]
            lines.append(f"pod {pod['metadata']['name']} {pod['status'].get('phase')} {states}")
        for load in (self.load, *self.others):
            if load is not None:
                lines.append(f"load {load.tally}")
        return "\n".join([*lines, "-- operator", operator_log(self.kube, self.namespace)])


def restarts(found: dict[str, Object]) -> int:
    """Return how often the containers of these pods were restarted."""
    return sum(one["restartCount"] for pod in found.values() for one in pod["status"].get("containerStatuses", []))
