"""A running model server with a trained model, over HTTP and gRPC."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from model_server import cli, model
from model_server.training import synthetic, table
from model_server.training.train import predict

SOURCE = Path(__file__).resolve().parents[4] / "model-server" / "src"
ROWS = 16


@dataclass
class Served:
    """A server, rows it can be asked for (no missing values) and the answers that it must give."""

    http: str
    grpc: str
    name: str
    rows: np.ndarray
    answers: np.ndarray


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Train a model on synthetic payments and serve it."""
    for library in ("lightgbm", "grpc"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("payments")
    columns = synthetic.payments(2000, 1)
    table.write_csv(folder / "rows.csv", columns)
    assert cli.run(["train", f"{folder}/rows.csv", f"{folder}/model", "--slice", "country", "--version", "7"]) == 0
    loaded = model.load(f"{folder}/model")
    rows = table.read(folder / "rows.csv").matrix(loaded.metadata.features)
    rows = rows[~np.isnan(rows).any(axis=1)][:ROWS]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "PORT": "0", "GRPC_PORT": "0", "DRAIN_S": "0"}
    env |= {"MODEL_URI": f"{folder}/model"}
    command = [sys.executable, "-m", "model_server"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        ports = dict(_ports(process))
        yield Served(
            f"127.0.0.1:{ports['port']}", f"127.0.0.1:{ports['gRPC']}", "fraud", rows, predict(loaded.evaluator, rows)
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def _ports(process: "subprocess.Popen[str]") -> Iterator[tuple[str, str]]:
    assert process.stderr
    seen = []
    for line in process.stderr:
        seen.append(line)
        if found := re.search(r"listening (?:on|for) (port|gRPC)(?: on port)? (\d+)", line):
            yield found[1], found[2]
        if "is ready" in line:
            return
    raise AssertionError(f"the server ended: {seen}")
