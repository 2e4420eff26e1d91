"""Whether two answers to the same request agree."""

import json
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.comparer import tensors, values
from modelrollout.comparer.answers import Answer
from modelrollout.comparer.rules import Compared, Difference, Kind, Rules
from modelrollout.comparer.tensors import OUTPUTS

_NONE: Final = object()


@dataclass(frozen=True, slots=True)
class Document:
    """An answer read as JSON."""

    value: Any
    """_NONE where it is not JSON."""
    rest: bytes = b""
    """What follows the JSON: binary tensors."""

    @property
    def is_json(self) -> bool:
        """Whether the answer is JSON."""
        return self.value is not _NONE

    @property
    def has_outputs(self) -> bool:
        """Whether it looks like an answer of the Open Inference Protocol."""
        return isinstance(self.value, dict) and isinstance(self.value.get(OUTPUTS), list)


def compare(stable: Answer, candidate: Answer, rules: Rules) -> Compared:
    """Compare two answers; never raises, whatever they hold.

    Two refusals with the same status agree, whatever they say, unless the bytes are to be equal.
    """
    if stable.status != candidate.status:
        return _differ(Kind.STATUS)
    if rules.mode == "exact":
        return _bytes(stable.body, candidate.body)
    if stable.status >= 400:
        return Compared()
    one, other = read(stable.body, stable.json_bytes), read(candidate.body, candidate.json_bytes)
    if not one.is_json or not other.is_json:
        return _bytes(stable.body, candidate.body)
    try:
        return _documents(one, other, rules)
    except RecursionError:
        return _bytes(stable.body, candidate.body)


def read(body: bytes, json_bytes: int | None) -> Document:
    """Read a body as JSON, if it is; `json_bytes` of it are, where binary tensors follow."""
    head, rest = (body, b"") if json_bytes is None else (body[:json_bytes], body[json_bytes:])
    try:
        return Document(json.loads(head), rest)
    except (ValueError, RecursionError):
        return Document(_NONE, body)


def _documents(one: Document, other: Document, rules: Rules) -> Compared:
    # Paths name what to compare in JSON; they cannot name what is in a binary tensor.
    pick = bool(rules.paths) and not one.rest and not other.rest
    if rules.mode != "json" and not pick and (one.has_outputs or other.has_outputs):
        if not one.has_outputs or not other.has_outputs:
            return _differ(Kind.MISSING, (OUTPUTS,))
        try:
            outputs = tensors.read(one.value, one.rest), tensors.read(other.value, other.rest)
        except tensors.UnreadableError:
            pass
        else:
            return tensors.compare(*outputs, rules)
    found = values.compare(one.value, other.value, rules)
    return found if not found.agree or one.rest == other.rest else _differ(Kind.BYTES)


def _bytes(one: bytes, other: bytes) -> Compared:
    return Compared() if one == other else _differ(Kind.BYTES)


def _differ(kind: Kind, location: tuple[str | int, ...] = ()) -> Compared:
    return Compared(Difference(kind, location), None, 1, 0)
