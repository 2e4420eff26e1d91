"""Comparing answers of the Open Inference Protocol: their outputs, as JSON or binary tensors."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelrollout.comparer import numbers
from modelrollout.comparer.rules import Compared, Findings, Kind, Rules

OUTPUTS: Final = "outputs"
_FORMATS: Final = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}

Values = list[Any] | npt.NDArray[Any]


class UnreadableError(ValueError):
    """An answer that looks like the protocol and is none."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One output."""

    at: int
    """Its position among the outputs."""
    datatype: str
    shape: tuple[int, ...]
    values: Values
    """Flat, in row-major order."""

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return isinstance(self.values, np.ndarray) or numbers.plain(self.values)


def read(document: Mapping[str, Any], binary: bytes) -> dict[str, Tensor]:
    """Return the outputs of an answer by name; `binary` is what follows its JSON.

    Raises UnreadableError.
    """
    found: dict[str, Tensor] = {}
    rest = memoryview(binary)
    for at, output in enumerate(document[OUTPUTS]):
        try:
            size = (output.get("parameters") or {}).get("binary_data_size")
            shape = tuple(map(int, output["shape"]))
            values: Values
            if size is None:
                values = _flat(output["data"])
            else:
                values, rest = _binary(output["datatype"], rest[:size], size), rest[size:]
            if len(values) != math.prod(shape):
                raise UnreadableError(f"output {at} has {len(values)} values for the shape {list(shape)}")
            found[str(output["name"])] = Tensor(at, str(output["datatype"]), shape, values)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise UnreadableError(f"output {at}: {error}") from None
    return found


def compare(one: Mapping[str, Tensor], other: Mapping[str, Tensor], rules: Rules) -> Compared:
    """Compare outputs by name. A row is what has the same first index in all of them."""
    findings = Findings()
    names = [name for name in {**one, **other} if not _ignored(name, one.get(name) or other[name], rules)]
    rows = _rows(one, names)
    for name in names:
        first, second = one.get(name), other.get(name)
        if first is None or second is None:
            _whole(findings, Kind.MISSING, (one.get(name) or other[name]).at, rows)
        elif first.shape != second.shape or first.numeric != second.numeric:
            _whole(findings, Kind.SHAPE, first.at, rows)
        elif first.numeric:
            _numbers(findings, first, second, rules, rows)
        else:
            _others(findings, first, second, rows)
    return findings.outcome(rows)


def _numbers(findings: Findings, one: Tensor, other: Tensor, rules: Rules, rows: int) -> None:
    if rules.top1 and (wrong := _tops(one, other, rules)) is not None:
        _beyond(findings, one, wrong, math.prod(one.shape[:-1]), rows)
        return
    if len(one.values):
        largest, beyond = numbers.compare(one.values, other.values, rules)
        findings.apart(largest)
        _beyond(findings, one, beyond, len(one.values), rows)


def _tops(one: Tensor, other: Tensor, rules: Rules) -> list[int] | None:
    """Return the rows whose highest class is another; None where rows are no scores of classes."""
    if len(one.shape) < 2 or one.shape[-1] < 2 or not len(one.values):
        return None
    first = np.asarray(one.values, float).reshape(-1, one.shape[-1])
    second = np.asarray(other.values, float).reshape(-1, one.shape[-1])
    if np.isnan(first).any() or np.isnan(second).any():
        return None
    return list(numbers.tops(first, second, rules))


def _others(findings: Findings, one: Tensor, other: Tensor, rows: int) -> None:
    pairs = zip(one.values, other.values, strict=True)
    _beyond(findings, one, [at for at, (a, b) in enumerate(pairs) if a != b], len(one.values), rows)


def _beyond(findings: Findings, tensor: Tensor, positions: Any, count: int, rows: int) -> None:
    """Note differences at positions of `count` equal parts of a tensor."""
    if not len(positions):
        return
    findings.bad_rows.update(int(at) * rows // count for at in positions)
    findings.row = int(positions[0]) * rows // count
    findings.differ(Kind.VALUE, (OUTPUTS, tensor.at, "data", int(positions[0]) * len(tensor.values) // count))


def _whole(findings: Findings, kind: Kind, at: int, rows: int) -> None:
    findings.bad_rows.update(range(rows))
    findings.differ(kind, (OUTPUTS, at))


def _rows(outputs: Mapping[str, Tensor], names: list[str]) -> int:
    first = {outputs[name].shape[:1] for name in names if name in outputs}
    if len(first) == 1 and (shape := first.pop()):
        return max(1, shape[0])
    return 1


def _ignored(name: str, tensor: Tensor, rules: Rules) -> bool:
    # An output is an element of a list, but people know it by its name.
    ignore = rules.ignore
    place = (OUTPUTS, tensor.at)
    return bool(ignore) and (ignore.cover((name,)) or ignore.cover(place) or ignore.cover((*place, "data")))


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise UnreadableError("data is no list")
    while data and isinstance(data[0], list):
        data = [value for row in data for value in row]
    if any(isinstance(value, list | dict) for value in data):
        raise UnreadableError("data is ragged")
    if None in data and numbers.plain([value for value in data if value is not None]):
        return [math.nan if value is None else value for value in data]
    return list(data)


def _binary(datatype: str, data: memoryview, size: int) -> Values:
    if len(data) != size:
        raise UnreadableError(f"{size} bytes were announced, {len(data)} came")
    if datatype == "BYTES":
        return _elements(data)
    if datatype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")  # the upper half of an FP32
    found: npt.NDArray[Any] = np.frombuffer(data, _FORMATS[datatype])
    return found.tolist() if datatype == "BOOL" else found


def _elements(data: memoryview) -> list[str]:
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            raise UnreadableError("an element of BYTES is cut off")
        # As JSON would carry it, so that both forms compare.
        found.append(bytes(data[at + 4 : at + 4 + length]).decode("utf-8", "surrogateescape"))
        at += 4 + length
    return found
