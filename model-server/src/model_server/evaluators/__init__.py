"""What turns rows into numbers: one module for each kind of model."""

from array import array
from typing import Protocol

from model_server.metadata import Metadata


class Evaluator(Protocol):
    """A loaded model."""

    @property
    def typecode(self) -> str:
        """The kind of floats that it was trained on: `d` for doubles, `f` for singles."""
        ...

    @property
    def outputs(self) -> int:
        """How many numbers it gives for a row."""
        ...

    def predict(self, values: "array[float]", rows: int) -> list[float]:
        """Return `rows` x `outputs` numbers, row by row, for values of the type `typecode`; NaN means missing."""
        ...


def load(data: bytes, metadata: Metadata) -> Evaluator:
    """Load the model that a file held; the library it needs is imported here and nowhere else.

    Raises ModelError.
    """
    if metadata.format == "lightgbm":
        return load_lightgbm(data, len(metadata.features))
    if metadata.format == "xgboost":
        from model_server.evaluators.xgboost import Translated  # noqa: PLC0415

        return Translated(data, metadata)
    if metadata.format == "onnx":
        from model_server.evaluators.onnx import Session  # noqa: PLC0415

        return Session(data, metadata)
    from model_server.evaluators.trees import from_file  # noqa: PLC0415

    return from_file(data, metadata.names)


def load_lightgbm(text: bytes, width: int, typecode: str = "d") -> Evaluator:
    """Load a model in LightGBM's text format, by our own library where it can and by LightGBM's where not.

    Raises ModelError.
    """
    from model_server.evaluators import forest  # noqa: PLC0415
    from model_server.evaluators.lightgbm import Booster  # noqa: PLC0415

    return forest.load(text, width, typecode) or Booster(text, width, typecode=typecode)
