"""Load: wrk with 64 connections on a core of its own."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import BenchmarkError
from benchmarks.serving.servers import LOAD_CORE

CONNECTIONS: Final = 64
PATH: Final = "/v2/models/fraud/infer"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


@dataclass(frozen=True)
class Measured:
    """Answers a second, the 99th percentile of their times in milliseconds, and how many were not 2xx.

    `requests` is how many answers there were.
    """

    rate: float
    requests: int
    p99: float
    failed: int


def body(rows: list[list[float]]) -> str:
    """Return a request for rows."""
    data = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    return json.dumps({"inputs": [{"name": "features", "shape": shape, "datatype": "FP64", "data": data}]})


def measure(url: str, content: str, seconds: int, folder: Path) -> Measured:
    """Ask a server for the same rows again and again.

    Raises BenchmarkError.
    """
    script = folder / "request.lua"
    script.write_text(_SCRIPT.replace("{body}", content))
    arguments = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(script)]
    found = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", *arguments, url + PATH], capture_output=True, text=True, check=False
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", found.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", found.stdout)
    if not rate or not p99:
        raise BenchmarkError(f"wrk said: {found.stdout}{found.stderr}")
    requests = re.search(r"(\d+) requests in", found.stdout)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", found.stdout)
    return Measured(
        float(rate[1]),
        int(requests[1]) if requests else 0,
        float(p99[1]) * _UNITS[p99[2]],
        int(failed[1]) if failed else 0,
    )
