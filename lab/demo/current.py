"""A cluster that the user has: use what is there, install what is missing, remove what was installed."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.demo.foreign_images import ForeignImages, current_context
from lab.demo.kubectl import Kubectl
from lab.demo.stage import Stage, gateway_url, operators
from lab.errors import LabError
from lab.parts import Parts
from lab.paths import REPOSITORY, SOURCE, Paths
from lab.progress import Progress, Step

LABEL = "app.kubernetes.io/managed-by=modelrollout-demo"
GATEWAY = "modelrollout-demo-gateway"
MONITORING = "modelrollout-demo-monitoring"
OPERATOR = "modelrollout-demo-operator"
CONTROLLER = "traefik.io/gateway-controller"
ROUTES = "httproutes.gateway.networking.k8s.io"
ROLLOUTS = "modelrollouts.modelrollout.dev"
CHART = REPOSITORY / "charts" / "modelrollout"
SECONDS = 180
# Official image -> the lab's own, for a cluster that has that one.
STAND_INS = {
    "traefik:v3.7": "modelrollout/lab-traefik:dev",
    "prom/prometheus:v3.15.0": "modelrollout/lab-prometheus:dev",
}


@contextmanager
def current_stage(paths: Paths, arguments: argparse.Namespace) -> Iterator[Stage]:
    """Make the current cluster ready for the demo, and in the end as it was."""
    parts = Parts(paths)
    kubectl = Kubectl(_program("kubectl", parts), {})
    context = current_context(kubectl)
    answer = kubectl.attempt("get", "--raw", "/readyz", "--request-timeout=10s")
    if answer.returncode != 0:
        words = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        raise LabError(f"the cluster of context {context} does not answer: {words}")
    progress = Progress("demo", 0, paths.logs)
    progress.print(f"cluster of context {context}")
    images = ForeignImages(kubectl, parts, arguments.images)
    cluster = Current(kubectl, parts, images, progress)
    try:
        yield cluster.prepare(context, arguments.gateway, arguments.gateway_url)
    finally:
        if arguments.keep:
            progress.print(f"left in place: all that carries the label {LABEL}")
        else:
            cluster.restore()


def _program(name: str, parts: Parts) -> Path:
    """Return a program of the machine's, else the lab's if it was built."""
    found = shutil.which(name)
    if found:
        return Path(found)
    built = parts.bin("kube" if name == "kubectl" else name) / name
    if not built.exists():
        raise LabError(f"{name} is not installed: install it, or build the lab's by `python3 -m lab up`")
    return built


@dataclass
class Current:
    """The current cluster."""

    kubectl: Kubectl
    parts: Parts
    images: ForeignImages
    progress: Progress

    def prepare(self, context: str, gateway: str | None, url: str | None) -> Stage:
        """Install what is missing; returns the stage."""
        has_routes = self.kubectl.exists("crd", ROUTES)
        running = operators(self.kubectl)
        chosen = _named(gateway) if gateway else self._find_gateway()
        build = self.images.missing()
        if build:
            self.images.check(context)
        for what in (f"operator {running[0]}" if running else "", "Gateway {}/{}".format(*chosen) if chosen else ""):
            if what:
                self.progress.print(f"using {what}, which is there")
        parts = (["k6"] if "load" in build else []) + ([] if has_routes else ["gateway-api"])
        self.progress.total = len(self.parts.missing(tuple(parts))) + len(build) + bool(build)
        self.progress.total += (not has_routes) + (chosen is None) + 2 * (not running)
        if build:
            self.images.provide(build, context, self.progress)
        if not has_routes:
            self._install_routes()
        if chosen is None:
            self._apply("Traefik as Gateway API implementation", GATEWAY, "gateway")
            chosen, url = (GATEWAY, "public"), url or f"http://traefik.{GATEWAY}.svc"
        if not running:
            self._apply("Prometheus", MONITORING, "monitoring")
            self._install_operator()
        url = url or gateway_url(self.kubectl, *chosen)
        return Stage(self.kubectl, chosen, url, self.images.reference("model-server"), self.images.reference("load"))

    def _find_gateway(self) -> tuple[str, str] | None:
        """Return a Gateway that Traefik serves, as (namespace, name)."""
        classes = self.kubectl.items("gatewayclasses.gateway.networking.k8s.io")
        ours = {item["metadata"]["name"] for item in classes if item["spec"]["controllerName"] == CONTROLLER}
        for item in self.kubectl.items("gateways.gateway.networking.k8s.io", "--all-namespaces"):
            conditions = item.get("status", {}).get("conditions", [])
            programmed = any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)
            if item["spec"]["gatewayClassName"] in ours and programmed:
                return item["metadata"]["namespace"], item["metadata"]["name"]
        return None

    def _install_routes(self) -> None:
        self.parts.build(self.parts.missing(("gateway-api",)), self.progress)
        with self.progress.step("Gateway API resource definitions") as step:
            self._apply_definitions(self.parts.folder("gateway-api"), step)

    def _apply_definitions(self, folder: Path, step: Step) -> None:
        """Apply resource definitions with our label, by which they are removed again."""
        # Gateway API comes with an admission policy too, against downgrades; nothing is to be guarded for a demo.
        files = [
            file for file in sorted(folder.glob("*.yaml")) if "\nkind: CustomResourceDefinition" in file.read_text()
        ]
        named = [word for file in files for word in ("--filename", file)]
        labelled = self.kubectl.run("label", "--local", *named, LABEL, "--output", "json")
        step.write(self.kubectl.run("apply", "--server-side", "--filename", "-", stdin=labelled))
        step.write(self.kubectl.run("wait", "--for=condition=Established", "crd", "-l", LABEL, "--timeout=30s"))

    def _apply(self, title: str, namespace: str, folder: str) -> None:
        with self.progress.step(title) as step:
            text = self.kubectl.run("kustomize", SOURCE / "demo" / "missing" / folder)
            for official, stand_in in STAND_INS.items():
                if self.images.on_every_node(stand_in):
                    text = text.replace(f"image: {official}\n", f"image: {stand_in}\n")
            step.write(self.kubectl.run("apply", "--server-side", "--filename", "-", stdin=text))
            wait = ("rollout", "status", "deployment", "-n", namespace, f"--timeout={SECONDS}s")
            step.write(self.kubectl.run(*wait))
            if folder == "gateway":
                step.write(
                    self.kubectl.run(
                        "wait", "--for=condition=Programmed", "gateway/public", "-n", namespace, "--timeout=60s"
                    )
                )

    def _install_operator(self) -> None:
        with self.progress.step("operator") as step:
            helm = _program("helm", self.parts)
            if not self.kubectl.exists("crd", ROLLOUTS):
                self._apply_definitions(CHART / "crds", step)
            if not self.kubectl.exists("namespace", OPERATOR):
                step.write(self.kubectl.run("create", "namespace", OPERATOR))
                step.write(self.kubectl.run("label", "namespace", OPERATOR, LABEL))
            image, _, tag = self.images.reference("operator").rpartition(":")
            values = {
                "image.repository": image,
                "image.tag": tag,
                "prometheus.url": f"http://prometheus.{MONITORING}.svc:9090",
                "scrapeInterval": "2s",
                "settle": "500ms",
            }
            settings = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
            command: list[str | Path] = [
                helm,
                "upgrade",
                "--install",
                "modelrollout",
                CHART,
                "--namespace",
                OPERATOR,
                "--skip-crds",
            ]
            step.run([*command, *settings, "--wait", f"--timeout={SECONDS}s"])

    def restore(self) -> None:
        """Remove what this run, or one that was killed, has installed."""
        labelled = ("-l", LABEL)
        if not self.kubectl.items("namespaces,clusterroles,crds", *labelled):
            return
        self.progress.total = self.progress.number + 1
        with self.progress.step("remove what was installed") as step:
            if self.kubectl.items("namespaces", "--field-selector", f"metadata.name={OPERATOR}", *labelled):
                helm = _program("helm", self.parts)
                step.run([helm, "uninstall", "modelrollout", "--namespace", OPERATOR, "--ignore-not-found", "--wait"])
            for kind in ("gatewayclasses", "clusterrolebindings", "clusterroles", "namespaces"):
                step.write(self.kubectl.attempt("delete", kind, *labelled, "--wait", "--timeout=120s").stdout)
            self._remove_definitions(step)

    def _remove_definitions(self, step: Step) -> None:
        """Remove our resource definitions, unless somebody began to use them meanwhile."""
        definitions = self.kubectl.items("crds", "-l", LABEL)
        names = [str(item["metadata"]["name"]) for item in definitions]
        used = [name for name in names if self.kubectl.items(name, "--all-namespaces")]
        if used:
            step.say(f"kept the definitions of {', '.join(used)} and all of their group: they are in use")
        groups = {name.partition(".")[2] for name in used}
        for name in names:
            if name.partition(".")[2] not in groups:
                step.write(self.kubectl.run("delete", "crd", name, "--wait", "--timeout=60s"))


def _named(gateway: str) -> tuple[str, str]:
    namespace, slash, name = gateway.partition("/")
    if not (namespace and slash and name):
        raise LabError(f"--gateway {gateway}: write NAMESPACE/NAME")
    return namespace, name
