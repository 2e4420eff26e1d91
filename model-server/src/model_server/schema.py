"""Requests in every form that the protocol allows, checked against what the model declares."""

import json
import math
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.metadata import Feature
from model_server.model import Model
from model_server.protocol import DATATYPES, INPUT, MAX_ROWS, BadRequestError, InferRequest

# Kinds of violations that belong to a feature, and those of a request as a whole.
FEATURE_KINDS = ("missing", "null", "type", "category")
REQUEST_KINDS = ("unknown", "json", "shape", "datatype", "output")
_NUMPY = {
    "BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
_Tensor = dict[str, Any]
_Values = list[Any] | NDArray[Any]


class Schema:
    """What one model takes: the tensor `features` of whole rows, or a tensor for each feature."""

    def __init__(self, model: Model) -> None:
        self._features = model.metadata.features
        self._index = {name: position for position, name in enumerate(model.metadata.names)}
        self._codes = [{text: float(code) for code, text in enumerate(each.categories)} for each in self._features]
        self._output = model.metadata.output
        self._typecode = model.evaluator.typecode
        self._numbers_only = not any(feature.categories for feature in self._features)

    def read(self, body: bytes, json_bytes: int | None) -> InferRequest:
        """Read a request; of one with binary tensors the first `json_bytes` are JSON.

        Raises BadRequestError.
        """
        if json_bytes is not None and not 0 <= json_bytes <= len(body):
            raise BadRequestError(f"Inference-Header-Content-Length must be 0 to {len(body)}, the body's size", "json")
        try:
            document = json.loads(body if json_bytes is None else body[:json_bytes])
        except (ValueError, RecursionError):
            raise BadRequestError("the body is not JSON", "json") from None
        if not isinstance(document, dict):
            raise BadRequestError("the body must be a JSON object with 'inputs'", "json")
        request_id = document.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise BadRequestError("'id' must be a string", "json")
        tensors = self._tensors(document.get("inputs"))
        if json_bytes is not None:
            _attach(tensors, body[json_bytes:])
        binary = self._wants_binary(document)
        return self.request(tensors, request_id, binary=binary)

    def request(self, tensors: list[_Tensor], request_id: str | None, *, binary: bool = False) -> InferRequest:
        """Make a request of tensors with `name`, `shape`, `datatype` and, as `data`, a list or numpy array.

        Raises BadRequestError.
        """
        violations: list[tuple[str, str]] = []
        if len(tensors) == 1 and tensors[0].get("name") == INPUT:
            rows, values = self._matrix(tensors[0])
            if isinstance(values, np.ndarray):
                if self._numbers_only and values.dtype.kind in "fiu" and np.isfinite(values).all():
                    return InferRequest(self._array(values), rows, request_id, binary)
                values = values.tolist()
        else:
            rows, values = self._columns(tensors)
        flat = [self._value(value, at, violations) for at, value in enumerate(values)]
        return InferRequest(array(self._typecode, flat), rows, request_id, binary, tuple(violations))

    def _array(self, values: NDArray[Any]) -> "array[float]":
        with np.errstate(over="ignore"):
            return array(self._typecode, values.astype(self._typecode).tobytes())

    def _tensors(self, inputs: object) -> list[_Tensor]:
        if not isinstance(inputs, list) or not inputs or not all(isinstance(each, dict) for each in inputs):
            raise BadRequestError(f"'inputs' must be a list of one tensor named {INPUT!r}, or of one for each feature")
        return inputs

    def _wants_binary(self, document: dict[str, Any]) -> bool:
        outputs, parameters = document.get("outputs"), document.get("parameters")
        if outputs is not None and not isinstance(outputs, list):
            raise BadRequestError("'outputs' must be a list of tensors to return", "output")
        wanted = [_parameters(document).get("binary_data_output")] if parameters else []
        for each in outputs or []:
            if not isinstance(each, dict) or each.get("name") != self._output:
                name = _short(each.get("name") if isinstance(each, dict) else each)
                raise BadRequestError(f"outputs: the model's one output is {self._output!r}, got {name}", "output")
            # What a tensor says of itself wins over what the request says of all.
            wanted.append(_parameters(each).get("binary_data", wanted[-1] if wanted else None))
        return bool(wanted) and wanted[-1] is True

    def _matrix(self, tensor: _Tensor) -> tuple[int, _Values]:
        width = len(self._features)
        _datatype(tensor, 0, DATATYPES)
        shape: Any = tensor.get("shape")
        if not _is_shape(shape, 2) or not 1 <= shape[0] <= MAX_ROWS or shape[1] != width:
            wanted = f"[rows, {width}] with 1 to {MAX_ROWS} rows"
            raise BadRequestError(f"inputs[0].shape must be {wanted}, got {_short(shape)}")
        data = tensor.get("data")
        if isinstance(data, list) and data and isinstance(data[0], list):
            if any(not isinstance(row, list) or len(row) != width for row in data):
                raise BadRequestError(f"inputs[0].data has a row that is not a list of {width} numbers")
            data = [value for row in data for value in row]
        return shape[0], _data(data, shape, shape[0] * width, 0)

    def _columns(self, tensors: list[_Tensor]) -> tuple[int, list[Any]]:
        columns: dict[int, list[Any]] = {}
        rows = 0
        for position, tensor in enumerate(tensors):
            column = self._column(tensor.get("name"), position, alone=len(tensors) == 1)
            if column in columns:
                raise BadRequestError(f"inputs[{position}].name {tensor['name']!r} is given twice")
            values = _column_values(tensor, position)
            if rows not in (0, len(values)):
                raise BadRequestError(f"inputs[{position}].shape has {len(values)} rows, the tensors before it {rows}")
            rows = len(values)
            columns[column] = values
        for column, feature in enumerate(self._features):
            if column not in columns:
                if not feature.missing:
                    raise BadRequestError(f"inputs: the feature {feature.name!r} is missing", "missing", feature.name)
                columns[column] = [None] * rows
        return rows, [columns[column][row] for row in range(rows) for column in range(len(self._features))]

    def _column(self, name: object, position: int, *, alone: bool) -> int:
        if isinstance(name, str) and name in self._index:
            return self._index[name]
        wanted = f"must be {INPUT!r}, got {_short(name)}; or the name of a feature"
        text = wanted if alone else f"{_short(name)} is no feature of this model"
        raise BadRequestError(f"inputs[{position}].name {text}", "unknown")

    def _value(self, value: Any, at: int, violations: list[tuple[str, str]]) -> float:
        position = at % len(self._features)
        feature = self._features[position]
        if value is None or (type(value) is float and math.isnan(value)):
            if feature.missing:
                return math.nan
            raise BadRequestError(f"{_at(feature)} must hold finite numbers, got {_short(value)}", "null", feature.name)
        if isinstance(value, bytes | str):
            return self._category(value, position, violations)
        number = _finite(value)
        if number is None:
            raise BadRequestError(f"{_at(feature)} must hold finite numbers, got {_short(value)}", "type", feature.name)
        if feature.categories and not (number.is_integer() and 0 <= number < len(feature.categories)):
            return self._unseen(feature, value, violations)
        return number

    def _category(self, value: bytes | str, position: int, violations: list[tuple[str, str]]) -> float:
        feature = self._features[position]
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        if not feature.categories:
            raise BadRequestError(f"{_at(feature)} must hold finite numbers, got {_short(text)}", "type", feature.name)
        code = self._codes[position].get(text)
        return self._unseen(feature, text, violations) if code is None else code

    def _unseen(self, feature: Feature, value: object, violations: list[tuple[str, str]]) -> float:
        if not feature.missing:
            known = ", ".join(feature.categories[:10])
            text = f"{_at(feature)} must hold one of its categories ({known}), got {_short(value)}"
            raise BadRequestError(text, "category", feature.name)
        violations.append((feature.name, "category"))
        return math.nan


def _column_values(tensor: _Tensor, position: int) -> list[Any]:
    _datatype(tensor, position, DATATYPES | {"BOOL", "BYTES"})
    shape: Any = tensor.get("shape")
    if not (_is_shape(shape, 1) or (_is_shape(shape, 2) and shape[1] == 1)) or not 1 <= shape[0] <= MAX_ROWS:
        wanted = f"[rows] or [rows, 1] with 1 to {MAX_ROWS} rows"
        raise BadRequestError(f"inputs[{position}].shape must be {wanted}, got {_short(shape)}")
    data = tensor.get("data")
    if isinstance(data, list) and data and isinstance(data[0], list):
        data = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]
    given = _data(data, shape, shape[0], position)
    values: list[Any] = given if isinstance(given, list) else given.tolist()
    flags = tensor.get("datatype") == "BOOL"
    return [float(each) if flags and isinstance(each, bool) else each for each in values]


