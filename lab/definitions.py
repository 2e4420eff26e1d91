"""Resource definitions (CRDs) of gateways and meshes: YAML files in Go modules, pinned as our programs are."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import store
from lab.paths import SOURCE

NAME = re.compile(r"^metadata:\n(?:  .*\n)*?  name: ([\w.-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Definitions:
    """One cache entry: the files of a Go module that match `files`, as they are.

    With `only`, files hold many definitions: each of these names becomes a file of its own.
    """

    name: str
    title: str
    module: str
    files: str
    only: tuple[str, ...] = ()
    pinned: str = ""
    """The folder in `go` whose go.mod names the module; `name` by default."""
    tested: bool = True
    """Whether tests against a real API server want them."""

    @property
    def source(self) -> Path:
        """The folder with the go.mod and go.sum that pin the module."""
        return SOURCE / "go" / (self.pinned or self.name)

    @property
    def key(self) -> str:
        """The cache entry's key."""
        return store.key(self.source, *([self.files, *self.only] if self.only or self.pinned else []))

    @property
    def download(self) -> list[str]:
        """Arguments for `go`, run in `source`; what it prints is for `texts`."""
        return ["mod", "download", "-json", self.module]

    def texts(self, downloaded: str) -> dict[str, str]:
        """Return file name -> content, from what `go mod download -json` printed."""
        files = sorted(Path(json.loads(downloaded)["Dir"]).glob(self.files))
        if not self.only:
            return {file.name: file.read_text(encoding="utf-8") for file in files}
        found: dict[str, str] = {}
        for file in files:
            found |= split(file.read_text(encoding="utf-8"))
        return {f"{name}.yaml": found[name] for name in self.only}


def split(text: str) -> Mapping[str, str]:
    """Return the documents of a YAML file by their metadata.name; those without one are left out."""
    documents = re.split(r"^---.*\n", text, flags=re.MULTILINE)
    return {found[1]: document for document in documents if (found := NAME.search(document))}


def names(folder: Path) -> set[str]:
    """Return the names of the resource definitions in a folder of the cache; other kinds are left out."""
    found: dict[str, str] = {}
    for file in folder.glob("*.yaml"):
        found |= split(file.read_text(encoding="utf-8"))
    return {name for name, document in found.items() if "\nkind: CustomResourceDefinition\n" in document}


ISTIO = tuple(f"{kind}.networking.istio.io" for kind in ("virtualservices", "destinationrules"))
DEFINITIONS = (
    Definitions("gateway-api", "Gateway API definitions", "sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
    Definitions(
        "traefik-api",
        "Traefik's own definitions",
        "github.com/traefik/traefik/v3",
        "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
        only=tuple(
            f"{kind}.traefik.io"
            for kind in (
                "ingressroutes",
                "ingressroutetcps",
                "ingressrouteudps",
                "middlewares",
                "middlewaretcps",
                "serverstransports",
                "serverstransporttcps",
                "tlsoptions",
                "tlsstores",
                "traefikservices",
            )
        ),
    ),
    # No Istio runs in the lab: these let the operator's router for it meet the real schema.
    Definitions(
        "istio-api",
        "Istio's definitions",
        "istio.io/api",
        "kubernetes/customresourcedefinitions.gen.yaml",
        only=ISTIO,
    ),
    Definitions(
        "envoy-gateway-api",
        "Envoy Gateway's own definitions",
        "github.com/envoyproxy/gateway",
        "charts/gateway-helm/charts/crds/crds/generated/*.yaml",
        pinned="envoy-gateway",
        tested=False,
    ),
)
