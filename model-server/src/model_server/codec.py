"""Requests as bytes to rows, predictions to bytes.

A well-formed request is read by compiled, typed decoders. Whatever those refuse is read again by `schema`, slowly,
which either understands it (columns, rare values, binary tensors) or says exactly what is wrong.
"""

import math
from array import array
from typing import Any, Generic, TypeVar

import msgspec

from model_server import native
from model_server.model import Model
from model_server.protocol import DATATYPES, INPUT, MAX_ROWS, InferRequest
from model_server.schema import Schema

# From this size on it pays to read the numbers apart, straight to where the model wants them.
LARGE = 1024

_Data = TypeVar("_Data")


class _Tensor(msgspec.Struct, Generic[_Data], gc=False):
    name: str
    shape: tuple[int, int]
    datatype: str
    data: _Data
    parameters: msgspec.UnsetType | None = msgspec.UNSET


class _Plain(msgspec.Struct, Generic[_Data], gc=False):
    inputs: tuple[_Tensor[_Data]]
    id: str | None = None
    outputs: msgspec.UnsetType | None = msgspec.UNSET
    parameters: msgspec.UnsetType | None = msgspec.UNSET


_decode = msgspec.json.Decoder(_Plain[list[float | None]]).decode
_decode_around = msgspec.json.Decoder(_Plain[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Reader:
    """Reads requests for one model."""

    def __init__(self, model: Model) -> None:
        self._schema = Schema(model)
        self._width, self._typecode = model.width, model.evaluator.typecode
        features = model.metadata.features
        self._codes = [
            (at, frozenset(map(float, range(len(each.categories)))))
            for at, each in enumerate(features)
            if each.categories
        ]
        self._may_miss = [feature.missing for feature in features]
        self._scan = native.function("scan", self._typecode)
        self._kinds = array("i", [2 * len(each.categories) + each.missing for each in features])
        self._nothing = array(self._typecode, [0.0])

    def read(self, body: bytes, json_bytes: int | None = None) -> InferRequest:
        """Read a request; of a request with binary tensors the first `json_bytes` are JSON.

        Raises BadRequestError.
        """
        if json_bytes is None:
            try:
                request = self._scanned(body) if self._scan and len(body) >= LARGE else None
                if request := request or self._decoded(body):
                    return request
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                pass
        return self._schema.read(body, json_bytes)

    def _scanned(self, body: bytes) -> InferRequest | None:
        request = _decode_around(body)
        tensor = request.inputs[0]
        rows, width = tensor.shape
        if (
            width != self._width
            or not 1 <= rows <= MAX_ROWS
            or tensor.name != INPUT
            or tensor.datatype not in DATATYPES
        ):
            return None
        values = self._nothing * (rows * width)
        kinds, out = self._kinds.buffer_info()[0], values.buffer_info()[0]
        if not self._scan(bytes(tensor.data), rows, width, kinds, out):
            return None
        return InferRequest(values, rows, request.id)

    def _decoded(self, body: bytes) -> InferRequest | None:
        request = _decode(body)
        tensor = request.inputs[0]
        rows, width = tensor.shape
        fits = width == self._width and 1 <= rows <= MAX_ROWS and len(tensor.data) == rows * width
        if fits and tensor.name == INPUT and tensor.datatype in DATATYPES:
            values = self._values(tensor.data)
            if values is not None:
                return InferRequest(values, rows, request.id)
        return None

    def _values(self, data: list[float | None]) -> "array[float] | None":
        """Return values as the model reads them, or None when one is not what its feature takes."""
        width = self._width
        known: list[Any] = data
        try:
            values: array[float] = array(self._typecode, known)
        except TypeError:
            if not all(self._may_miss[at % width] for at, value in enumerate(data) if value is None):
                return None
            values = array(self._typecode, [math.nan if value is None else value for value in data])
        for at, codes in self._codes:
            for code in values[at::width]:
                if code not in codes and not math.isnan(code):
                    return None
        return values


class Writer:
    """Writes the answers of one model; what is the same in all of them is written once."""

    def __init__(self, model: Model, name: str, version: str) -> None:
        self._outputs = model.evaluator.outputs
        head: dict[str, Any] = {"model_name": name, "model_version": version}
        self._head = _encode(head)[:-1] + b',"id":'
        output = {"name": model.metadata.output, "datatype": "FP64"}
        self._tensor = b',"outputs":[' + _encode(output)[:-1] + b',"shape":['
        self._columns = b"" if self._outputs == 1 else b",%d" % self._outputs
        self._binary_head = {**head, "outputs": [{**output}]}

    def json(self, request_id: str, predictions: list[float], rows: int, fallback: str) -> bytes:
        """Return the answer as JSON."""
        note = b',"parameters":{"fallback":"%b"}' % fallback.encode() if fallback else b""
        parts = (
            self._head,
            _encode(request_id),
            note,
            self._tensor,
            b"%d" % rows,
            self._columns,
            b'],"data":',
            _encode(predictions),
            b"}]}",
        )
        return b"".join(parts)

    def binary(self, request_id: str, predictions: list[float], rows: int, fallback: str) -> tuple[bytes, int]:
        """Return the answer as JSON followed by the tensor's bytes, and how many of them are JSON."""
        data = array("d", predictions).tobytes()
        shape = [rows] if self._outputs == 1 else [rows, self._outputs]
        tensor = {**self._binary_head["outputs"][0], "shape": shape, "parameters": {"binary_data_size": len(data)}}
        document: dict[str, Any] = {**self._binary_head, "id": request_id, "outputs": [tensor]}
        if fallback:
            document["parameters"] = {"fallback": fallback}
        head = _encode(document)
        return head + data, len(head)
