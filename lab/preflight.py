"""Checks before any work: each says in one line what is missing and what to do instead."""

import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import LabError
from lab.paths import LINK_NET, POD_NET, SERVICE_NET, Paths
from lab.progress import Progress, Step

INSTEAD = "use a cluster you have instead: `make demo CLUSTER=current` with kind, k3d or any kubeconfig"

# Debian package -> a program of it that tells whether it is installed.
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "iptables",
    "iproute2": "ip",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "util-linux": "nsenter",
}
CGROUPS = ("cpu", "memory", "pids")
POLICY = Path("/usr/sbin/policy-rc.d")


def find_program(name: str) -> str | None:
    """Return a program's path, looking where a user's PATH may not reach."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin")


def check_machine() -> None:
    """Raise LabError unless this machine can run a node."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise LabError(f"the lab needs Linux on x86_64 or aarch64, this is {platform.platform()}; {INSTEAD}")
    if os.geteuid() != 0:
        raise LabError(f"the lab's node needs root: run it with sudo, or {INSTEAD}")
    available = cgroup_controllers()
    lacking = [name for name in CGROUPS if name not in available]
    if lacking:
        raise LabError(f"the kernel offers no cgroup controller {', '.join(lacking)} here; {INSTEAD}")


def cgroup_controllers() -> set[str]:
    """Return the cgroup controllers that are mounted, of version 1 and 2."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return set(unified.read_text().split())
    root = Path("/sys/fs/cgroup")
    return {path.name for path in root.iterdir()} if root.is_dir() else set()


def check_networks(routes: list[str]) -> None:
    """Raise LabError if one of the host's routes (destinations) overlaps the lab's networks."""
    ours = [IPv4Network(net) for net in (LINK_NET, POD_NET, SERVICE_NET)]
    for route in routes:
        try:
            theirs = IPv4Network(route)
        except ValueError:  # "default", "unreachable" and the like
            continue
        taken = next((net for net in ours if net.overlaps(theirs)), None)
        if taken is not None:
            raise LabError(f"the lab's network {taken} is taken by this machine's route {route}; {INSTEAD}")


def missing_packages() -> list[str]:
    """Return the Debian packages that still have to be installed."""
    missing = [name for name, program in PACKAGES.items() if find_program(program) is None]
    return missing if find_spec("pip") else [*missing, "python3-pip"]


def install_packages(names: list[str], step: Step) -> None:
    """Install Debian packages without starting any service they bring."""
    if find_program("apt-get") is None:
        raise LabError(
            f"missing {', '.join(names)}, and only Debian's apt-get is known here; install them or {INSTEAD}"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    patient = ["-q", "-o", "DPkg::Lock::Timeout=120"]
    with _services_stay_off():
        step.run(["dpkg", "--configure", "-a"], env=quiet)
        step.run(["apt-get", "update", *patient], env=quiet)
        step.run(["apt-get", "install", *patient, "-y", "--no-install-recommends", *names], env=quiet)


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Keep packages from starting their services; a policy that the machine has stays untouched."""
    text = "#!/bin/sh\n# Written by modelrollout's lab while it installs packages.\nexit 101\n"
    if POLICY.exists() and POLICY.read_text() != text:
        yield
        return
    POLICY.write_text(text)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextmanager
def locked(file: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock while the block runs; wait, and say so, while another run holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.print(f"another run of the lab holds {file}, waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def check_owner(paths: Paths) -> None:
    """Raise LabError if a lab with another state folder uses this machine's one network."""
    owner = paths.run / "state"
    if owner.exists() and owner.read_text() != str(paths.state):
        other = owner.read_text()
        raise LabError(
            f"a lab with the state folder {other} exists: run `MODELROLLOUT_LAB_STATE={other} python3 -m lab down`"
        )
