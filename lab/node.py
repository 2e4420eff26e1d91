"""The node: its programs, how they start and how one knows that they are ready."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lab import configuration, network, teardown
from lab.filesystem import carries_overlay
from lab.paths import API_PORT, API_SERVER, HOST_IP, NAMESPACE, NODE, NODE_IP, SERVICE_NET, Paths
from lab.preflight import find_program
from lab.processes import Daemon, kill
from lab.progress import Step

POLL = 0.1
# A process cannot be recognised in the moment in which it becomes another program, which nsenter does.
LOOKS = 5
# Part -> parts whose clients it holds.
DEPENDS = {
    "kube-apiserver": ("etcd",),
    "kube-controller-manager": ("kube-apiserver",),
    "kube-scheduler": ("kube-apiserver",),
    "kubelet": ("kube-apiserver", "containerd"),
    "kube-proxy": ("kube-apiserver",),
}
# A fifth of the API server's work would be collecting garbage, of a heap that is small beside what the machine has.
SETTINGS = {"kube-apiserver": {"GOGC": "300"}}


def boot_id() -> str:
    """Return the running kernel's boot id; after a reboot nothing of the state holds."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def wait(step: Step, what: str, ready: Callable[[], bool], daemon: Daemon, seconds: float = 120) -> None:
    """Wait until `ready()`; raise StepError if the daemon dies or the time is over."""
    deadline = time.monotonic() + seconds
    missed = 0
    while not ready():
        if time.monotonic() > deadline:
            raise step.failed(f"{what} was not ready after {seconds:.0f} s", daemon.log)
        missed = missed + 1 if daemon.find() is None else 0
        if missed == LOOKS and not ready():
            raise step.failed(f"{daemon.name} ended", daemon.log)
        time.sleep(POLL)


class Api:
    """A few reads of the API server, for the time before kubectl has something to wait for."""

    def __init__(self, paths: Paths) -> None:
        self.certificate = paths.state / "pki" / "apiserver.crt"
        self.tokens = paths.state / "tokens.csv"

    def get(self, path: str) -> str | None:
        """Return the answer's body, None if there is none yet."""
        try:
            token = self.tokens.read_text().split(",")[0]
            context = ssl.create_default_context(cafile=str(self.certificate))
            connection = http.client.HTTPSConnection(NODE_IP, API_PORT, timeout=2, context=context)
            with closing(connection):
                connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                body = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        return body if answer.status == 200 else None

    def ready(self) -> bool:
        """Tell whether the API server answers as ready."""
        return self.get("/readyz") == "ok"

    def has(self, path: str) -> bool:
        """Tell whether an object exists."""
        return self.get(path) is not None

    def node_ready(self) -> bool:
        """Tell whether the node's Ready condition is True."""
        body = self.get(f"/api/v1/nodes/{NODE}")
        conditions = json.loads(body)["status"].get("conditions", []) if body else []
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


