"""JSON paths, the small part of them that names fields: `$.outputs[*].data`, `["a key"]`, or a bare `key`.

A bare name means the key of that name wherever it is; anything else begins at the root.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

Location = tuple[str | int, ...]
"""Where a value is: keys of objects and positions in lists, from the root."""

REDACTED: Final = "[redacted]"
ANY: Final = None
"""Matches every key and every position."""

_BARE: Final = re.compile(r"[^\s.\[\]*$'\"]+")
_PART: Final = re.compile(
    r"""\.(?P<key>[^\s.\[\]*$'"]+)|\[(?P<at>[0-9]{1,9})\]|\[(['"])(?P<quoted>.+?)\3\]|\.\*|\[\*\]"""
)


class Paths:
    """Several paths. Raises ValueError for a text that is none."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._names = frozenset(text for text in self.texts if _BARE.fullmatch(text))
        self._rooted = tuple(_parts(text) for text in self.texts if text not in self._names)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def cover(self, location: Location) -> bool:
        """Say whether one of them names this place itself; places below it are not looked at."""
        if location and location[-1] in self._names:
            return True
        return any(_matches(parts, location) for parts in self._rooted)

    def found(self, document: Any) -> dict[Location, Any]:
        """Return what they name in a document, by its place."""
        return dict(self._search(document, ()))

    def redacted(self, value: Any, location: Location = ()) -> Any:
        """Return a copy of a document in which what they name is replaced."""
        if self.cover(location):
            return REDACTED
        if isinstance(value, dict):
            return {key: self.redacted(inner, (*location, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.redacted(inner, (*location, at)) for at, inner in enumerate(value)]
        return value

    def _search(self, value: Any, location: Location) -> Iterator[tuple[Location, Any]]:
        if self.cover(location):
            yield location, value
            return
        inner: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        for key, each in inner:
            yield from self._search(each, (*location, key))


def written(location: Location) -> str:
    """Write a place as a path: `$.outputs[0].data[3]`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in location)
    return "$" + "".join(parts)


def _matches(parts: tuple[str | int | None, ...], location: Location) -> bool:
    return len(parts) == len(location) and all(
        part is ANY or part == key for part, key in zip(parts, location, strict=True)
    )


def _parts(text: str) -> tuple[str | int | None, ...]:
    rest = text.removeprefix("$") if text.startswith("$") else text if text.startswith("[") else f".{text}"
    parts: list[str | int | None] = []
    at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None:
            raise ValueError(f"{text!r} is no JSON path; write for instance $.outputs[*].data, or a bare key")
        number, key = match["at"], match["key"] or match["quoted"]
        parts.append(int(number) if number is not None else key)
        at = match.end()
    return tuple(parts)
