"""The command line: `python -m benchmarks.comparer`. Needs wrk, and two cores to be of use."""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.report import BenchmarkError, Result, Row, as_json, as_table

SIZES: Final = (1, 32)
SLOW_MS: Final = 50
CONNECTIONS: Final = 64
COMPARER_CORE, OTHER_CORE = "0", "1"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SCRIPT: Final = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: counts, seconds, and kilobytes."""

    sent: int
    pairs: int
    shed: int
    cpu: float
    p99: float
    """Milliseconds until the gateway has its answer, at 99 of 100 requests."""
    resident: int

    @property
    def per_core(self) -> float:
        """Pairs for each second of processor."""
        return self.pairs / max(self.cpu, 0.01)


def main() -> int:
    """Measure and print a table; exit with 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparer", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="how long each measurement lasts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is made")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    given = parser.parse_args()
    try:
        results = {"comparer": _measure(given.seconds, given.rounds)}
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks.comparer: {error}", file=sys.stderr)
        return 1
    print(as_table(results))
    if given.json:
        given.json.write_text(json.dumps(as_json(results), indent=1) + "\n")
    return 0


def _measure(seconds: int, rounds: int) -> Result:
    for program in ("wrk", "taskset"):
        if not shutil.which(program):
            raise BenchmarkError(f"{program} is missing; on Debian: apt install wrk util-linux")
    rows: list[Row] = []
    numbers: dict[str, Any] = {}
    for size in SIZES:
        found = [_run(size, 0, seconds) for _ in range(rounds)]
        rates = [one.per_core for one in found]
        words = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        rows.append(Row(f"pairs a second and core, {size} row{'s' if size > 1 else ''} in each", words))
        numbers[f"per_core_{size}"] = rates
    flood = _run(1, SLOW_MS, seconds)
    share = flood.shed / flood.sent
    rows += [
        Row(f"flood, models that take {SLOW_MS} ms: requests, compared", f"{flood.sent:,}, {flood.pairs:,}"),
        Row("flood: shed", f"{share:.0%}"),
        Row("flood: p99 of the gateway's answer", f"{flood.p99:.1f} ms"),
        Row("flood: memory", f"{flood.resident / 1024:.0f} MiB"),
    ]
    numbers |= {"flood_sent": flood.sent, "flood_pairs": flood.pairs, "flood_shed": flood.shed}
    return Result(rows, numbers)


def _run(size: int, delay: int, seconds: int) -> Measured:
    """Flood a new comparer between two new models; a second of warm-up does not count."""
    with contextlib.ExitStack() as stack, TemporaryDirectory() as folder:
        ports = [_free_port() for _ in range(4)]
        for port, version in zip(ports[:2], "12", strict=True):
            model = [sys.executable, "-m", "benchmarks.comparer.model", port, version, size, delay]
            stack.enter_context(_process(model, OTHER_CORE, port))
        urls = [f"--stable-url=http://127.0.0.1:{ports[0]}", f"--candidate-url=http://127.0.0.1:{ports[1]}"]
        listen = [f"--listen=127.0.0.1:{ports[2]}", f"--metrics-listen=127.0.0.1:{ports[3]}"]
        who = ["--rollout=fraud", "--stable=s", "--candidate=c", "--log-level=error"]
        program = [sys.executable, "-c", "from modelrollout.cli.main import main; main()", "comparer"]
        pid = stack.enter_context(_process([*program, *who, *urls, *listen], COMPARER_CORE, ports[3]))
        script = Path(folder, "request.lua")
        data = [0.5] * 8 * size
        body = {"inputs": [{"name": "features", "shape": [size, 8], "datatype": "FP64", "data": data}]}
        script.write_text(_SCRIPT.replace("{body}", json.dumps(body)))
        _load(ports[2], script, 1)
        before = _counted(ports[3])
        cpu = _cpu(pid)
        p99 = _load(ports[2], script, seconds)
        after = _settled(ports[3])
        if disagree := after["disagree"]:
            raise BenchmarkError(f"{disagree:.0f} pairs of equal answers disagree")
        return Measured(
            sent=int(after["received"] - before["received"]),
            pairs=int(after["pairs"] - before["pairs"]),
            shed=int(after["shed"] - before["shed"]),
            cpu=_cpu(pid) - cpu,
            p99=p99,
            resident=_resident(pid),
        )


@contextlib.contextmanager
def _process(command: list[object], core: str, port: int) -> Iterator[int]:
    """Run a program on one core while the block runs, from when it listens on its port."""
    cores = ["taskset", "-c", core] if (os.cpu_count() or 1) > 1 else []
    with subprocess.Popen([*cores, *map(str, command)]) as process:
        try:
            deadline = time.monotonic() + 30
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkError(f"did not start: {' '.join(map(str, command))}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _load(port: int, script: Path, seconds: int) -> float:
    """Send requests as fast as they are answered; return the 99th percentile in milliseconds."""
    cores = ["taskset", "-c", OTHER_CORE] if (os.cpu_count() or 1) > 1 else []
    arguments = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    url = f"http://127.0.0.1:{port}/v2/models/fraud/infer"
    found = subprocess.run([*cores, "wrk", *arguments, url], capture_output=True, text=True, check=False)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", found.stdout)
    if not p99:
        raise BenchmarkError(f"wrk said: {found.stdout}{found.stderr}")
    return float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]]


def _counted(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = dict.fromkeys(("received", "shed", "pairs", "disagree", "in_flight", "queue_depth"), 0.0)
    for line in lines:
        name, _, value = line.rpartition(" ")
        kind = name.removeprefix("modelrollout_comparer_").partition("{")[0].removesuffix("_total")
        if kind in found:
            found[kind] += float(value)
        if kind == "pairs" and 'agree="false"' in name:
            found["disagree"] += float(value)
    return found


def _settled(port: int) -> dict[str, float]:
    """Return what is counted once nothing is left to compare."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = _counted(port)
        if not found["in_flight"] and not found["queue_depth"]:
            return found
        time.sleep(0.05)
    raise BenchmarkError("the comparer does not come to rest")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
