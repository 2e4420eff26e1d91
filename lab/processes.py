"""The cluster's long-running programs, found by a mark in their environment.

A pid file can be stale, or missing when its writer was killed; the environment of a
process cannot. Every program of the lab carries the state folder's path in MARK, and
signals go through a pidfd after a second look, so a reused pid is never hit.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "MODELROLLOUT_LAB_OWNER"
PART = "MODELROLLOUT_LAB_PART"
ENTER = "nsenter"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Process:
    """A live process; `started` is in clock ticks since boot and makes a pid unique."""

    pid: int
    started: int
    command: str
    part: str

    @property
    def age(self) -> float:
        """Seconds since the process started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / os.sysconf("SC_CLK_TCK")


def parse_stat(text: str) -> tuple[str, int]:
    """Return (state letter, start time in ticks) from the text of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()  # the command before it may hold spaces and brackets
    return fields[0], int(fields[19])


def parse_environ(data: bytes) -> dict[str, str]:
    """Return the variables in the bytes of /proc/PID/environ."""
    pairs = (item.partition(b"=") for item in data.split(b"\0") if item)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def inspect(pid: int, owner: str, proc: Path = Path("/proc")) -> Process | None:
    """Return the process of that pid if it is alive and belongs to the lab `owner`."""
    folder = proc / str(pid)
    try:
        environ = parse_environ((folder / "environ").read_bytes())
        if environ.get(MARK) != owner:
            return None
        state, started = parse_stat((folder / "stat").read_text())
        command = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:  # it ended meanwhile, or is a kernel thread
        return None
    if state in "ZX":
        return None
    return Process(pid, started, Path(command).name, environ.get(PART, ""))


def owned(owner: str) -> list[Process]:
    """Return all live processes of the lab `owner`, those that its parts started too."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [found for pid in pids if (found := inspect(pid, owner)) is not None]


def kill(processes: Iterable[Process], owner: str, *, grace: float, limit: float = 20) -> list[Process]:
    """End processes: SIGTERM, SIGKILL after `grace` seconds; return those alive after `limit`."""
    with_fd: list[tuple[Process, int]] = []
    for process in processes:
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(process.pid)
            if inspect(process.pid, owner) == process:
                with_fd.append((process, fd))
            else:
                os.close(fd)
    if grace > 0:
        _signal(with_fd, signal.SIGTERM)
    began = time.monotonic()
    alive = _wait(with_fd, grace)
    _signal(alive, signal.SIGKILL)
    alive = _wait(alive, limit - (time.monotonic() - began))
    for _, fd in with_fd:
        os.close(fd)
    return [process for process, _ in alive]


def _signal(processes: list[tuple[Process, int]], number: signal.Signals) -> None:
    for _, fd in processes:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)


def _wait(processes: list[tuple[Process, int]], seconds: float) -> list[tuple[Process, int]]:
    """Wait for ends, at most `seconds` in all; return the processes still alive."""
    deadline = time.monotonic() + seconds
    alive = list(processes)
    while alive and (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([fd for _, fd in alive], [], [], left)
        alive = [pair for pair in alive if pair[1] not in ready]
    return alive


@dataclass(frozen=True)
class Daemon:
    """One long-running program of the cluster."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    owner: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it finds in its environment, besides the mark."""

    def find(self) -> Process | None:
        """Return its process if it runs."""
        programs = (Path(self.argv[0]).name, ENTER)  # for its first moment it is still the latter
        matches = (process for process in owned(self.owner) if process.part == self.name)
        return next((process for process in matches if process.command in programs), None)

    def start(self, netns: str) -> None:
        """Start it in a network namespace, detached from this terminal."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # Entered without `ip netns exec`: that remounts /sys and hides the cgroups.
        enter = [ENTER, f"--net=/run/netns/{netns}"]
        with self.log.open("ab") as log:
            subprocess.Popen(
                [*enter, *map(str, self.argv)],
                env={**self.settings, "PATH": PATH, "HOME": "/", MARK: self.owner, PART: self.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
