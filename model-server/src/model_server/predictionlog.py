"""A sample of requests and predictions as JSON lines, for replay and for looking at errors."""

import logging
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from model_server.model import Model
from model_server.protocol import InferRequest
from model_server.settings import Settings

FLUSH_AT = 256

log = logging.getLogger("model_server")


class PredictionLog:
    """Writes lines to a file and starts a new one when it is full; one old file, `<path>.1`, is kept.

    Together they stay within `PREDICTION_LOG_MAX_BYTES`. A disk that fails costs lines, never requests.
    """

    def __init__(self, settings: Settings, model: Model, name: str, version: str) -> None:
        redacted = set(settings.log_redact)
        self._features = [(at, each) for at, each in enumerate(model.metadata.names) if each not in redacted]
        self._width, self._outputs = model.width, model.evaluator.outputs
        self._about = {"model": name, "version": version, "sha256": model.sha256}
        self._path, self._sample = Path(settings.log_path), settings.log_sample
        self._limit = settings.log_max_bytes // 2
        self._draw = Random(settings.seed).random  # noqa: S311
        self._waiting: list[tuple[float, str, InferRequest, list[float], str]] = []
        self._failed = False

    def add(self, request_id: str, request: InferRequest, predictions: list[float], fallback: str) -> None:
        """Log a request, or not: that is drawn."""
        if self._draw() >= self._sample:
            return
        self._waiting.append((time.time(), request_id, request, predictions, fallback))
        if len(self._waiting) >= FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        lines = [msgspec.json.encode(self._line(*each)) + b"\n" for each in self._waiting]
        self._waiting = []
        try:
            self._write(lines)
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, not with every flush
                log.warning("the prediction log %s cannot be written: %s", self._path, error.strerror)
            self._failed = True

    def _write(self, lines: list[bytes]) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        fitting: list[bytes] = []
        for line in lines:
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

    def _line(
        self, at: float, request_id: str, request: InferRequest, predictions: list[float], fallback: str
    ) -> dict[str, Any]:
        rows = [
            {name: request.values[row * self._width + column] for column, name in self._features}
            for row in range(request.rows)
        ]
        answers = predictions
        return {
            "time": round(at, 3), "id": request_id, **self._about, "rows": rows, "predictions": answers,
            "fallback": fallback,
        }  # fmt: skip
