"""The command line: `python -m benchmarks.soak`; `make soak` brings the lab up first."""

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.support.cells import Cell, cells

from benchmarks.lab import Lab, connect
from benchmarks.report import BenchmarkError, table
from benchmarks.soak.play import Outcome, Play
from benchmarks.soak.shadow import Cost, cost

HEAD: Final = ("strategy", "router", "event", "ended", "seconds", "requests", "failed", "own", "writes", "of route")


def main() -> int:
    """Soak; the exit code is 0 when no request failed but by a candidate's own fault, and every rollout ended right."""
    arguments = _parser().parse_args()
    chosen = [cell for cell in cells() if all(word in cell.name for word in arguments.only.split())]
    if not chosen:
        print(f"soak: no cell is named {arguments.only!r}; there are {', '.join(c.name for c in cells())}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces are removed then, too
    outcomes: list[Outcome] = []
    costs: list[Cost] = []
    faults: list[str] = []
    try:
        with connect() as lab, ThreadPoolExecutor(arguments.parallel) as pool:
            jobs = [pool.submit(_soak, lab, cell, arguments, outcomes) for cell in chosen]
            found = [job.result() for job in jobs]
            # Alone, one after another: what other rollouts do to latency is not the shadow's doing.
            found += [_cost(lab, cell, arguments, costs) for cell in chosen if cell.strategy.name == "shadow"]
            faults = [fault for fault in found if fault is not None]
    except BenchmarkError as error:
        faults.append(str(error))
    print(_table(outcomes))
    for one in costs:
        print(f"{one.cell}: users' p99 with a shadow over without: {one.ratio:.2f}")
    if arguments.json:
        numbers = {"outcomes": [asdict(one) for one in outcomes], "shadow": [asdict(one) for one in costs]}
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")
    for fault in faults:
        print(f"soak: {fault}", file=sys.stderr)
    return 1 if faults or not all(one.fine for one in outcomes) else 0


def _soak(lab: Lab, cell: Cell, arguments: argparse.Namespace, outcomes: list[Outcome]) -> str | None:
    """Play one cell through; returns what kept it from its end, if anything."""

    def play_all(play: Play) -> None:
        for event, act in play.events():
            if not arguments.events or event in arguments.events:
                outcomes.append(play.run(event, act))
                print(" ".join(_line(outcomes[-1])), file=sys.stderr, flush=True)

    only_cost = arguments.events == ["cost"]
    return None if only_cost else _with(lab, cell, arguments, play_all)


def _cost(lab: Lab, cell: Cell, arguments: argparse.Namespace, costs: list[Cost]) -> str | None:
    """Measure what a shadow costs users; returns what kept it from its end, if anything."""
    if arguments.events and "cost" not in arguments.events:
        return None
    return _with(lab, cell, arguments, lambda play: costs.append(cost(play)))


def _with(lab: Lab, cell: Cell, arguments: argparse.Namespace, act: Callable[[Play], None]) -> str | None:
    name = "soak-" + cell.name.replace(" ", "-").replace("/", "-")
    try:
        with lab.namespace(name) as namespace:
            play = Play(lab, cell, namespace, arguments.rate, arguments.seed)
            act(play)
            play.stop()
    except Exception as error:
        return f"{cell.name}: {error}\n{traceback.format_exc(limit=3)}"
    return None


def _line(one: Outcome) -> tuple[str, ...]:
    strategy, router = one.cell.split(" ", 1)
    numbers = (one.seconds, one.requests, one.failed, one.own, one.writes, one.route_writes)
    return (strategy, router, one.event, one.ended, *map(str, numbers))


def _table(outcomes: Sequence[Outcome]) -> str:
    return table([HEAD, *map(_line, sorted(outcomes, key=lambda one: one.cell))])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="only cells whose name holds all of these words")
    parser.add_argument(
        "--events",
        nargs="*",
        metavar="EVENT",
        help="only these: good, bad, ..., and cost: of a shadow for users",
    )
    parser.add_argument("--rate", type=int, default=100, help="requests a second for each rollout")
    parser.add_argument("--parallel", type=int, default=1, help="cells at a time")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which the operator is killed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