def _at(feature: Feature) -> str:
    return f"inputs[0].data: feature {feature.name!r}"


def _parameters(of: dict[str, Any]) -> dict[str, Any]:
    parameters = of.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequestError("'parameters' must be an object", "json")
    return parameters


def _is_shape(shape: Any, dimensions: int) -> bool:
    return isinstance(shape, list) and [type(size) for size in shape] == [int] * dimensions


def _datatype(tensor: _Tensor, position: int, allowed: frozenset[str]) -> None:
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in allowed:
        wanted = "a number type such as 'FP64'"
        text = f"inputs[{position}].datatype must be {wanted}, got {_short(datatype)}"
        raise BadRequestError(text, "datatype")


def _data(data: Any, shape: list[int], count: int, position: int) -> _Values:
    if not isinstance(data, list | np.ndarray):
        raise BadRequestError(f"inputs[{position}].data must be a list of numbers")
    if len(data) != count:
        text = f"inputs[{position}].data must hold {count} numbers for shape {shape}, got {len(data)}"
        raise BadRequestError(text)
    return data


def _attach(tensors: list[_Tensor], blob: bytes) -> None:
    """Put the bytes behind the JSON into their tensors, in order."""
    at = 0
    for position, tensor in enumerate(tensors):
        size = _parameters(tensor).get("binary_data_size")
        if size is None:
            continue
        if type(size) is not int or size < 0 or at + size > len(blob):
            text = f"inputs[{position}].parameters.binary_data_size must fit into the {len(blob)} bytes after the JSON"
            raise BadRequestError(text)
        tensor["data"] = from_bytes(blob[at : at + size], tensor.get("datatype"), position)
        at += size
    if at != len(blob):
        raise BadRequestError(f"{len(blob) - at} bytes after the JSON belong to no tensor: set binary_data_size")


def from_bytes(part: bytes, datatype: object, position: int) -> _Values:
    """Return the values of a tensor that came as little-endian bytes: numbers as an array, strings as a list.

    Each string has its length in front.

    Raises BadRequestError.
    """
    if datatype == "BYTES":
        return _strings(part, position)
    form = _NUMPY.get(datatype) if isinstance(datatype, str) else None
    if form is None:
        raise BadRequestError(f"inputs[{position}].datatype {_short(datatype)} cannot be binary", "datatype")
    if len(part) % np.dtype(form).itemsize:
        raise BadRequestError(f"inputs[{position}]: {len(part)} bytes are no whole number of {datatype}")
    return np.frombuffer(part, form)


def _strings(part: bytes, position: int) -> list[Any]:
    found, at = [], 0
    while at < len(part):
        size = int.from_bytes(part[at : at + 4], "little")
        if at + 4 + size > len(part):
            raise BadRequestError(f"inputs[{position}]: a string is longer than its tensor")
        found.append(part[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _finite(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def _short(value: object) -> str:
    # What a caller sent may be huge, and an error should stay one line.
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
