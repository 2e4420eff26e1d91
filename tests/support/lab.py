"""The lab as tests see it: a real cluster with a gateway, Prometheus and the operator in it."""

import base64
import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
import yaml
from lab.parts import Parts
from lab.paths import Paths

from tests.support.kube import Kube, KubeError

T = TypeVar("T")
Object = dict[str, Any]

OPERATOR = ("modelrollout-system", "modelrollout")
PROMETHEUS = ("monitoring", "prometheus")
POLL = 0.5
PATIENCE = 3.0
"""Stories run side by side on few cores: what a free machine does in a second may take three."""


class LabDown(RuntimeError):
    """There is no lab to test in; the text says what to run."""


@contextlib.contextmanager
def connected() -> Iterator[Kube]:
    """Connect to the lab with every right; raise LabDown if it is not up or runs no operator."""
    paths = Paths.from_environment()
    try:
        config = yaml.safe_load(paths.kubeconfig.read_text())
    except OSError as error:
        raise LabDown(f"the lab is not up ({error.strerror}: {paths.kubeconfig}): run `make lab-up`") from None
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    certificate = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=certificate)
    # The certificate that the API server signs for itself carries no key identifiers.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {user['token']}"}
    program = Parts(paths).bin("kube") / "kubectl"
    with httpx.Client(base_url=cluster["server"], headers=headers, verify=context, timeout=20, trust_env=False) as http:
        kube = Kube(cluster["server"], user["token"], paths.kubeconfig, program, http)
        try:
            ready = available(kube, *OPERATOR) and available(kube, *PROMETHEUS)
        except (httpx.TransportError, KubeError) as error:
            raise LabDown(f"the lab does not answer as it should ({error}): run `make lab-up`") from None
        if not ready:
            raise LabDown("the lab's operator or Prometheus is not ready: run `make lab-up`")
        yield kube


def available(kube: Kube, namespace: str, name: str) -> bool:
    """Tell whether all pods of a Deployment are ready."""
    found = kube.get("Deployment", name, api="apps/v1", namespace=namespace)
    status = found.get("status", {})
    current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
    return bool(current and status.get("readyReplicas", 0) >= found["spec"]["replicas"] > 0)


def eventually(what: str, probe: Callable[[], T], seconds: float, diagnosis: Callable[[], str] = str) -> T:
    """Ask `probe` again and again until its answer is true, and return it.

    Fails with `diagnosis` after `seconds`, times PATIENCE. For things that happen in another process: nothing here
    could be awaited.
    """
    deadline = time.monotonic() + PATIENCE * seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE * seconds:g} s\n{diagnosis()}")
        time.sleep(POLL)
    return answer


def throughout(what: str, probe: Callable[[], bool], seconds: float, diagnosis: Callable[[], str] = str) -> None:
    """Look for `seconds` whether something stays true; fails at once when it does not.

    For what must not happen: its absence can only be watched for a while.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), f"{what}: no longer\n{diagnosis()}"
        time.sleep(POLL)


def scale(kube: Kube, namespace: str, name: str, replicas: int) -> None:
    """Set the number of a Deployment's pods."""
    size = {"spec": {"replicas": replicas}}
    kube.patch("Deployment", name, size, api="apps/v1", namespace=namespace, sub="scale")


def pods(kube: Kube, namespace: str, labels: str) -> list[Object]:
    """Return pods, those on their way out left out."""
    found = kube.list("Pod", api="v1", namespace=namespace, labels=labels)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def log(kube: Kube, namespace: str, pod: str, lines: int = 40) -> str:
    """Return the end of a pod's log, or why there is none."""
    path = kube.path("v1", "Pod", pod, namespace=namespace, sub="log")
    return kube.http.get(path, params={"tailLines": str(lines)}).text


def operator_log(kube: Kube, about: str, lines: int = 25) -> str:
    """Return what the operator last logged about a namespace."""
    found: list[str] = []
    for pod in kube.list("Pod", api="v1", namespace=OPERATOR[0], labels="app.kubernetes.io/name=modelrollout"):
        name = pod["metadata"]["name"]
        found += [line for line in log(kube, OPERATOR[0], name, 2000).splitlines() if about in line][-lines:]
    return "\n".join(found)
