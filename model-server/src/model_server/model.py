"""A model that may serve: metadata, evaluator and the proof that it answers as it should."""

import hashlib
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from model_server import evaluators, metadata, sources
from model_server.evaluators import Evaluator
from model_server.metadata import Metadata, ModelError

# Trees sum in another order than their library does; more than rounding is another model.
GOLDEN_TOLERANCE = 1e-6
WARM_UP = 20


@dataclass(frozen=True)
class Model:
    """What answers requests; `sha256` is the hash of the model's file."""

    metadata: Metadata
    evaluator: Evaluator
    sha256: str

    @property
    def width(self) -> int:
        """How many features a row has."""
        return len(self.metadata.features)

    def array(self, values: list[float] | list[float | None]) -> "array[float]":
        """Return values as the model reads them; None becomes NaN."""
        return array(self.evaluator.typecode, [math.nan if value is None else value for value in values])


def built_in() -> Model:
    """Load the model that comes with the package."""
    folder = resources.files("model_server").joinpath("data")
    return _from(lambda name: folder.joinpath(name).read_bytes(), "the built-in model")


def load(uri: str, sha256: str = "") -> Model:
    """Load a model and its metadata from where they are kept; an empty `uri` is the built-in model.

    `uri` names the metadata file or the folder that it is in: a path, file://, http(s):// or s3://. When `sha256` is
    given, the model's file must have it, whatever the metadata say. Blocks. Raises ModelError.
    """
    if not uri:
        return built_in()
    base = uri.removesuffix(metadata.FILE).rstrip("/")
    local = sources.local(base)
    if local is None:
        return _from(lambda name: sources.fetch(f"{base}/{name}"), base, sha256)
    return _from(lambda name: (local / name).read_bytes(), base, sha256)


def _from(read: Callable[[str], bytes], origin: str, sha256: str = "") -> Model:
    try:
        described = metadata.decode(read(metadata.FILE), f"{origin}/{metadata.FILE}")
        data = read(described.file)
    except OSError as error:
        raise ModelError(f"{origin}: {error.strerror}: {error.filename}") from None
    found = hashlib.sha256(data).hexdigest()
    for wanted, by in ((described.sha256, "the metadata"), (sha256, "MODEL_SHA256")):
        if wanted and wanted != found:
            raise ModelError(f"{origin}/{described.file}: its SHA-256 is {found}, {by} ask for {wanted}")
    try:
        model = Model(described, evaluators.load(data, described), found)
    except ModelError as error:
        raise ModelError(f"{origin}/{described.file}: {error}") from None
    check(model, origin)
    return model


def check(model: Model, origin: str) -> None:
    """Warm the model up with its golden rows, and refuse it when an answer is not the expected one.

    Raises ModelError.
    """
    golden = model.metadata.golden
    for position, each in enumerate(golden):
        answer = model.evaluator.predict(model.array(list(each.row)), 1)
        if len(answer) != len(each.answer) or not all(map(_close, answer, each.answer)):
            raise ModelError(f"{origin}: golden[{position}] must give {list(each.answer)}, the model gives {answer}")
    rows = [value for each in golden for value in each.row] or [0.0] * model.width
    for _ in range(WARM_UP):
        model.evaluator.predict(model.array(rows), len(rows) // model.width)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=GOLDEN_TOLERANCE, abs_tol=GOLDEN_TOLERANCE)
