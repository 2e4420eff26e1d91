"""Where the lab keeps its things, and the fixed numbers of its cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parent

NODE = "lab"
NAMESPACE = "modelrollout-lab"  # network namespace and cgroup
HOST_IP = "10.213.0.1"
NODE_IP = "10.213.0.2"
LINK_NET = "10.213.0.0/24"
POD_NET = "10.214.0.0/16"
SERVICE_NET = "10.215.0.0/16"
DNS_IP = "10.215.0.10"
API_PORT = 6443
API_SERVER = f"https://{NODE_IP}:{API_PORT}"
GATEWAY = "http://10.215.0.80"  # the last three are set in manifests/lab
ENVOY_GATEWAY = "http://10.215.0.81"
PROMETHEUS = "http://10.215.0.90:9090"


@dataclass(frozen=True)
class Paths:
    """The lab's folders: `cache` survives, `state` and `run` belong to one cluster."""

    cache: Path
    state: Path
    run: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """Read MODELROLLOUT_LAB_CACHE and MODELROLLOUT_LAB_STATE, or their defaults."""
        environ = os.environ
        home = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(
            cache=Path(environ.get("MODELROLLOUT_LAB_CACHE") or home / "modelrollout-lab"),
            state=Path(environ.get("MODELROLLOUT_LAB_STATE") or "/var/lib/modelrollout-lab"),
            run=Path("/run/modelrollout-lab"),
        )

    @property
    def logs(self) -> Path:
        """Logs of the lab's own steps."""
        return self.cache / "logs"

    @property
    def daemon_logs(self) -> Path:
        """Logs of the cluster's parts, one file each."""
        return self.state / "logs"

    @property
    def images(self) -> Path:
        """Containerd's store: kept over `down`, so that images load once."""
        return self.state / "containerd"

    @property
    def socket(self) -> Path:
        """The socket of the lab's own containerd."""
        return self.run / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON line for each request that the API server answered."""
        return self.state / "audit.log"
