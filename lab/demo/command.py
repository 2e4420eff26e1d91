"""`python3 -m lab demo`: sets the stage, plays, and clears away."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.demo.current import current_stage
from lab.demo.stage import Stage, lab_stage
from lab.demo.story import NAMESPACE, Demo
from lab.demo.timeline import Timeline
from lab.errors import LabError
from lab.paths import Paths


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the demo."""
    parser.add_argument(
        "--cluster",
        choices=("lab", "current"),
        default="lab",
        help="lab: on this machine, brought up if it is not; current: what the current kubeconfig names",
    )
    parser.add_argument("--keep", action="store_true", help="leave everything in place to look at")
    foreign = parser.add_argument_group("with --cluster current")
    foreign.add_argument(
        "--images", metavar="PREFIX", help="where the cluster pulls PREFIX/{operator,model-server,load}:dev from"
    )
    foreign.add_argument(
        "--gateway", metavar="NAMESPACE/NAME", help="a Traefik Gateway to use; else one is found, else installed"
    )
    foreign.add_argument("--gateway-url", metavar="URL", help="where that Gateway answers inside the cluster")


def demo(paths: Paths, arguments: argparse.Namespace, bring_up: Callable[[], None]) -> int:
    """Play the demo; the exit code is 0 only if both versions ended as they should.

    `bring_up` boots or repairs the lab.
    """
    with _stage(paths, arguments, bring_up) as stage:
        timeline = Timeline()
        play = Demo(stage, timeline)
        try:
            good = play.play()
        finally:
            if arguments.keep:
                timeline.print("", f"left in place: namespace {NAMESPACE}; `kubectl delete namespace {NAMESPACE}`")
            else:
                timeline.print("", f"removing namespace {NAMESPACE}")
                play.end()
    if not good:
        raise LabError("the demo did not end as it should: version 2 must be promoted, version 3 rolled back")
    timeline.print("done: the good version serves, the bad one was stopped")
    return 0


@contextmanager
def _stage(paths: Paths, arguments: argparse.Namespace, bring_up: Callable[[], None]) -> Iterator[Stage]:
    if arguments.cluster == "lab":
        bring_up()
        yield lab_stage(paths)
        return
    with current_stage(paths, arguments) as stage:
        yield stage
