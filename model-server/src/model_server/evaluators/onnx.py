"""ONNX models through onnxruntime."""

import importlib
import os
from array import array
from typing import Any

import numpy as np

from model_server.metadata import Metadata, ModelError

_TYPES = {"tensor(float)": ("f", np.float32), "tensor(double)": ("d", np.float64)}


class Session:
    """A model with one input of shape [rows, features]; of two probabilities the second is the answer."""

    def __init__(self, data: bytes, metadata: Metadata) -> None:
        width = len(metadata.features)
        # Once it is imported it has sent and kept something already: switching it off by call comes too late.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ImportError:
            raise ModelError(
                "onnxruntime is not installed, and this model needs it: install model-server[onnx]"
            ) from None
        runtime.disable_telemetry_events()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"onnxruntime cannot load the model: {error}") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 2:
            raise ModelError("the model must have one input, floats or doubles of shape [rows, features]")
        if inputs[0].shape[1] not in (width, None) and not isinstance(inputs[0].shape[1], str):
            raise ModelError(f"the model takes {inputs[0].shape[1]} features, its metadata names {width}")
        self.typecode, self._type = _TYPES[inputs[0].type]
        self._input, self._width = inputs[0].name, width
        self._output = self._choose(metadata.output)
        self._second = False
        columns = self._columns(array(self.typecode, [0.0] * width), 1).shape[1]
        self._second = metadata.task == "classification" and columns == 2
        self.outputs = 1 if self._second else columns

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return `rows` x `outputs` numbers for `rows` x `width` values."""
        found = self._columns(values, rows)
        answers: list[float] = (found[:, 1] if self._second else found.ravel()).tolist()
        return answers

    def _columns(self, values: "array[float]", rows: int) -> Any:
        fed = np.frombuffer(values, self._type).reshape(rows, self._width)
        return self._session.run([self._output], {self._input: fed})[0].reshape(rows, -1)

    def _choose(self, wanted: str) -> str:
        outputs = {each.name: each.type for each in self._session.get_outputs()}
        tensors = [name for name, kind in outputs.items() if kind in _TYPES]
        if not tensors:
            raise ModelError("the model has no output of floats; export probabilities as a tensor (zipmap off)")
        return wanted if wanted in tensors else tensors[-1]
