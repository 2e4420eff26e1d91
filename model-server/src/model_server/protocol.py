"""The Open Inference Protocol's JSON: requests to rows, predictions to answers."""

import json
import math
from dataclasses import dataclass
from typing import Any

from model_server.model import Model

INPUT = "features"
DATATYPES = {"FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"}
MAX_ROWS = 1024


class BadRequestError(ValueError):
    """The request cannot be answered as it is; the text says what to change."""


@dataclass(frozen=True)
class InferRequest:
    """The rows to predict, each as long as the model's features, and the caller's id."""

    rows: list[list[float]]
    id: str | None


def metadata(model: Model, name: str, version: str) -> dict[str, Any]:
    """Return the answer to a question for the model's metadata."""
    return {
        "name": name,
        "versions": [version],
        "platform": "decision-trees",
        "inputs": [{"name": INPUT, "datatype": "FP64", "shape": [-1, len(model.features)]}],
        "outputs": [{"name": model.output, "datatype": "FP64", "shape": [-1]}],
        "parameters": {"features": list(model.features)},
    }


def parse(body: bytes, width: int) -> InferRequest:
    """Read a request for rows of `width` numbers.

    Raises BadRequestError.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequestError("the body must be a JSON object with 'inputs'")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadRequestError("'id' must be a string")
    return InferRequest(_rows(_tensor(document.get("inputs")), width), request_id)


def answer(name: str, version: str, request_id: str, output: str, probabilities: list[float]) -> dict[str, Any]:
    """Return the answer to a request."""
    tensor = {"name": output, "datatype": "FP64", "shape": [len(probabilities)], "data": probabilities}
    return {"model_name": name, "model_version": version, "id": request_id, "outputs": [tensor]}


def _tensor(inputs: object) -> dict[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequestError(f"'inputs' must be a list of one tensor named {INPUT!r}")
    tensor: dict[str, Any] = inputs[0]
    if tensor.get("name") != INPUT:
        raise BadRequestError(f"inputs[0].name must be {INPUT!r}, got {_short(tensor.get('name'))}")
    if not isinstance(tensor.get("datatype"), str) or tensor["datatype"] not in DATATYPES:
        got = _short(tensor.get("datatype"))
        raise BadRequestError(f"inputs[0].datatype must be a number type such as 'FP64', got {got}")
    return tensor


def _rows(tensor: dict[str, Any], width: int) -> list[list[float]]:
    shape: Any = tensor.get("shape")
    data: Any = tensor.get("data")
    integers = isinstance(shape, list) and [type(size) for size in shape] == [int, int]
    if not integers or not 1 <= shape[0] <= MAX_ROWS or shape[1] != width:
        raise BadRequestError(f"inputs[0].shape must be [rows, {width}] with 1 to {MAX_ROWS} rows, got {_short(shape)}")
    count: int = shape[0]
    if not isinstance(data, list):
        raise BadRequestError("inputs[0].data must be a list of numbers")
    if data and isinstance(data[0], list):
        if any(not isinstance(row, list) or len(row) != width for row in data):
            raise BadRequestError(f"inputs[0].data has a row that is not a list of {width} numbers")
        data = [value for row in data for value in row]
    if len(data) != count * width:
        raise BadRequestError(f"inputs[0].data must hold {count * width} numbers for shape {shape}, got {len(data)}")
    values = [_finite(value) for value in data]
    return [values[start : start + width] for start in range(0, len(values), width)]


def _finite(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise BadRequestError(f"inputs[0].data must hold finite numbers, got {_short(value)}")


def _short(value: object) -> str:
    # What a caller sent may be huge, and an error should stay one line.
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
