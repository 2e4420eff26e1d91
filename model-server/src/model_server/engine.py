"""From rows to predictions: limits, faults, deadline, fallback and what is counted on the way."""

import asyncio
import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from model_server.faults import Defective, Faults
from model_server.metadata import Metadata, ModelError
from model_server.model import Model
from model_server.predictionlog import PredictionLog
from model_server.protocol import InferRequest
from model_server.settings import Settings
from model_server.signals import Signals
from model_server.signals.drift import Drift
from model_server.signals.labels import Labels

log = logging.getLogger("model_server")


class InferenceError(Exception):
    """A request that gets no prediction: the HTTP status, the kind it is counted under, and what to tell."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.status, self.kind = status, kind


@dataclass
class State:
    """What the process tells the application: whether the model is loaded, and whether an end is near."""

    loaded: bool = False
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Whether new requests should come here."""
        return self.loaded and not self.draining


class Engine:
    """One model, served. `previous` answers in its place when it fails or is late."""

    def __init__(self, settings: Settings, model: Model, signals: Signals, previous: Model | None = None) -> None:
        about = described(model.metadata, settings)
        self.name, self.version = names(settings, about)
        self.model = replace(model, metadata=about)
        self.signals = signals
        self._faults = Faults(
            settings.latency, settings.error_rate, settings.seed, (settings.faults_from, settings.faults_until)
        )
        self.faulty = self._faults.any
        evaluator = model.evaluator
        self._evaluator = Defective(evaluator, about, settings.defect) if settings.defect else evaluator
        self._deadline = math.inf if settings.deadline is None else settings.deadline / 1000
        self._constant, self._previous = settings.fallback_value, previous
        if previous and previous.metadata.names != about.names:
            raise ModelError("FALLBACK_MODEL_URI: the previous model takes other features than the model")
        if previous and previous.evaluator.outputs != evaluator.outputs:
            raise ModelError("FALLBACK_MODEL_URI: the previous model gives another number of outputs")
        labels = Labels(about, evaluator.outputs, settings.feedback_rows, length=settings.feedback_cohort)
        drift = Drift(about, evaluator.typecode, evaluator.outputs)
        signals.attach(self.model, drift, labels, (self.name, self.version))
        self._labels, self._drift = labels, drift
        self.log = PredictionLog(settings, self.model, self.name, self.version) if settings.log_path else None

    def infer(
        self, request: InferRequest, request_id: str, started: float, struck: InferenceError | None = None
    ) -> tuple[list[float], str]:
        """Return the predictions, and what stood in for the model: nothing, `constant` or `previous`.

        `started` is when the request came (`time.perf_counter`), `struck` what `strike` said. Raises InferenceError.
        """
        for feature, kind in request.violations:
            self.signals.requests.violated(feature, kind)
        fallback = ""
        try:
            if struck:
                raise struck
            predictions = self._predict(request, started)
        except InferenceError as error:
            predictions, fallback = self._fall_back(request, error)
        else:
            # A fallback's answers are none of the model's: counting them as its would hide its failure.
            self._drift.observe(request.values, request.rows, predictions)
            self._labels.remember(request_id, request.values, request.rows, predictions)
        if self.log:
            self.log.add(request_id, request, predictions, fallback)
        return predictions, fallback

    async def strike(self, started: float) -> InferenceError | None:
        """Wait as long as the faults ask for, and return the error that they ask for; only where `faulty`."""
        left = self._deadline - (time.perf_counter() - started)
        try:
            async with asyncio.timeout(None if left == math.inf else max(left, 0)):
                fails = await self._faults.strike()
        except TimeoutError:
            return _late()
        return InferenceError(500, "injected", "inference failed (asked for by ERROR_RATE)") if fails else None

    def _predict(self, request: InferRequest, started: float) -> list[float]:
        if time.perf_counter() - started > self._deadline:
            raise _late()
        try:
            predictions = self._evaluator.predict(request.values, request.rows)
        except Exception:
            log.exception("inference failed")
            raise InferenceError(500, "model", "inference failed") from None
        # NaN and infinities have no JSON; a sum is the cheapest look at all of them.
        if not math.isfinite(predictions[0] if len(predictions) == 1 else sum(predictions)):
            raise InferenceError(500, "output", "the model gave no finite number for this input")
        return predictions

    def _fall_back(self, request: InferRequest, error: InferenceError) -> tuple[list[float], str]:
        if self._previous:
            try:
                values = request.values
                if self._previous.evaluator.typecode != values.typecode:
                    values = self._previous.array(list(values))
                predictions, fallback = self._previous.evaluator.predict(values, request.rows), "previous"
            except Exception:
                log.exception("the fallback failed, too")
                raise error from None
        elif self._constant is not None:
            predictions = [self._constant] * (request.rows * self.model.evaluator.outputs)
            fallback = "constant"
        else:
            raise error
        fallbacks = self.signals.requests.fallbacks
        fallbacks[error.kind] += 1
        return predictions, fallback


def _late() -> InferenceError:
    return InferenceError(504, "deadline", "the deadline (DEADLINE_MS) passed before there was an answer")


def names(settings: Settings, about: Metadata) -> tuple[str, str]:
    """Return the model's name and version: the settings', else the metadata's."""
    return settings.model_name or about.name or "model", settings.model_version or about.version or "1"


def described(about: Metadata, settings: Settings) -> Metadata:
    """Return metadata with what the settings say instead.

    Raises ModelError.
    """
    changes: dict[str, Any] = {}
    if settings.slice_feature:
        if settings.slice_feature not in about.names:
            raise ModelError(
                f"SLICE_FEATURE={settings.slice_feature!r}: no feature; there are {', '.join(about.names)}"
            )
        changes |= {"slice_feature": settings.slice_feature, "slice_values": settings.slice_values}
    if settings.label_tolerance is not None:
        changes["tolerance"] = settings.label_tolerance
    return msgspec.structs.replace(about, **changes) if changes else about
