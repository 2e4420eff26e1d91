"""Golden requests: as they are written in a ConfigMap, and how an answer differs from the one that is known. Pure.

[{"name": "low risk", "path": "/v2/models/fraud/infer", "body": {...}, "expect": {"json": {"outputs": [...]}}}]
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from modelrollout.api.patterns import HEADER_NAME, PATH

MOST: Final = 1000
"""Requests in one ConfigMap."""
LONGEST_SHOWN: Final = 200
"""Characters of an answer that are shown: enough to see a number, too few for a row of data."""
METHODS: Final = r"^[A-Z]{3,7}$"


class Expected(BaseModel):
    """The answer that is known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    status: int = Field(200, ge=100, le=599)
    json_: Any = Field(None, alias="json")
    whole: bool = False
    """Objects hold these fields and no others."""
    headers: dict[str, str] = {}


class Golden(BaseModel):
    """One request, and its answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field("", max_length=100)
    method: str = Field("POST", pattern=METHODS)
    path: str | None = Field(None, max_length=1000, pattern=PATH.removesuffix("$") + r"(\?[^\s#]*)?$")
    headers: dict[str, str] = {}
    body: Any = None
    expect: Expected = Expected()

    def content(self) -> bytes | None:
        """Return what to send: a text as it is, anything else as JSON."""
        if "body" not in self.model_fields_set:
            return None
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


_LIST: Final = TypeAdapter(list[Golden])


def read(text: str, path: str | None) -> list[Golden]:
    """Read the requests of a ConfigMap; `path` is for those that name none. Raises ValueError, naming the fault."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    try:
        found = _LIST.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise ValueError(f"{place or 'the whole'}: {first['msg']}") from None
    if not 1 <= len(found) <= MOST:
        raise ValueError(f"holds {len(found)} requests; write 1 to {MOST}")
    for index, one in enumerate(found):
        if one.path is None and path is None:
            raise ValueError(f"[{index}] has no path; give it one, or give the gate's requests.path for all")
        for name in (*one.headers, *one.expect.headers):
            if not _is_header(name):
                raise ValueError(f"[{index}].headers: {name!r} is no name of a header")
        one.path = one.path or path
        one.name = one.name or f"[{index}]"
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """How two JSON values are compared."""

    tolerance: float
    whole: bool

    def difference(self, expected: Any, got: Any, path: str = "$") -> str | None:
        """Return where and how an answer differs; None where it does not."""
        if isinstance(expected, Mapping) and isinstance(got, Mapping):
            return self._fields(expected, got, path)
        if isinstance(expected, list) and isinstance(got, list):
            return self._items(expected, got, path)
        if _is_number(expected) and _is_number(got):
            return None if self._near(expected, got) else told(path, expected, got)
        same = type(expected) is type(got) and expected == got
        return None if same else told(path, expected, got)

    def _fields(self, expected: Mapping[str, Any], got: Mapping[str, Any], path: str) -> str | None:
        for name, value in expected.items():
            if name not in got:
                return f"{path}.{name}: expected {shown(value)}, is not there"
            if (found := self.difference(value, got[name], f"{path}.{name}")) is not None:
                return found
        more = [name for name in got if name not in expected] if self.whole else []
        return f"{path}.{more[0]}: not expected, got {shown(got[more[0]])}" if more else None

    def _items(self, expected: list[Any], got: list[Any], path: str) -> str | None:
        if len(expected) != len(got):
            return f"{path}: expected {len(expected)} items, got {len(got)}"
        for index, (value, other) in enumerate(zip(expected, got, strict=True)):
            if (found := self.difference(value, other, f"{path}[{index}]")) is not None:
                return found
        return None

    def _near(self, expected: float, got: float) -> bool:
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        return expected == got or abs(expected - got) <= self.tolerance


def told(path: str, expected: Any, got: Any) -> str:
    """Return the words for a value that is another."""
    return f"{path}: expected {shown(expected)}, got {shown(got)}"


def shown(value: Any) -> str:
    """Return a value as JSON, cut short."""
    text = json.dumps(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_header(name: str) -> bool:
    return re.fullmatch(HEADER_NAME, name) is not None