class Node:
    """All programs of the cluster on this machine."""

    def __init__(self, paths: Paths, programs: Path) -> None:
        self.paths = paths
        self.programs = programs
        self.api = Api(paths)
        self.started: set[str] = set()
        self.daemons = {daemon.name: daemon for daemon in self._daemons()}

    def _daemon(self, name: str, program: str | Path, *arguments: str) -> Daemon:
        argv = [program, *arguments]
        log, settings = self.paths.daemon_logs / f"{name}.log", SETTINGS.get(name, {})
        return Daemon(name, argv, log, str(self.paths.state), settings)

    def _daemons(self) -> list[Daemon]:
        state, bin_ = self.paths.state, self.programs
        pki = state / "pki"
        containerd = find_program("containerd") or "containerd"
        return [
            self._daemon(
                "etcd",
                bin_ / "etcd",
                f"--data-dir={state}/etcd",
                "--unsafe-no-fsync",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--log-level=warn",
            ),
            self._daemon("containerd", containerd, f"--config={state}/containerd.toml"),
            self._daemon("kube-apiserver", bin_ / "kube-apiserver", *self._api_flags()),
            self._daemon(
                "kube-controller-manager",
                bin_ / "kube-controller-manager",
                f"--kubeconfig={state}/controller-manager.kubeconfig",
                f"--authentication-kubeconfig={state}/controller-manager.kubeconfig",
                f"--authorization-kubeconfig={state}/controller-manager.kubeconfig",
                f"--root-ca-file={pki}/apiserver.crt",
                f"--service-account-private-key-file={pki}/service-accounts.key",
                f"--cert-dir={pki}",
                "--use-service-account-credentials",
                "--leader-elect=false",
            ),
            self._daemon(
                "kube-scheduler",
                bin_ / "kube-scheduler",
                f"--kubeconfig={state}/scheduler.kubeconfig",
                f"--authentication-kubeconfig={state}/scheduler.kubeconfig",
                f"--authorization-kubeconfig={state}/scheduler.kubeconfig",
                "--leader-elect=false",
            ),
            self._daemon(
                "kubelet",
                bin_ / "kubelet",
                f"--config={state}/kubelet.json",
                f"--kubeconfig={state}/kubelet.kubeconfig",
                f"--root-dir={state}/kubelet",
                f"--cert-dir={pki}/kubelet",
                f"--hostname-override={NODE}",
                f"--node-ip={NODE_IP}",
            ),
            self._daemon(
                "kube-proxy",
                bin_ / "kube-proxy",
                f"--config={state}/proxy.json",
                f"--hostname-override={NODE}",
            ),
        ]

    def _api_flags(self) -> list[str]:
        state, pki = self.paths.state, self.paths.state / "pki"
        return [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--cert-dir={pki}",
            f"--bind-address={NODE_IP}",
            f"--advertise-address={NODE_IP}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_NET}",
            f"--token-auth-file={state}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged",
            f"--audit-policy-file={state}/audit-policy.json",
            f"--audit-log-path={self.paths.audit_log}",
            "--audit-log-maxsize=1024",
            "--audit-log-maxbackup=1",
            "--audit-log-mode=blocking",
        ]

    def is_repairable(self) -> bool:
        """Tell whether a cluster of this boot exists, so that missing parts can join it."""
        mark = self.paths.state / "booted"
        return mark.exists() and mark.read_text() == boot_id() and network.is_up()

    def prepare(self, step: Step) -> None:
        """Make network and files for a new cluster, after removing all of an old one."""
        teardown.end(self.paths)
        self.paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration.write(self.paths.run / "state", str(self.paths.state))
        network.create(step)
        for folder in teardown.cgroup_folders():
            folder.mkdir(exist_ok=True)
            _inherit_cpuset(folder)
        tokens = configuration.write_tokens(self.paths)
        configuration.write_json(self.paths.state / "tokens.json", tokens)
        configuration.write_keys(self.paths, step)
        configuration.write_static(self.paths, self.snapshotter)
        # The kept image store also holds records of containers whose cluster is gone.
        configuration.write(self.paths.state / "stale-containers", "")
        configuration.write(self.paths.state / "booted", boot_id())

    @property
    def snapshotter(self) -> str:
        """Containerd's way to stack layers: overlayfs if the file system can carry it."""
        for name in ("overlayfs", "native"):
            folder = self.paths.images / f"io.containerd.snapshotter.v1.{name}"
            if (folder / "snapshots").exists():
                return name
        return "overlayfs" if carries_overlay(self.paths.images) else "native"

    def start(self, name: str) -> None:
        """Start a part unless it runs; restart it if something it depends on was just started.

        The parts' clients would find their way back too, but back off for up to two minutes.
        """
        daemon = self.daemons[name]
        running = daemon.find()
        if running is not None and self.started.isdisjoint(DEPENDS.get(name, ())):
            return
        if running is not None:
            kill([running], daemon.owner, grace=0)
        daemon.start(NAMESPACE)
        self.started.add(name)

    def control_plane(self, step: Step) -> None:
        """Start etcd, containerd and the API server; return when the API server is ready."""
        for name in ("etcd", "containerd", "kube-apiserver"):
            self.start(name)
        wait(step, "the API server", self.api.ready, self.daemons["kube-apiserver"])
        tokens = json.loads((self.paths.state / "tokens.json").read_text())
        certificate = self.api.certificate.read_bytes()
        for name, token in tokens.items():
            configuration.write_json(self.paths.state / name, configuration.kubeconfig(certificate, token))
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.start(name)

    def runtime(self, step: Step) -> None:
        """Wait for containerd and drop container records of a cluster that is gone."""
        wait(step, "containerd", lambda: self.ctr_ok(step), self.daemons["containerd"])
        stale = self.paths.state / "stale-containers"
        if stale.exists():
            names = step.run(self.ctr("containers", "list", "--quiet")).split()
            if names:
                step.run(self.ctr("containers", "remove", *names))
            stale.unlink()

    def ctr(self, *arguments: str) -> list[str]:
        """Return a command for containerd's client in the kubelet's namespace."""
        return ["ctr", "--address", str(self.paths.socket), "--namespace", "k8s.io", *arguments]

    def ctr_ok(self, step: Step) -> bool:
        """Tell whether containerd answers, its image service included."""
        return step.succeeds([*self.ctr(), "images", "list", "--quiet"])

    def workers(self, step: Step) -> None:
        """Start the kubelet and kube-proxy; return when the node is Ready."""
        self.start("kubelet")
        self.start("kube-proxy")
        wait(step, "the node", self.api.node_ready, self.daemons["kubelet"])
        # A pod made before its ServiceAccount is refused.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait(step, "the default ServiceAccount", lambda: self.api.has(account), self.daemons["kube-controller-manager"])
        step.say(f"API server at {API_SERVER}, reached from {HOST_IP}")


def _inherit_cpuset(folder: Path) -> None:
    """Give a new cpuset cgroup of version 1 its parent's processors: it starts with none."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and not file.read_text().strip():
            file.write_text((folder.parent / name).read_text())
