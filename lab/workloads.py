"""What runs in the cluster: DNS, gateway, Prometheus and the operator."""

import json
from pathlib import Path
from typing import Any

from lab.images import Image
from lab.parts import Parts
from lab.paths import REPOSITORY, SOURCE, Paths
from lab.progress import Step

CHART = REPOSITORY / "charts" / "modelrollout"
OPERATOR = "modelrollout-system"
BASICS = ("kube-system", "gateway", "monitoring")
SECONDS = 120


class Workloads:
    """Applies manifests and waits for what they describe."""

    def __init__(self, paths: Paths, parts: Parts) -> None:
        self.crds = parts.folder("gateway-api")
        self.helm = parts.bin("helm") / "helm"
        self.program = parts.bin("kube") / "kubectl"
        self.env = {"KUBECONFIG": str(paths.kubeconfig)}

    def kubectl(self, step: Step, *arguments: str | Path) -> str:
        """Run kubectl as the cluster's administrator."""
        return step.run([self.program, *arguments], env=self.env)

    def _apply(self, step: Step, *source: str | Path) -> None:
        self.kubectl(step, "apply", "--server-side", "--force-conflicts", "--field-manager=lab", *source)

    def apply(self, step: Step, *, bare: bool) -> None:
        """Apply the lab's manifests; `bare` means DNS alone."""
        if bare:
            self._apply(step, "-k", SOURCE / "manifests" / "bare")
            return
        step.say("Gateway API")
        self._apply(step, "-f", self.crds)
        self.kubectl(step, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        step.say("gateway, Prometheus, DNS")
        self._apply(step, "-k", SOURCE / "manifests" / "lab")

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
        for namespace in (*BASICS, OPERATOR):
            listed = json.loads(self.kubectl(step, "get", "deployments", "-n", namespace, "-o", "json"))
            for name, used in deployments_by_image(listed):
                if changed.intersection(used):
                    self.kubectl(step, "rollout", "restart", f"deployment/{name}", "-n", namespace)

    def wait(self, step: Step) -> None:
        """Wait until every Deployment of the lab but the operator's is rolled out."""
        for namespace in BASICS:
            names = self.kubectl(step, "get", "deployments", "-n", namespace, "-o", "name").split()
            for name in names:
                step.say(name)
                self.kubectl(step, "rollout", "status", name, "-n", namespace, f"--timeout={SECONDS}s")

    def wait_gateway(self, step: Step) -> None:
        """Wait until the Gateway is programmed."""
        arguments = ["--for=condition=Programmed", "gateway/public", "-n", "gateway", "--timeout=60s"]
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
