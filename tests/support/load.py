"""Clients of a rollout: a pod that sends requests at a constant rate, and what became of each."""

import threading
from contextlib import suppress

import httpx
import yaml
from lab.demo.load import Tally, job

from tests.support.kube import Kube
from tests.support.lab import eventually, pods

IMAGE = "modelrollout/load:dev"
TARGET = "http://traefik.gateway.svc/v2/models/fraud/infer"


class Load:
    """A load Job in a namespace; its log is followed from the start, because it goes with the pod."""

    def __init__(self, kube: Kube, namespace: str, host: str, rate: int) -> None:
        self.kube = kube
        self.namespace = namespace
        self.tally = Tally()
        manifest = job(name="load", namespace=namespace, image=IMAGE, target=TARGET, host=host, rate=rate)
        kube.apply(yaml.safe_load(manifest))
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    def _pod(self) -> str | None:
        found = pods(self.kube, self.namespace, "job-name=load")
        running = [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"]
        return running[0] if running else None

    def _follow(self) -> None:
        pod = eventually("the load's pod runs", self._pod, 60) or ""
        path = self.kube.path("v1", "Pod", pod, namespace=self.namespace, sub="log")
        timeout = httpx.Timeout(20, read=60)
        stream = self.kube.http.stream("GET", path, params={"follow": "true"}, timeout=timeout)
        with suppress(httpx.HTTPError), stream as answer:  # a log that broke off has no summary: see stop
            for line in answer.iter_lines():
                self.tally.read(line)

    def wait_for_answers(self, requests: int) -> None:
        """Wait until that many requests were answered; they are counted every 5 s."""
        enough = lambda: self.tally.requests >= requests  # noqa: E731
        eventually(f"{requests} answers in {self.namespace}", enough, 60, lambda: str(self.tally))

    def stop(self) -> Tally:
        """End the Job and return what its clients saw, from the first request to the last."""
        path = self.kube.path("batch/v1", "Job", "load", namespace=self.namespace)
        # In the foreground: the pod writes its summary before the Job is gone.
        self.kube.request("DELETE", path, params={"propagationPolicy": "Foreground"})
        self.reader.join(timeout=40)
        assert self.tally.summary is not None, f"the log of the load in {self.namespace} broke off: {self.tally}"
        return self.tally
