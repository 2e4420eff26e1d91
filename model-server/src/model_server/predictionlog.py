"""A sample of requests and predictions, as JSON lines or Parquet, for replay and for looking at errors."""

import importlib
import logging
import math
import time
from pathlib import Path
from random import Random
from typing import Any, Protocol

import msgspec

from model_server.metadata import ModelError
from model_server.model import Model
from model_server.protocol import InferRequest
from model_server.settings import Settings

log = logging.getLogger("model_server")

_Record = dict[str, Any]


class _Sink(Protocol):
    batch: int

    def write(self, records: list[_Record]) -> None:
        """Write records; raise OSError when that is not possible."""
        ...


class PredictionLog:
    """Logs a part of all requests, within `PREDICTION_LOG_MAX_BYTES`. A disk that fails costs lines, never requests.

    There is one record for each row of a request.
    """

    def __init__(self, settings: Settings, model: Model, name: str, version: str) -> None:
        redacted = set(settings.log_redact)
        self._features = [(at, each) for at, each in enumerate(model.metadata.names) if each not in redacted]
        self._width, self._outputs = model.width, model.evaluator.outputs
        self._about = {"model": name, "version": version, "sha256": model.sha256}
        self._sample = settings.log_sample
        path = Path(settings.log_path)
        self._path = path
        self._sink: _Sink = (
            _Parquet(path, settings.log_max_bytes)
            if path.suffix == ".parquet"
            else _Lines(path, settings.log_max_bytes // 2)
        )
        self._draw = Random(settings.seed).random  # noqa: S311
        self._waiting: list[tuple[float, str, InferRequest, list[float], str]] = []
        self._failed = False

    def add(self, request_id: str, request: InferRequest, predictions: list[float], fallback: str) -> None:
        """Log a request, or not: that is drawn."""
        if self._draw() >= self._sample:
            return
        self._waiting.append((time.time(), request_id, request, predictions, fallback))
        if len(self._waiting) >= self._sink.batch:
            self.flush(final=True)

    def flush(self, *, final: bool = False) -> None:
        """Write what waits: to lines at any time, to Parquet when there is enough for a file or this is the end."""
        if not self._waiting or not (final or isinstance(self._sink, _Lines)):
            return
        records = [record for each in self._waiting for record in self._records(*each)]
        self._waiting = []
        try:
            self._sink.write(records)
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, not with every flush
                log.warning("the prediction log %s cannot be written: %s", self._path, error.strerror)
            self._failed = True

    def _records(
        self, when: float, request_id: str, request: InferRequest, predictions: list[float], fallback: str
    ) -> list[_Record]:
        records: list[_Record] = []
        for row in range(request.rows):
            values = request.values[row * self._width : (row + 1) * self._width]
            answers = predictions[row * self._outputs : (row + 1) * self._outputs]
            features = {name: None if math.isnan(values[at]) else values[at] for at, name in self._features}
            head = {"time": round(when, 3), "id": request_id, "row": row, **self._about, "fallback": fallback}
            records.append({**head, "features": features, "prediction": answers})
        return records


class _Lines:
    """A file of JSON lines; when it is full it becomes `<path>.1` and a new one begins. `limit` is of each."""

    batch = 256

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit

    def write(self, records: list[_Record]) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        fitting: list[bytes] = []
        for line in (msgspec.json.encode(record) + b"\n" for record in records):
            if size + len(line) > self._limit:
                self._append(fitting)
                if self._path.exists():
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                fitting, size = [], 0
            if len(line) <= self._limit:
                fitting.append(line)
                size += len(line)
        self._append(fitting)

    def _append(self, lines: list[bytes]) -> None:
        if lines:
            with self._path.open("ab") as file:
                file.write(b"".join(lines))


class _Parquet:
    """A file `<name>-<time>.parquet` for each batch; the oldest go when all together are larger than `limit`."""

    batch = 4096

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise ModelError("PREDICTION_LOG: Parquet needs pyarrow: install model-server[parquet]") from None

    def write(self, records: list[_Record]) -> None:
        target = self._path.with_name(f"{self._path.stem}-{time.time_ns()}.parquet")
        self._parquet.write_table(self._arrow.Table.from_pylist(records), target)
        files = sorted(self._path.parent.glob(f"{self._path.stem}-*.parquet"))
        while files and sum(file.stat().st_size for file in files) > self._limit:
            files.pop(0).unlink()
