"""Clients of a rollout: a pod that sends requests at a constant rate, and what became of each."""

import threading
from contextlib import suppress

import httpx
import yaml
from lab.demo.load import LONGEST, Tally, job

from tests.support.kube import Kube
from tests.support.lab import eventually, pods

IMAGE = "modelrollout/load:dev"
TRAEFIK = "http://traefik.gateway.svc"
ENVOY = "http://envoy.envoy.svc"
STARTS = 240
"""Seconds in which pods of a busy node surely start."""
PATH = "/v2/models/fraud/infer"
TARGET = f"{TRAEFIK}{PATH}"


def over_grpc(gateway: str) -> str:
    """Return what clients call at a gateway by gRPC."""
    return f"{gateway.replace('http', 'grpc', 1)}:80"


class Load:
    """A load Job in a namespace; its log is followed from the start, because it goes with the pod.

    `target` is the URL to ask: of a gateway, which then needs a route's `host`, or of a Service (`host` empty). Where
    kube-proxy chooses the pod, `connections="new"` lets it choose for each request. Progress comes every `every`. Jobs
    of one namespace have different names.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        host: str,
        rate: int,
        *,
        target: str = TARGET,
        connections: str = "keep",
        every: str = "5s",
        duration: str = LONGEST,
        name: str = "load",
    ) -> None:
        self.kube = kube
        self.namespace = namespace
        self.name = name
        self.tally = Tally()
        text = job(name=name, namespace=namespace, image=IMAGE, target=target, host=host, rate=rate, duration=duration)
        manifest = yaml.safe_load(text)
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container["env"].append({"name": "CONNECTIONS", "value": connections})
        container["args"] = ["run", "--quiet", "--no-color", "--address=", f"--out=progress={every}", "/canary.js"]
        kube.apply(manifest)
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    def _pod(self) -> str | None:
        found = pods(self.kube, self.namespace, f"job-name={self.name}")
        running = [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"]
        return running[0] if running else None

    def _follow(self) -> None:
        pod = eventually("the load's pod runs", self._pod, STARTS) or ""
        path = self.kube.path("v1", "Pod", pod, namespace=self.namespace, sub="log")
        timeout = httpx.Timeout(20, read=60)
        stream = self.kube.http.stream("GET", path, params={"follow": "true"}, timeout=timeout)
        with suppress(httpx.HTTPError), stream as answer:  # a log that broke off has no summary: see stop
            for line in answer.iter_lines():
                self.tally.read(line)

    def wait_for_answers(self, requests: int) -> None:
        """Wait until that many requests were answered."""
        enough = lambda: self.tally.requests >= requests  # noqa: E731
        eventually(f"{requests} answers in {self.namespace}", enough, STARTS, lambda: str(self.tally))

    def mark(self) -> Tally:
        """Return what clients saw up to now; `tally.since(mark)` is what they saw after it."""
        return self.tally.copy()

    def stop(self) -> Tally:
        """End the Job and return what its clients saw, from the first request to the last."""
        path = self.kube.path("batch/v1", "Job", self.name, namespace=self.namespace)
        # In the foreground: the pod writes its summary before the Job is gone.
        self.kube.request("DELETE", path, params={"propagationPolicy": "Foreground"})
        self.reader.join(timeout=40)
        assert self.tally.summary is not None, f"the log of the load in {self.namespace} broke off: {self.tally}"
        return self.tally
