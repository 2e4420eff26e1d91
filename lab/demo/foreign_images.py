"""Our images in a cluster that is not the lab: already there, pulled from a registry, or built and loaded."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.demo.kubectl import Kubectl
from lab.errors import LabError
from lab.images import LOAD
from lab.parts import Parts
from lab.paths import REPOSITORY, SOURCE
from lab.progress import Progress, Step

OURS = ("operator", "model-server", "load")
TAG = "dev"
LOCAL = "modelrollout"
# Beginning of a context's name -> command that hands images over to that kind of cluster.
LOADERS: dict[str, Callable[[str, list[str]], list[str]]] = {
    "kind-": lambda context, images: ["kind", "load", "docker-image", "--name", context.removeprefix("kind-"), *images],
    "k3d-": lambda context, images: ["k3d", "image", "import", "--cluster", context.removeprefix("k3d-"), *images],
    "minikube": lambda context, images: ["minikube", "--profile", context, "image", "load", *images],
}


@dataclass(frozen=True)
class ForeignImages:
    """Finds or provides the images that the demo needs."""

    kubectl: Kubectl
    parts: Parts
    prefix: str | None
    """The user's registry, if one was named."""

    def reference(self, name: str) -> str:
        """Return the full name of one of our images."""
        return f"{self.prefix or LOCAL}/{name}:{TAG}"

    def on_every_node(self, reference: str) -> bool:
        """Tell whether each node has the image; a node reports its 50 largest."""
        known = f"docker.io/{reference}"
        nodes = self.kubectl.items("nodes")
        names = [
            {name for image in node["status"].get("images", []) for name in image["names"] or ()} for node in nodes
        ]
        return bool(names) and all(known in of_node for of_node in names)

    def missing(self) -> list[str]:
        """Return which of our images have to be built and loaded."""
        if self.prefix is not None:
            return []
        return [name for name in OURS if not self.on_every_node(self.reference(name))]

    def check(self, context: str) -> None:
        """Raise LabError if missing images cannot be provided to the cluster of this context."""
        command = loader(context, [])
        if command is None:
            raise LabError(
                f"context {context} is no kind, k3d or minikube cluster that images could be loaded into: push"
                f" {', '.join(OURS)} with tag {TAG} to a registry that it pulls from, and say --images PREFIX"
            )
        lacking = [program for program in ("docker", command[0]) if shutil.which(program) is None]
        if lacking:
            raise LabError(
                f"{' and '.join(lacking)} needed to load images into {context}; install, or say --images PREFIX"
            )

    def provide(self, names: list[str], context: str, progress: Progress) -> None:
        """Build images with docker and load them."""
        if "load" in names:
            self.parts.build(self.parts.missing(("k6",)), progress)
        for name in names:
            with progress.step(f"build image {name}") as step:
                self._build(name, step)
        with progress.step(f"load images into {context}") as step:
            step.run(loader(context, [self.reference(name) for name in names]) or [])

    def _build(self, name: str, step: Step) -> None:
        command = ["docker", "build", "--tag", self.reference(name), "--file"]
        if name == "load":
            with tempfile.TemporaryDirectory() as folder:
                for file in (self.parts.bin("k6") / "k6", *(SOURCE / "load" / each for each in LOAD)):
                    shutil.copy(file, Path(folder) / file.name)
                step.run([*command, SOURCE / "images" / "load" / "Dockerfile", folder])
            return
        context = REPOSITORY if name == "operator" else REPOSITORY / name
        step.run([*command, REPOSITORY / name / "Dockerfile", context])


def loader(context: str, images: list[str]) -> list[str] | None:
    """Return the command that loads images into the cluster of a context, None if there is none."""
    for beginning, command in LOADERS.items():
        if context.startswith(beginning):
            return command(context, images)
    return None


def current_context(kubectl: Kubectl) -> str:
    """Return the name of the current context."""
    result: subprocess.CompletedProcess[str] = kubectl.attempt("config", "current-context")
    return result.stdout.strip() or "of the pod"
