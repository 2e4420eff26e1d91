"""Answers for tests, as servers would give them."""

import json
from typing import Any

import numpy as np

from modelrollout.comparer.answers import Answer, End


def answer(value: Any, status: int = 200, json_bytes: int | None = None) -> Answer:
    """Return an answer: bytes as they are, anything else as JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(End.ANSWERED, 0.01, status, body, "application/json", json_bytes)


def tensor(data: list[Any], shape: list[int] | None = None, name: str = "p", datatype: str = "FP64") -> dict[str, Any]:
    """Return an output of the Open Inference Protocol."""
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}


def protocol(*outputs: dict[str, Any], **more: Any) -> Answer:
    """Return an answer of the Open Inference Protocol."""
    return answer({"model_name": "fraud", "outputs": list(outputs), **more})


def binary(data: bytes, shape: list[int], datatype: str, version: str = "1") -> Answer:
    """Return an answer with one binary tensor."""
    output = {"name": "p", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"model_name": "fraud", "model_version": version, "outputs": [output]}).encode()
    return answer(head + data, json_bytes=len(head))


def floats(*values: float, form: str = "<f4") -> bytes:
    """Return numbers as a binary tensor holds them."""
    return np.array(values, form).tobytes()
