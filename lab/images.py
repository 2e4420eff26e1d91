"""Container images, built by buildah without a daemon and loaded into the lab's containerd."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import store
from lab.filesystem import carries_overlay
from lab.node import Node
from lab.parts import Parts
from lab.paths import REPOSITORY, SOURCE, Paths
from lab.preflight import find_program
from lab.progress import Step

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
UNTAGGED = 40
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
LABEL = "modelrollout.lab/key"
PREFIX = "docker.io/modelrollout"
LOCAL = "localhost/"
LOAD = ("canary.js", "inference.proto")


@dataclass(frozen=True)
class Image:
    """An image: where its Dockerfile is and what its build context holds.

    `context` is a folder taken as it is; without one the context is the Dockerfile's
    folder and `files` (name -> source). `arguments` are the Dockerfile's. `inputs` are what
    the content depends on.
    """

    name: str
    dockerfile: Path
    inputs: tuple[str | Path, ...]
    context: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    base: bool = False
    tar: bool = False

    @property
    def reference(self) -> str:
        """The name that manifests use."""
        return f"{PREFIX}/{self.name}:dev"


def _lab_image(name: str, *, files: Mapping[str, Path] | None = None, tar: bool = False, base: bool = False) -> Image:
    folder = SOURCE / "images" / name.removeprefix("lab-")
    # Files of the cache are named after the hash of what they were made from.
    sources = [f"{to}={file}" for to, file in (files or {}).items()]
    sources += [store.key(file) for file in (files or {}).values() if file.is_relative_to(SOURCE)]
    extra = [SUITE, PACKAGES] if tar else []
    return Image(name, folder / "Dockerfile", (folder, *sources, *extra), files=files or {}, tar=tar, base=base)


def _product_image(name: str, dockerfile: Path, context: Path, *inputs: Path, **arguments: str) -> Image:
    given = [f"{argument}={value}" for argument, value in sorted(arguments.items())]
    return Image(name, dockerfile, (dockerfile, *inputs, *given), context=context, arguments=arguments, base=True)


def all_images(parts: Parts) -> list[Image]:
    """Return every image whose sources exist, the base first."""
    traefik, envoy = parts.folder("traefik") / "bin", parts.folder("envoy") / "envoy" / "_bin"
    operator, server = REPOSITORY / "operator", REPOSITORY / "model-server"
    metadata = [
        REPOSITORY / name for name in ("pyproject.toml", "requirements.lock", ".dockerignore", "README.md", "LICENSE")
    ]
    images = [
        _lab_image("lab-base", tar=True),
        _lab_image("lab-pause", files={"pause": parts.bin("pause") / "pause"}),
        _lab_image("lab-coredns", files={"coredns": parts.bin("coredns") / "coredns"}),
        _lab_image("lab-traefik", files={"traefik": traefik / "traefik"}),
        _lab_image("lab-envoy-gateway", files={"envoy-gateway": parts.bin("envoy-gateway") / "envoy-gateway"}),
        _lab_image("lab-envoy", files={"envoy": envoy / "envoy"}, base=True),
        _lab_image("lab-prometheus", files={"prometheus": parts.bin("prometheus") / "prometheus"}),
        _lab_image(
            "load",
            files={"k6": parts.bin("k6") / "k6", **{name: SOURCE / "load" / name for name in LOAD}},
        ),
        _product_image("operator", operator / "Dockerfile", REPOSITORY, operator / "src", *metadata),
        _product_image("model-server", server / "Dockerfile", server, server),
        _product_image("model-server-grpc", server / "Dockerfile", server, server, EXTRAS="speed,grpc"),
    ]
    return [image for image in images if image.dockerfile.exists()]


class Images:
    """Builds what changed and loads what containerd lacks."""

    def __init__(self, paths: Paths, parts: Parts) -> None:
        self.root = paths.cache / "buildah"
        self.unfinished = paths.cache / "unfinished"
        self.images = all_images(parts)
        self._keys: dict[str, str] = {}
        self._driver = ""

    def key(self, image: Image) -> str:
        """Return the hash of all that the image is made from."""
        if image.name not in self._keys:
            inputs = [item for item in image.inputs if not isinstance(item, Path) or item.exists()]
            under = [self.key(self.images[0])] if image.base else []
            self._keys[image.name] = store.key(*inputs, *under)
        return self._keys[image.name]

    def local(self, image: Image) -> str:
        """Return the image's name in buildah's store, which tells its content."""
        return f"{LOCAL}{image.name}:{self.key(image)}"

    def buildah(self, *arguments: str) -> list[str]:
        """Return a buildah command on a store of our own."""
        self._driver = self._driver or self._find_driver()
        stores = ["--root", str(self.root), "--runroot", str(self.root / "run")]
        return ["buildah", *stores, "--storage-driver", self._driver, *arguments]

    def _find_driver(self) -> str:
        """Return the driver in use, else overlay where the file system can carry it, else vfs, which copies."""
        for driver in ("overlay", "vfs"):
            if (self.root / driver).exists():
                return driver
        return "overlay" if carries_overlay(self.root) else "vfs"

    def missing(self) -> list[Image]:
        """Return the images that buildah's store lacks as they should be now."""
        if find_program("buildah") is None:
            return list(self.images)
        command = self.buildah("images", "--format", "{{.Name}}:{{.Tag}}")
        stored = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        return [image for image in self.images if self.local(image) not in stored]

    def loaded(self, node: Node, step: Step) -> dict[str, str]:
        """Return reference -> key of the images that containerd has."""
        found: dict[str, str] = {}
        for line in step.run(node.ctr("images", "list")).splitlines()[1:]:
            for label in line.split()[-1].split(","):
                name, _, value = label.partition("=")
                if name == LABEL:
                    found[line.split()[0]] = value
        return found

    def build(self, image: Image, step: Step) -> None:
        """Build one image into buildah's store, and drop the one that it replaces."""
        self.unfinished.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{image.name}-", dir=self.unfinished) as folder:
            context = image.context or self._context(image, Path(folder), step)
            given = {**image.arguments, **({"BASE": self.local(self.images[0])} if image.base else {})}
            arguments = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
            if TRUST.exists():
                arguments += ["--volume", f"{TRUST}:{TRUST}:ro"]
            step.run(
                [
                    *self.buildah(
                        "bud", "--layers", "--isolation", "chroot", "--pull-never", "--tag", self.local(image)
                    ),
                    *_pip_settings(Path(folder)),
                    *arguments,
                    "--file",
                    image.dockerfile,
                    context,
                ]
            )
        listed = step.run(self.buildah("images", "--format", "{{.Name}}:{{.Tag}}")).split()
        old = [name for name in listed if name.startswith(f"{LOCAL}{image.name}:") and name != self.local(image)]
        for name in old:
            step.succeeds(self.buildah("rmi", "--force", name))
        # Untagged images are the cached layers of builds: of use until there are too many.
        untagged = step.run(self.buildah("images", "--all", "--quiet", "--filter", "dangling=true")).split()
        if len(untagged) > UNTAGGED:
            step.succeeds(self.buildah("rmi", "--prune"))

    def _context(self, image: Image, folder: Path, step: Step) -> Path:
        """Gather the build context of an image of the lab."""
        context = folder / "context"
        context.mkdir()
        for name, source in image.files.items():
            shutil.copy(source, context / name)
        if image.tar:
            base = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
            # Debian's pip refuses to install system-wide; in an image nobody else manages it.
            unlock = "--customize-hook=rm -f $1/usr/lib/python3*/EXTERNALLY-MANAGED"
            slim = "--dpkgopt=path-exclude=/usr/share/doc/*"
            step.run([*base, unlock, slim, SUITE, context / "base.tar"])
        return context

    def load(self, image: Image, node: Node, step: Step) -> None:
        """Hand one image over to containerd."""
        self.unfinished.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{image.name}-", dir=self.unfinished) as folder:
            archive = Path(folder) / "image.tar"
            # An OCI archive would be compressed, which takes several times as long as all the rest.
            target = f"docker-archive:{archive}:{image.reference}"
            step.run(self.buildah("push", "--quiet", self.local(image), target))
            step.run(node.ctr("images", "import", "--snapshotter", node.snapshotter, str(archive)))
        self._forget_old(node, step)
        # Set last: an image without it counts as not loaded.
        step.run(node.ctr("images", "label", image.reference, f"{LABEL}={self.key(image)}"))

    def _forget_old(self, node: Node, step: Step) -> None:
        """Drop names that keep replaced images alive: buildah's own, and digests nothing else names."""
        rows = [line.split() for line in step.run(node.ctr("images", "list")).splitlines()[1:]]
        ours = {row[2] for row in rows if not row[0].startswith((LOCAL, "sha256:"))}
        old = [row[0] for row in rows if row[0].startswith(LOCAL)]
        old += [row[0] for row in rows if row[0].startswith("sha256:") and row[2] not in ours]
        if old:
            step.run(node.ctr("images", "remove", *old))


def _pip_settings(folder: Path) -> list[str]:
    """Return build options that let pip in a build use the package index this machine uses."""
    index = os.environ.get("PIP_INDEX_URL")
    if not index:
        return []
    settings = folder / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {index}\n")
    return ["--volume", f"{settings}:/etc/pip.conf:ro"]
