"""The command line: `python -m benchmarks [NAME...]`."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
from tests.support.kube import KubeError

from benchmarks import bad_canary, good_canary, idle, many
from benchmarks.lab import Lab, connect
from benchmarks.options import Options
from benchmarks.report import BenchmarkError, Result, as_json, as_table

BENCHMARKS: Final[dict[str, Callable[[Lab, Options], Result]]] = {
    "good_canary": good_canary.run,
    "bad_canary": bad_canary.run,
    "many": many.promotions,
    "steps": many.steps,
    "idle": idle.run,
}


def main() -> int:
    """Run benchmarks and print their table; the exit code is 0 when all of them ran, whatever they measured."""
    parser = _parser()
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces are removed then, too
    options = Options(arguments.repeat, arguments.seconds, arguments.count, arguments.idle)
    try:
        with connect() as lab:
            results, failures = _run(lab, arguments.names or list(BENCHMARKS), options)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if results:
        print(as_table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _run(lab: Lab, names: list[str], options: Options) -> tuple[dict[str, Result], list[str]]:
    results: dict[str, Result] = {}
    failures: list[str] = []
    for name in names:
        began = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results[name] = BENCHMARKS[name](lab, options)
            if len(names) > 1:
                print(as_table({name: results[name]}), file=sys.stderr)
        except (BenchmarkError, KubeError, httpx.HTTPError) as error:
            failures.append(f"{name}: {error}")
        print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return results, failures


def _parser() -> argparse.ArgumentParser:
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Counts and ratios of the operator, measured in the running lab."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all when left out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers there")
    parser.add_argument("--repeat", type=int, default=default.repeat, help="bad versions of each kind")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="how long idle rollouts are watched")
    parser.add_argument("--count", type=int, default=default.count, help="rollouts at once")
    parser.add_argument("--idle", type=int, default=default.idle, help="idle rollouts")
    return parser


if __name__ == "__main__":
    sys.exit(main())
