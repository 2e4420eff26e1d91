"""Read Universal Binary JSON, the binary form that XGBoost saves models in."""

import struct
from typing import Any

_NUMBERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEPTH = 64


class UbjsonError(ValueError):
    """The bytes are no Universal Binary JSON."""


def loads(data: bytes) -> Any:
    """Return the value that the bytes hold: what `json.loads` would return for the same document.

    Raises UbjsonError.
    """
    try:
        return _Reader(data).value()
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise UbjsonError(f"the file ends early or is damaged: {error}") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0

    def value(self, marker: bytes | None = None) -> Any:
        marker = marker or self._take(1)
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == b"S":
            return self._text()
        if marker == b"C":
            return self._take(1).decode()
        if marker not in (b"[", b"{"):
            raise UbjsonError(f"unknown marker {marker!r} at byte {self._at - 1}")
        self._depth += 1
        if self._depth > _DEPTH:
            raise UbjsonError(f"nested deeper than {_DEPTH}")
        result = self._array() if marker == b"[" else self._object()
        self._depth -= 1
        return result

    def _array(self) -> list[Any]:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            form = _NUMBERS[kind]
            size = struct.calcsize(form) * count
            return list(struct.unpack(f"{form[0]}{count}{form[1]}", self._take(size)))
        if count is not None:
            return [self.value(kind) for _ in range(count)]
        items = []
        while self._peek() != b"]":
            items.append(self.value())
        self._at += 1
        return items

    def _object(self) -> dict[str, Any]:
        kind, count = self._header()
        if count is not None:
            return {self._text(): self.value(kind) for _ in range(count)}
        found = {}
        while self._peek() != b"}":
            key = self._text()
            found[key] = self.value()
        self._at += 1
        return found

    def _header(self) -> tuple[bytes | None, int | None]:
        """Read the optional type and count that all items of a container share."""
        kind = count = None
        if self._peek() == b"$":
            self._at += 1
            kind = self._take(1)
        if self._peek() == b"#":
            self._at += 1
            count = self._count()
        elif kind:
            raise UbjsonError(f"a type without a count at byte {self._at}")
        return kind, count

    def _count(self) -> int:
        marker = self._take(1)
        number = self._number(marker) if marker in _NUMBERS else -1
        if not isinstance(number, int) or not 0 <= number <= len(self._data):
            raise UbjsonError(f"a length that cannot be at byte {self._at}")
        return number

    def _number(self, marker: bytes) -> Any:
        form = _NUMBERS[marker]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self) -> str:
        return self._take(self._count()).decode()

    def _peek(self) -> bytes:
        while (found := self._data[self._at : self._at + 1]) == b"N":
            self._at += 1
        if not found:
            raise UbjsonError("the file ends early")
        return found

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise UbjsonError("the file ends early")
        self._at += size
        return part
