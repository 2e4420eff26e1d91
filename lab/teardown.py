"""Ending a cluster, whatever state it is in, and leaving nothing behind."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lab import network
from lab.errors import LabError
from lab.paths import NAMESPACE, Paths
from lab.processes import kill, owned

CGROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOGS = Path("/var/log/containers")  # the kubelet writes its links there whatever its settings


def cgroup_folders() -> list[Path]:
    """Return the lab's cgroup in each mounted hierarchy, existing or not."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / NAMESPACE]
    return [folder / NAMESPACE for folder in CGROUPS.iterdir() if folder.is_dir() and not folder.is_symlink()]


def _cgroup_tree() -> Iterator[Path]:
    """Yield all folders under the lab's cgroups, children before their parents."""
    for top in cgroup_folders():
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)


def _kill_containers() -> None:
    """Kill what runs in the lab's cgroups: containers do not carry the lab's mark."""
    pids = set()
    for folder in _cgroup_tree():
        with suppress(OSError):
            pids.update((folder / "cgroup.procs").read_text().split())
    for pid in pids - {"0"}:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _remove_cgroups(seconds: float = 5) -> None:
    """Remove the cgroups; killed processes take a moment to leave them."""
    deadline = time.monotonic() + seconds
    while (folders := list(_cgroup_tree())) and time.monotonic() < deadline:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        time.sleep(0.05)


def mounts_under(folders: tuple[Path, ...], table: str) -> list[str]:
    """Return the mount points under `folders` in the text of /proc/mounts, deepest first."""
    points = (line.split()[1].encode().decode("unicode_escape") for line in table.splitlines())
    tops = tuple(f"{folder}/" for folder in folders)
    return sorted((point for point in points if f"{point}/".startswith(tops)), key=len, reverse=True)


def _unmount(folders: tuple[Path, ...]) -> None:
    for point in mounts_under(folders, Path("/proc/mounts").read_text()):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def end(paths: Paths, *, purge: bool = False) -> None:
    """End the cluster and remove its state; images stay loaded unless `purge`.

    Raise LabError if a process survives SIGKILL.
    """
    owner = str(paths.state)
    containerd = [process for process in owned(owner) if process.command == "containerd"]
    others = [process for process in owned(owner) if process not in containerd]
    stuck = kill(others, owner, grace=0)
    _kill_containers()
    # containerd's store is kept, so it may close it in peace.
    stuck += kill(containerd, owner, grace=5)
    stuck += kill(owned(owner), owner, grace=0)
    if stuck:
        names = ", ".join(f"{process.command} ({process.pid})" for process in stuck)
        raise LabError(f"still alive after SIGKILL: {names}; run `python3 -m lab down` again")
    _unmount((paths.state, paths.run))
    _remove_cgroups()
    network.remove()
    _remove_files(paths, purge)


def _remove_shim_sockets(paths: Paths) -> None:
    """Remove the sockets that killed shims left in containerd's shared folder."""
    for file in paths.run.glob("containerd/io.containerd.runtime.v2.task/*/*/address"):
        Path(file.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _remove_files(paths: Paths, purge: bool) -> None:
    _remove_shim_sockets(paths)
    shutil.rmtree(paths.run, ignore_errors=True)
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(paths.state):
                link.unlink()
    if not paths.state.is_dir():
        return
    for entry in paths.state.iterdir():
        if entry == paths.images and not purge:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
