"""Files that the cluster's parts read; JSON is YAML too, so no YAML writer is needed."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from lab.paths import API_SERVER, DNS_IP, NAMESPACE, NODE, POD_NET, Paths
from lab.progress import Step

PAUSE_IMAGE = "docker.io/modelrollout/lab-pause:dev"

# File name of the kubeconfig -> (user, group) that its token stands for.
USERS = {
    "kubeconfig": ("admin", "system:masters"),
    "controller-manager.kubeconfig": ("system:kube-controller-manager", ""),
    "scheduler.kubeconfig": ("system:kube-scheduler", ""),
    "kubelet.kubeconfig": (f"system:node:{NODE}", "system:nodes"),
    "proxy.kubeconfig": ("system:kube-proxy", ""),
}


def write(file: Path, content: str) -> None:
    """Write a file that only root reads, whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(content)
    new.replace(file)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that only root reads."""
    write(file, json.dumps(content, indent=2) + "\n")


def write_tokens(paths: Paths) -> dict[str, str]:
    """Make a token for each user, write the API server's list, return file name -> token."""
    tokens = {name: secrets.token_hex(16) for name in USERS}
    lines = [f'{tokens[name]},{user},{user},"{group}"' for name, (user, group) in USERS.items()]
    write(paths.state / "tokens.csv", "\n".join(lines) + "\n")
    return tokens


def write_keys(paths: Paths, step: Step) -> None:
    """Make the service accounts' key and the API server's certificate for the kubelet."""
    pki = paths.state / "pki"
    pki.mkdir(mode=0o700, exist_ok=True)
    step.run(["openssl", "genrsa", "-out", pki / "service-accounts.key", "2048"])
    subject = "/O=system:masters/CN=kube-apiserver-kubelet-client"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", subject]
    step.run([*request, "-keyout", pki / "kubelet-client.key", "-out", pki / "kubelet-client.crt"])


def kubeconfig(certificate: bytes, token: str) -> dict[str, Any]:
    """Return a kubeconfig for one token; `certificate` is what the API server serves."""
    cluster = {"server": API_SERVER, "certificate-authority-data": base64.b64encode(certificate).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": "default"}}],
        "current-context": "lab",
    }


def write_static(paths: Paths, snapshotter: str) -> None:
    """Write every file whose content is known before anything runs."""
    write_json(paths.state / "audit-policy.json", audit_policy())
    write_json(paths.state / "kubelet.json", kubelet(paths))
    write_json(paths.state / "proxy.json", proxy(paths))
    write(paths.state / "containerd.toml", containerd(paths, snapshotter))
    # Pods ask the cluster's DNS, which answers for the cluster's names alone.
    write(paths.state / "resolv.conf", "")
    cni = paths.state / "cni"
    cni.mkdir(exist_ok=True)
    write_json(cni / "10-lab.conflist", pod_network(paths))


def audit_policy() -> dict[str, Any]:
    """Return a policy that logs each request once, when it was answered."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }


def kubelet(paths: Paths) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.state / "pki" / "kubelet-client.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{paths.socket}",
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(paths.state / "resolv.conf"),
        "podLogsDir": str(paths.state / "pod-logs"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{NAMESPACE}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # A full disk of the machine must not evict the lab's pods.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }


def proxy(paths: Paths) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_NET,
        "clientConnection": {"kubeconfig": str(paths.state / "proxy.kubeconfig")},
        # The conntrack table is the machine's, not ours to size.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "200ms", "syncPeriod": "30s"},
    }


def containerd(paths: Paths, snapshotter: str) -> str:
    """Return the configuration of a containerd of our own, apart from the machine's."""
    return f"""\
version = 2
root = "{paths.images}"
state = "{paths.run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{paths.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{paths.images}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Where CAP_SYS_RESOURCE is missing no score can be lowered, and every sandbox would die.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{paths.run}/runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{paths.state}/cni"
"""


def pod_network(paths: Paths) -> dict[str, Any]:
    """Return the pods' network: routed veth pairs, so that all traffic meets kube-proxy's rules."""
    addresses = {"type": "host-local", "dataDir": str(paths.state / "cni-addresses"), "subnet": POD_NET}
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]}}],
    }
