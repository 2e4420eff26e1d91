"""The command line: `python -m benchmarks.serving`. Its last line is the ratio at one row.

All servers run at once and are asked in turn, a short while each time: other work on the machine then meets all of
them alike, and medians over the rounds can be compared.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from benchmarks.report import BenchmarkError
from benchmarks.serving import load
from benchmarks.serving.servers import SERVERS, Running, Server, Stage

SIZES: Final = (1, 32)
FOLDER: Final = Path.home() / ".cache" / "modelrollout-serving"
ROUNDING: Final = 1e-6


@dataclass
class Row:
    """What was measured of a server; `rates`, `per_core` and `p99` by rows in a request, each by round.

    `per_core` is answers for each second of processor that the server used. On an idle machine it is the rate of a
    server that fills its core; on a busy one it is the fairer number, as others' work slows fast servers most.
    """

    server: Server
    ready: float = 0.0
    resident: float = 0.0
    rates: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    per_core: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    p99: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})

    def rate(self, size: int) -> float:
        """Return the median rate."""
        return statistics.median(self.rates[size])

    def core(self, size: int) -> float:
        """Return the median of answers for a second of processor."""
        return statistics.median(self.per_core[size])


def main() -> int:
    """Measure, print a table and the ratios; exit with 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="how long each measurement lasts")
    parser.add_argument("--rounds", type=int, default=5, help="how often each server is measured")
    parser.add_argument("--only", default="", help="measure servers whose name holds this text, and model-server")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="environments and models are kept there")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    given = parser.parse_args()
    try:
        rows = _measure(given)
    except (BenchmarkError, subprocess.CalledProcessError, OSError) as error:
        print(f"benchmarks.serving: {error}", file=sys.stderr)
        return 1
    if given.json:
        given.json.write_text(json.dumps([_as_json(row) for row in rows], indent=1) + "\n")
    _print(rows)
    return 0


def _measure(given: argparse.Namespace) -> list[Row]:
    for program in ("wrk", "taskset"):
        if not shutil.which(program):
            raise BenchmarkError(f"{program} is missing; on Debian: apt install wrk util-linux")
    given.folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(given.folder)
    chosen = [Row(server) for server in SERVERS if server.ours or given.only in server.name]
    for row in chosen:
        _say(f"environment of {row.server.name}")
        stage.environment(row.server)
    requests = {size: load.body(rows) for size, rows in _models(stage).items()}
    wanted: dict[str, list[float]] = {}
    with ExitStack() as started:
        servers = []
        for row in chosen:
            running = started.enter_context(stage.running(row.server))
            _check(row.server, running, requests[SIZES[-1]], wanted)
            row.ready = running.ready_after
            servers.append(running)
        for number in range(given.rounds):
            for row, running in zip(chosen, servers, strict=True):
                for size in SIZES:
                    _round(row, running, size, requests[size], given)
                rates = ", ".join(f"{size} rows {row.rates[size][-1]:,.0f}/s" for size in SIZES)
                _say(f"round {number + 1}: {row.server.name}: {rates}")
        for row, running in zip(chosen, servers, strict=True):
            row.resident = running.resident()
    return chosen


def _round(row: Row, running: Running, size: int, request: str, given: argparse.Namespace) -> None:
    if not row.rates[size]:
        load.measure(running.url, request, 1, given.folder)
    before = running.cpu()
    found = load.measure(running.url, request, given.seconds, given.folder)
    row.per_core[size].append(found.requests / max(running.cpu() - before, 0.01))
    if found.failed:
        raise BenchmarkError(f"{row.server.name}: {found.failed} answers were errors")
    row.rates[size].append(found.rate)
    row.p99[size].append(found.p99)


def _models(stage: Stage) -> dict[int, list[list[float]]]:
    """Train both models with our own tool, and return rows to ask for, whole ones."""
    python = str(stage.environment(SERVERS[0]) / "python")
    command = [python, "-m", "model_server"]
    data = stage.folder / "payments.csv"
    subprocess.run([*command, "data", str(data), "--rows", "20000", "--seed", "1"], check=True)
    subprocess.run([str(Path(python).with_name("pip")), "install", "--quiet", "xgboost>=3"], check=True)
    with data.open(newline="") as file:
        lines = list(csv.reader(file))
    # Numbers only: not every peer takes categories, and all must answer the same rows.
    keep = [at for at, name in enumerate(lines[0]) if name not in ("country", "channel")]
    numbers = stage.folder / "numbers.csv"
    with numbers.open("w", newline="") as file:
        csv.writer(file).writerows([[line[at] for at in keep] for line in lines])
    for library in ("lightgbm", "xgboost"):
        out = str(stage.model / library)
        subprocess.run(
            [*command, "train", str(numbers), out, "--library", library], check=True, stdout=subprocess.DEVNULL
        )
    whole = [line for line in lines[1:] if "" not in line]
    rows = [[float(line[at]) for at in keep[:-1]] for line in whole]
    return {size: rows[:size] for size in SIZES}


def _check(server: Server, running: Running, content: str, wanted: dict[str, list[float]]) -> None:
    """Make sure that all servers of a library give the same answers."""
    headers = {"content-type": "application/json"}
    answer = httpx.post(running.url + load.PATH, content=content, headers=headers, timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise BenchmarkError(f"{server.name} answers {answer.status_code}: {answer.text[:300]}")
    found = answer.json()["outputs"][0]["data"]
    first = wanted.setdefault(server.name.rpartition(" ")[2], found)
    if max(abs(one - other) for one, other in zip(first, found, strict=True)) > ROUNDING:
        raise BenchmarkError(f"{server.name} gives other answers than the servers before it")


def _print(rows: list[Row]) -> None:
    sizes = " | ".join(f"{size} row{'s' * (size > 1)}: requests/s | per core-second | p99 ms" for size in SIZES)
    print(f"| server | {sizes} | ready after s | resident MB |")
    print("|---" + "|---:" * (3 * len(SIZES) + 2) + "|")
    for row in rows:
        speed = " | ".join(
            f"{row.rate(size):,.0f} | {row.core(size):,.0f} | {statistics.median(row.p99[size]):.2f}" for size in SIZES
        )
        print(f"| {row.server.name} | {speed} | {row.ready:.2f} | {row.resident:.0f} |")
    for name, among in (("FastAPI by hand", ("FastAPI",)), ("the best of MLServer and KServe", ("MLServer", "KServe"))):
        others = [row for row in rows if row.server.name.startswith(among)]
        for size in reversed(SIZES) if others else ():
            rate = rows[0].rate(size) / max(row.rate(size) for row in others)
            core = rows[0].core(size) / max(row.core(size) for row in others)
            print(f"{size} rows a request: {rate:.1f} x {name}, {core:.1f} x per core-second")
    others = [row for row in rows if row.server.name.startswith(("MLServer", "KServe"))]
    if others:
        print(f"RATIO {rows[0].rate(1) / max(row.rate(1) for row in others):.1f}x")


def _as_json(row: Row) -> dict[str, object]:
    return {
        "server": row.server.name,
        "ready_s": row.ready,
        "resident_mb": row.resident,
        "rates": row.rates,
        "per_core_second": row.per_core,
        "p99_ms": row.p99,
    }


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
