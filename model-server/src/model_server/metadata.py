"""What a model's file does not say: the schema, reference bins, golden requests and where the model came from."""

from pathlib import Path
from typing import Literal

import msgspec

FILE = "metadata.json"
FORMATS = ("lightgbm", "xgboost", "onnx", "trees")
Format = Literal["lightgbm", "xgboost", "onnx", "trees"]
Task = Literal["classification", "regression"]
# Enough for a look at the shape of probabilities where no training data chose the bounds.
DEFAULT_BOUNDS = tuple(round(step / 20, 2) for step in range(1, 20))


class ModelError(ValueError):
    """A model or its metadata cannot be used; the text says which, what was wrong and what to do."""


class Feature(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input of the model.

    `bins` are inner bounds, ascending: bin i holds values above bound i-1 and up to bound i. Categories have a bin
    each and no bounds. `reference` are the shares of training rows in each bin, those with no value last.
    """

    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()
    missing: bool = False
    bins: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()

    @property
    def bin_count(self) -> int:
        """How many bins there are, the one of missing values not counted."""
        return len(self.categories) if self.categories else len(self.bins) + 1


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row and the answer that the model must give to it before it may serve; null stands for a missing value."""

    row: tuple[float | None, ...]
    answer: tuple[float, ...]


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file `metadata.json` beside a model.

    `threshold` is the probability from which a binary answer means 1; `tolerance` is the absolute error up to which
    an answer of a regression counts as right. `metrics` and `libraries` are for people and reports.
    """

    format: Format
    file: str
    features: tuple[Feature, ...]
    sha256: str = ""
    name: str = ""
    version: str = ""
    output: str = "probability"
    task: Task = "classification"
    threshold: float = 0.5
    tolerance: float = 0.0
    prediction_bounds: tuple[float, ...] = DEFAULT_BOUNDS
    prediction_reference: tuple[float, ...] = ()
    slice_feature: str = ""
    slice_values: tuple[str, ...] = ()
    golden: tuple[Golden, ...] = ()
    data: str = ""
    run: str = ""
    registry_version: str = ""
    code: str = ""
    seed: int = 0
    metrics: dict[str, float | dict[str, float]] = {}
    libraries: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in the model's order."""
        return tuple(feature.name for feature in self.features)


def decode(text: bytes, origin: str) -> Metadata:
    """Read metadata; `origin` names it in errors.

    Raises ModelError.
    """
    try:
        metadata = msgspec.json.decode(text, type=Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{origin}: {error}; compare it with what `model-server train` writes") from None
    _check(metadata, origin)
    return metadata


def encode(metadata: Metadata) -> bytes:
    """Return metadata as indented JSON with a line end: the same for the same values, byte by byte."""
    return msgspec.json.format(msgspec.json.encode(metadata), indent=1) + b"\n"


def _check(metadata: Metadata, origin: str) -> None:
    def refuse(field: str, wrong: str) -> None:
        raise ModelError(f"{origin}: {field}: {wrong}")

    names = metadata.names
    if not names or len(set(names)) != len(names) or "" in names:
        refuse("features", "name every feature once, and at least one")
    if Path(metadata.file).name != metadata.file:
        refuse("file", f"{metadata.file!r} must be the name of a file beside the metadata")
    if metadata.slice_feature and metadata.slice_feature not in names:
        refuse("slice_feature", f"{metadata.slice_feature!r} is no feature")
    for feature in metadata.features:
        if list(feature.bins) != sorted(set(feature.bins)):
            refuse(f"features[{feature.name}].bins", "bounds must ascend")
    bounds = metadata.prediction_bounds
    if not bounds or list(bounds) != sorted(set(bounds)):
        refuse("prediction_bounds", "bounds must ascend, and there must be one")
    for position, golden in enumerate(metadata.golden):
        if len(golden.row) != len(names):
            refuse(f"golden[{position}].row", f"must hold {len(names)} values, one for each feature")
