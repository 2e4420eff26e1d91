"""What the Open Inference Protocol and this server agree on."""

from array import array
from typing import Any

import msgspec

from model_server.model import Model

INPUT = "features"
JSON = "application/json"
DATATYPES = frozenset(
    {"FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"}
)
MAX_ROWS = 1024


class BadRequestError(ValueError):
    """The request cannot be answered as it is; the text says what to change.

    `kind` and `feature` are what the schema violation is counted under.
    """

    def __init__(self, text: str, kind: str = "shape", feature: str = "") -> None:
        super().__init__(text)
        self.kind, self.feature = kind, feature


class InferRequest(msgspec.Struct, gc=False):
    """The rows to predict, flat and as the model reads them, and the caller's id.

    `violations` are (feature, kind) of values that were let pass as missing; `binary` asks for bytes as the answer.
    """

    values: "array[float]"
    rows: int
    id: str | None = None
    binary: bool = False
    violations: tuple[tuple[str, str], ...] = ()


def metadata(model: Model, name: str, version: str) -> dict[str, Any]:
    """Return the answer to a question for the model's metadata."""
    about = model.metadata
    number = "FP64" if model.evaluator.typecode == "d" else "FP32"
    shape = [-1] if model.evaluator.outputs == 1 else [-1, model.evaluator.outputs]
    known = {"data": about.data, "run": about.run, "registry_version": about.registry_version, "code": about.code}
    return {
        "name": name,
        "versions": [version],
        "platform": f"{about.format}_{about.file.rpartition('.')[2]}",
        "inputs": [{"name": INPUT, "datatype": number, "shape": [-1, model.width]}],
        "outputs": [{"name": about.output, "datatype": "FP64", "shape": shape}],
        "parameters": {"features": list(about.names)},
        "properties": {"sha256": model.sha256, **{key: value for key, value in known.items() if value}},
    }
