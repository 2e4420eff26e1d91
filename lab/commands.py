"""What each command does."""

import argparse
import os
import shlex
from pathlib import Path

from lab import preflight, teardown
from lab import status as status_
from lab.cluster import Cluster
from lab.demo.command import demo as play
from lab.errors import LabError
from lab.node import Node
from lab.parts import ASSETS, Parts
from lab.paths import Paths
from lab.preflight import locked
from lab.progress import Progress

LOCK = Path("/run/modelrollout-lab.lock")  # beside the folder that `down` removes


def assets(paths: Paths, _: argparse.Namespace) -> int:
    """Build the programs that tests against a real API server need; print their folder."""
    parts = Parts(paths)
    missing = parts.missing(ASSETS)
    if missing:
        progress = Progress("assets", len(missing), paths.logs)
        with locked(paths.cache / "lock", progress):
            parts.build(parts.missing(ASSETS), progress)
    print(parts.bin("kube"))
    return 0


def up(paths: Paths, arguments: argparse.Namespace) -> int:
    """Bring the lab up; print the kubeconfig's path as the last line."""
    _bring_up(paths, bare=arguments.bare)
    print(paths.kubeconfig)
    return 0


def demo(paths: Paths, arguments: argparse.Namespace) -> int:
    """Play the demo, in the lab or in the cluster of the current kubeconfig."""
    return play(paths, arguments, lambda: _bring_up(paths, bare=False))


def _bring_up(paths: Paths, *, bare: bool) -> None:
    preflight.check_machine()
    progress = Progress("up", 0, paths.logs)
    with locked(LOCK, progress), locked(paths.cache / "lock", progress):
        Cluster(paths, bare=bare).up(progress)
    progress.print(f'the lab is up after {progress.seconds:.1f} s; for a shell: eval "$(python3 -m lab env)"')


def down(paths: Paths, arguments: argparse.Namespace) -> int:
    """End the lab."""
    preflight.check_machine()
    progress = Progress("down", 1, paths.logs)
    with locked(LOCK, progress):
        preflight.check_owner(paths)
        with progress.step("end the cluster"):
            teardown.end(paths, purge=arguments.purge)
    return 0


def status(paths: Paths, arguments: argparse.Namespace) -> int:
    """Tell what runs; the exit code is 0 only if the whole cluster does."""
    _need_root_to_see(paths)
    facts = status_.collect(paths, Node(paths, Parts(paths).bin("kube")))
    print(status_.render(facts, as_json=arguments.output == "json"))
    return 0 if facts["ready"] and facts["running"] else 1


def env(paths: Paths, _: argparse.Namespace) -> int:
    """Print what a shell needs to talk to the lab."""
    _need_root_to_see(paths)
    if not paths.kubeconfig.exists():
        raise LabError("no cluster here: run `python3 -m lab up` first")
    parts = Parts(paths)
    print(f"export KUBECONFIG={shlex.quote(str(paths.kubeconfig))}")
    print(f'export PATH={shlex.quote(str(parts.bin("kube")))}:{shlex.quote(str(parts.bin("helm")))}:"$PATH"')
    return 0


def _need_root_to_see(paths: Paths) -> None:
    if os.geteuid() != 0:
        raise LabError(f"{paths.state} is readable by root alone: run this with sudo")
