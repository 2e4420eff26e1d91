"""What runs in the cluster: DNS, gateways, Prometheus and the operator."""

import json
import time
from pathlib import Path
from typing import Any

from lab.definitions import names
from lab.images import Image
from lab.parts import Parts
from lab.paths import REPOSITORY, SOURCE, Paths
from lab.progress import Step

CHART = REPOSITORY / "charts" / "modelrollout"
OPERATOR = "modelrollout-system"
BASICS = ("kube-system", "gateway", "monitoring")
ENVOY = "envoy"
SECONDS = 120
POLL = 0.2
SERVED = (
    "{{range .items}}{{$name := .metadata.name}}{{range .status.conditions}}"
    '{{if and (eq .type "Established") (eq .status "True")}}{{$name}} {{end}}{{end}}{{end}}'
)


class Workloads:
    """Applies manifests and waits for what they describe."""

    def __init__(self, paths: Paths, parts: Parts) -> None:
        self.parts = parts
        self.applied = paths.state / "definitions"
        self.helm = parts.bin("helm") / "helm"
        self.program = parts.bin("kube") / "kubectl"
        self.env = {"KUBECONFIG": str(paths.kubeconfig)}

    def kubectl(self, step: Step, *arguments: str | Path) -> str:
        """Run kubectl as the cluster's administrator."""
        return step.run([self.program, *arguments], env=self.env)

    def _apply(self, step: Step, *source: str | Path) -> None:
        self.kubectl(step, "apply", "--server-side", "--force-conflicts", "--field-manager=lab", *source)

    def apply(self, step: Step, *, bare: bool) -> None:
        """Apply the lab's manifests, all but Envoy Gateway's; `bare` means DNS alone."""
        if bare:
            self._apply(step, "-k", SOURCE / "manifests" / "bare")
            return
        step.say("definitions of the routers' resources")
        self._define(step, "gateway-api", "traefik-api", "istio-api")
        step.say("gateway, Prometheus, DNS")
        self._apply(step, "-k", SOURCE / "manifests" / "lab")

    def apply_envoy(self, step: Step) -> None:
        """Apply Envoy Gateway, the second implementation of the Gateway API."""
        step.say("Envoy Gateway")
        self._define(step, "envoy-gateway-api")
        self._apply(step, "-k", SOURCE / "manifests" / "lab-envoy")

    def _define(self, step: Step, *parts: str) -> None:
        """Apply resource definitions, unless this cluster has them, and wait until they are served.

        There are megabytes of them: applied again they would cost more than all else that `up` finds in place.
        """
        folders = {folder: names(folder) for folder in map(self.parts.folder, parts)}
        served = self._served(step)
        missing = [
            folder for folder, wanted in folders.items() if not (self._mark(folder).exists() and wanted <= served)
        ]
        if not missing:
            return
        self._apply(step, *(word for folder in missing for word in ("-f", folder)))
        deadline = time.monotonic() + SECONDS
        wanted = set().union(*(folders[folder] for folder in missing))
        while not wanted <= (served := self._served(step)):
            if time.monotonic() > deadline:
                raise step.failed(f"not served after {SECONDS} s: {', '.join(sorted(wanted - served))}")
            time.sleep(POLL)
        self.applied.mkdir(exist_ok=True)
        for folder in missing:
            self._mark(folder).touch()

    def _mark(self, folder: Path) -> Path:
        """Return the file that tells that a folder's definitions, named after their content, were applied."""
        return self.applied / folder.name

    def _served(self, step: Step) -> set[str]:
        """Return the names of the resource definitions that the API server serves."""
        return set(self.kubectl(step, "get", "crd", "-o", f"go-template={SERVED}").split())

    def install_operator(self, step: Step) -> None:
        """Install or upgrade the operator from the chart of this checkout."""
        definitions = CHART / "crds"
        if definitions.is_dir():  # helm installs these once and never upgrades them
            self._apply(step, "-f", definitions)
        command: list[str | Path] = [self.helm, "upgrade", "--install", "modelrollout", CHART]
        command += ["--namespace", OPERATOR, "--create-namespace", "--values", SOURCE / "values.yaml"]
        step.run([*command, "--wait", f"--timeout={SECONDS}s"], env=self.env)

    def restart(self, images: list[Image], step: Step) -> None:
        """Restart the lab's own Deployments that run an image whose content changed under its name."""
        changed = {image.reference for image in images}
        for namespace in (*BASICS, ENVOY, OPERATOR):
            listed = json.loads(self.kubectl(step, "get", "deployments", "-n", namespace, "-o", "json"))
            for name, used in deployments_by_image(listed):
                if changed.intersection(used):
                    self.kubectl(step, "rollout", "restart", f"deployment/{name}", "-n", namespace)

    def wait(self, step: Step, *, bare: bool) -> None:
        """Wait until DNS, gateway and Prometheus are rolled out and the Gateway is programmed."""
        for namespace in BASICS:
            self._wait_deployments(step, namespace)
        if not bare:
            self._wait_gateway(step, "gateway")

    def wait_envoy(self, step: Step) -> None:
        """Wait until Envoy Gateway runs and its Gateway is programmed, which means that its proxy is ready."""
        self._wait_deployments(step, ENVOY)
        self._wait_gateway(step, ENVOY)

    def _wait_deployments(self, step: Step, namespace: str) -> None:
        for name in self.kubectl(step, "get", "deployments", "-n", namespace, "-o", "name").split():
            step.say(name)
            self.kubectl(step, "rollout", "status", name, "-n", namespace, f"--timeout={SECONDS}s")

    def _wait_gateway(self, step: Step, namespace: str) -> None:
        step.say(f"Gateway {namespace}/public")
        arguments = ["--for=condition=Programmed", "gateway/public", "-n", namespace, f"--timeout={SECONDS}s"]
        self.kubectl(step, "wait", *arguments)


def deployments_by_image(listed: dict[str, Any]) -> list[tuple[str, set[str]]]:
    """Return (name, full image references) of each Deployment in a list as kubectl prints it."""
    found = []
    for item in listed["items"]:
        spec = item["spec"]["template"]["spec"]
        containers = spec["containers"] + spec.get("initContainers", [])
        found.append((str(item["metadata"]["name"]), {full_reference(c["image"]) for c in containers}))
    return found


def full_reference(image: str) -> str:
    """Return an image's name with its registry: Docker Hub is meant where none is named."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return image if named else f"docker.io/{image}"
