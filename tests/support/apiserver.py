"""A real etcd and kube-apiserver on loopback, for tests of what the API server decides and we rely on.

Needs no root. Nothing but these two runs: no controller ever reacts to what a test writes.
"""

import base64
import contextlib
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import httpx
import yaml
from lab.definitions import DEFINITIONS, ISTIO, Definitions
from lab.parts import Parts
from lab.paths import REPOSITORY, Paths

from tests.support.kube import Kube, KubeError

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
START_SECONDS = 50.0
CRD_FILE = REPOSITORY / "manifests" / "crd" / "modelrollouts.yaml"
GATEWAY_KINDS = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants")
TRAEFIK_KINDS = ("ingressroutes", "middlewares", "serverstransports", "traefikservices")
# How the files of the definitions are called that tests need; each costs the API server some start-up time.
ROUTER_FILES = (
    *(f"gateway.networking.k8s.io_{kind}." for kind in GATEWAY_KINDS),
    *(f"{kind}.traefik.io." for kind in TRAEFIK_KINDS),
    *ISTIO,
)


class AssetsMissing(RuntimeError):
    """The programs are not on this machine; the text says what to run."""


def assets() -> Path:
    """Return the folder with etcd, kube-apiserver and kubectl; raise AssetsMissing if there is none."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folder = Path(given) if given else Parts(Paths.from_environment()).bin("kube")
    missing = [name for name in PROGRAMS if not (folder / name).exists()]
    if not missing:
        return folder
    if given:
        raise AssetsMissing(f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(missing)}; unset it and run `make assets`")
    raise AssetsMissing("contract tests need etcd and kube-apiserver: run `make assets`")


def missing_assets() -> str:
    """Say what to run before tests can start an API server; empty where all is there."""
    try:
        assets()
    except AssetsMissing as error:
        return str(error)
    return ""


def router_crds() -> list[dict[str, Any]]:
    """Return the resource definitions that routers write: of Gateway API, Traefik and Istio, the real ones."""
    paths = Paths.from_environment()
    documents = []
    for definitions in (one for one in DEFINITIONS if one.tested):
        folder = Parts(paths).folder(definitions.name)
        texts = {file.name: file.read_text() for file in folder.glob("*.yaml")} or _texts(definitions)
        documents += [
            yaml.load(text, yaml.CSafeLoader) for name, text in texts.items() if name.startswith(ROUTER_FILES)
        ]
    return documents


def _texts(definitions: Definitions) -> dict[str, str]:
    """Fetch definitions that the lab's cache lacks."""
    go = shutil.which("go")
    if go is None:
        raise AssetsMissing(f"contract tests need {definitions.title}: run `make assets`")
    command = [go, *definitions.download]
    result = subprocess.run(command, cwd=definitions.source, capture_output=True, text=True, check=True)
    return definitions.texts(result.stdout)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Kube]:
    """Run etcd and kube-apiserver with their state in `folder`; yields a client with every right.

    Our resource definition and those of Gateway API, Traefik and Istio are installed.
    """
    programs = assets()
    token = secrets.token_urlsafe(24)
    client_port, peer_port, port = _free_ports(3)
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(_process(_etcd(programs, folder, client_port, peer_port), folder / "etcd.log"))
        command = _api_server(programs, folder, client_port, port, token)
        server = stack.enter_context(_process(command, folder / "kube-apiserver.log"))
        url = f"https://127.0.0.1:{port}"
        _wait("the API server's certificate", (folder / "pki" / "apiserver.crt").exists, etcd, server)
        client = stack.enter_context(_client(url, token, folder / "pki" / "apiserver.crt"))
        _wait("the API server", lambda: _answers(client), etcd, server)
        kube = Kube(url, token, _kubeconfig(folder, url, token), programs / "kubectl", client)
        names = [_install(kube, one) for one in (yaml.load(CRD_FILE.read_text(), yaml.CSafeLoader), *router_crds())]
        _wait("a resource definition", lambda: all(_established(kube, name) for name in names), etcd, server)
        yield kube


def _etcd(programs: Path, folder: Path, client_port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(programs / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def _api_server(programs: Path, folder: Path, etcd_port: int, port: int, token: str) -> list[str]:
    key, tokens = folder / "service-account.key", folder / "tokens.csv"
    key.write_text(_signing_key())
    tokens.write_text(f"{token},admin,admin,system:masters\n")
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--cert-dir={folder / 'pki'}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/16",  # many tests, each with Services of its own
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        # No controller makes the accounts that this plugin wants to see before it admits a pod.
        "--disable-admission-plugins=ServiceAccount",
        "--watch-cache-sizes=",
        "--profiling=false",
    ]


def _signing_key() -> str:
    """Return a fresh P-256 key as PEM (RFC 5915); readers derive the public half."""
    secret = bytes([secrets.randbelow(255)]) + secrets.token_bytes(31)
    der = bytes.fromhex("30310201010420") + secret + bytes.fromhex("a00a06082a8648ce3d030107")
    label = "EC PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


def _kubeconfig(folder: Path, url: str, token: str) -> Path:
    cluster = {"server": url, "certificate-authority": str(folder / "pki" / "apiserver.crt")}
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            }
        )
    )
    return path


def _client(url: str, token: str, certificate: Path) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(certificate))
    # The certificate that the API server signs for itself carries no key identifiers.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, verify=context, timeout=20.0, trust_env=False)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    # Where a test run is killed, the kernel ends what it started.
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("w") as output, _popen([*guard, *command], output) as process:
        try:
            yield process
        finally:
            # Asked politely, an API server drains for a minute; nothing here is worth keeping.
            process.kill()


def _popen(command: list[str], output: TextIO) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "GOGC": "400"}  # short-lived and small: hardly worth collecting its garbage
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)


def _wait(what: str, condition: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{what}: {process.args!r} ended with code {process.returncode}; see its log")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} is not there after {START_SECONDS:.0f} s")
        time.sleep(0.05)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _install(kube: Kube, definition: dict[str, Any]) -> str:
    return str(kube.apply(definition)["metadata"]["name"])


def _established(kube: Kube, name: str) -> bool:
    found = kube.get("CustomResourceDefinition", name, api="apiextensions.k8s.io/v1")
    conditions = found.get("status", {}).get("conditions") or []
    established = any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
    return established and all(_listed(kube, found, one["name"]) for one in found["spec"]["versions"] if one["served"])


def _listed(kube: Kube, definition: dict[str, Any], version: str) -> bool:
    """Say whether objects can be listed: for a moment after it is established, a kind is still set up."""
    spec = definition["spec"]
    try:
        kube.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}")
    except KubeError as error:
        if error.code not in (httpx.codes.NOT_FOUND, httpx.codes.TOO_MANY_REQUESTS):
            raise
        return False
    return True
