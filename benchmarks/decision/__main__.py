"""The command line: `python -m benchmarks.decision [SUITE...] [--size ci|nightly]`."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.decision import report, suites
from benchmarks.decision.suite import Cell, Results, Row
from benchmarks.decision.targets import SIZES, Size
from benchmarks.decision.traffic import Floats, chunks

BEGIN: Final = "<!-- bench-decision:begin -->"
END: Final = "<!-- bench-decision:end -->"


def main() -> int:
    """Run suites and print their table; the exit code is 1 when a target is missed by more than chance explains."""
    arguments = _arguments()
    size = SIZES[arguments.size]
    rows: list[Row] = []
    results: dict[str, Results] = {}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for name in [name for name in suites.SUITES if name in arguments.suites or not arguments.suites]:
            began = time.monotonic()
            results[name] = _simulate(pool, name, size)
            rows += suites.SUITES[name].rows(results[name])
            _write(arguments, size, rows, results)
            print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(report.as_text(rows))
    missed = report.missed(rows)
    for row in missed:
        print(f"benchmarks: {row.suite} {row.what}: {row.measured}, wanted {row.target}", file=sys.stderr)
    return 1 if missed else 0


def _simulate(pool: ProcessPoolExecutor, name: str, size: Size) -> Results:
    tasks = [(cell, chunk, runs) for cell in suites.SUITES[name].cells(size) for chunk, runs in chunks(cell.reps)]
    found: dict[str, dict[str, list[Floats]]] = {}
    for (cell, _, _), part in zip(tasks, pool.map(_run, tasks), strict=True):
        methods = found.setdefault(cell.key, {})
        for method, values in part.items():
            methods.setdefault(method, []).append(np.asarray(values))
    return {key: {method: np.concatenate(parts) for method, parts in methods.items()} for key, methods in found.items()}


def _run(task: tuple[Cell, int, int]) -> Mapping[str, Floats]:
    cell, chunk, runs = task
    return suites.SUITES[cell.suite].run(cell, chunk, runs)


def _write(arguments: argparse.Namespace, size: Size, rows: Sequence[Row], results: Mapping[str, Results]) -> None:
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(size.name, rows, results), indent=1) + "\n")
    if arguments.docs:
        text = arguments.docs.read_text()
        if BEGIN not in text or END not in text:
            text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
        head, rest = text.split(BEGIN, 1)
        tail = rest.split(END, 1)[1]
        section = report.as_markdown(size.name, rows, results)
        arguments.docs.write_text(f"{head}{BEGIN}\n{section}\n{END}{tail}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decision", description="Decisions on simulated traffic, against stated targets."
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(suites.SUITES)}; all when left out")
    parser.add_argument("--size", choices=sorted(SIZES), default="ci", help="how many runs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers there")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the table between its markers in this file")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - suites.SUITES.keys():
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(suites.SUITES)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
