"""The servers: what is installed for each, how it starts and how it is asked."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from benchmarks.report import BenchmarkError

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]
START_S: Final = 90.0
SERVER_CORE, LOAD_CORE = "0", "1"


@dataclass(frozen=True)
class Server:
    """A server; `packages` are installed by pip into an environment of its own.

    In `command`, `environment` and `files` `{model}` is the folder of the model, `{folder}` one of the server's own,
    `{port}` its port, `{port1}` and `{port2}` two more that are free, and `{here}` this folder.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, object] = field(default_factory=dict)
    ours: bool = False


_PORTS = {"http_port": "{port}", "grpc_port": "{port1}", "metrics_port": "{port2}"}
_MLSERVER = {"debug": False, "parallel_workers": 0, **_PORTS}


def _mlserver(name: str, package: str, implementation: str, file: str) -> Server:
    model = {"name": "fraud", "implementation": implementation, "parameters": {"uri": file, "version": "1"}}
    files: dict[str, object] = {"settings.json": _MLSERVER, "model-settings.json": model}
    return Server(name, ("mlserver", package), ("{bin}/mlserver", "start", "{folder}"), files=files)


def _ours(name: str, model: str) -> Server:
    environment = {"MODEL_URI": model, "PORT": "{port}", "DRAIN_S": "0", "PREDICTION_LOG": "{folder}/log.jsonl"}
    packages = (f"{REPOSITORY / 'model-server'}[lightgbm,speed]",)
    return Server(name, packages, ("{bin}/python", "-m", "model_server"), environment, ours=True)


SERVERS: Final = (
    _ours("model-server, LightGBM", "{model}/lightgbm"),
    _ours("model-server, XGBoost", "{model}/xgboost"),
    Server(
        "FastAPI by hand, LightGBM",
        ("fastapi", "uvicorn", "uvloop", "httptools", "orjson", "lightgbm"),
        ("{bin}/python", "{here}/peers/fastapi_app.py", "{model}/lightgbm/model.txt", "{port}"),
    ),
    _mlserver(
        "MLServer, LightGBM", "mlserver-lightgbm", "mlserver_lightgbm.LightGBMModel", "{model}/lightgbm/model.txt"
    ),
    Server(
        "KServe, LightGBM",
        ("kserve", "lightgbm"),
        ("{bin}/python", "{here}/peers/kserve_model.py", "{model}/lightgbm/model.txt", "{port}"),
    ),
    _mlserver("MLServer, XGBoost", "mlserver-xgboost", "mlserver_xgboost.XGBoostModel", "{model}/xgboost/model.json"),
)


@dataclass
class Running:
    """A server that answers."""

    url: str
    pid: int
    ready_after: float

    def resident(self) -> float:
        """Return the megabytes that the process and its children hold."""
        return sum(_resident(pid) for pid in _family(self.pid)) / 1e6

    def cpu(self) -> float:
        """Return the seconds of processor that the process and its children have used."""
        return sum(_cpu(pid) for pid in _family(self.pid))


class Stage:
    """A folder with an environment for each server and the models that they serve."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "models"

    def environment(self, server: Server) -> Path:
        """Return the folder of a server's programs, installed when it is not there yet."""
        home = self.folder / _home(server)
        done = home / ".done"
        if server.ours or not done.exists():
            if not done.exists():
                subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *server.packages], check=True)
            if server.ours:  # the version stays while the code changes
                subprocess.run([*pip, "--no-deps", "--force-reinstall", str(REPOSITORY / "model-server")], check=True)
            done.touch()
        return home / "bin"

    @contextmanager
    def running(self, server: Server) -> Iterator[Running]:
        """Start a server on its core and end it afterwards.

        Raises BenchmarkError when it does not become ready.
        """
        folder = self.folder / "run" / server.name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        port, port1, port2 = _free(3)
        known = {
            "bin": str(self.folder / _home(server) / "bin"), "folder": str(folder), "model": str(self.model),
            "port": str(port), "port1": str(port1), "port2": str(port2), "here": str(HERE),
        }  # fmt: skip
        for name, content in server.files.items():
            text = json.dumps(content)
            for key, value in known.items():
                text = text.replace(f"{{{key}}}", value)
            (folder / name).write_text(text)
        command = ["taskset", "-c", SERVER_CORE, *(part.format(**known) for part in server.command)]
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        environment |= {name: value.format(**known) for name, value in server.environment.items()}
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _wait(url, process, server, folder / "log")
                yield Running(url, process.pid, time.monotonic() - began)
            finally:
                with suppress(ProcessLookupError):  # one that ended by itself is told of by who waited for it
                    os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def _home(server: Server) -> str:
    return "-".join(server.packages).replace("/", "_").replace(str(REPOSITORY).replace("/", "_"), "")


def _free(count: int) -> list[int]:
    """Return ports that are free; all are held until all are found."""
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


def _wait(url: str, process: "subprocess.Popen[bytes]", server: Server, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=1).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    tail = log.read_text(errors="replace")[-1500:]
    raise BenchmarkError(f"{server.name} did not become ready; its log ends with:\n{tail}")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(each) for each in children.read_text().split()] if children.exists() else []
    return [pid, *(each for child in found for each in _family(child))]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
