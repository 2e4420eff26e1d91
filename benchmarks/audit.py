"""The API server's audit log: which requests the operator sent, and when they were answered."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

OPERATOR: Final = "system:serviceaccount:modelrollout-system:modelrollout"
READS: Final = frozenset({"get", "list"})
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the operator; `at` is when it was answered, in Unix seconds."""

    at: float
    verb: str
    resource: str
    """Plural, with the subresource behind a slash."""
    namespace: str
    name: str
    code: int

    @property
    def is_write(self) -> bool:
        """Whether it wanted to change something."""
        return self.verb in WRITES

    @property
    def is_read(self) -> bool:
        """Whether it fetched an object or a list; a watch is neither."""
        return self.verb in READS


class AuditLog:
    """Reads what was appended to the log; lines of others than the operator are skipped."""

    def __init__(self, file: Path, user: str = OPERATOR) -> None:
        self._file = file
        self._user = user

    def mark(self) -> int:
        """Return a place in the log: now."""
        return self._file.stat().st_size

    def since(self, mark: int, namespace: str) -> list[Call]:
        """Return the operator's requests answered after a mark, oldest first; a watch counts when it begins.

        Those on objects in other namespaces are left out, but not those on a whole kind, nor those on leases.
        """
        with self._file.open("rb") as log:
            log.seek(mark)
            lines = log.read().splitlines()
        calls = (self._call(line) for line in lines if self._user.encode() in line)
        return [call for call in calls if call and (call.namespace in ("", namespace) or call.resource == "leases")]

    def _call(self, line: bytes) -> Call | None:
        try:
            entry = json.loads(line)
        except ValueError:
            return None  # the last line may not be whole yet
        began = "ResponseStarted" if entry["verb"] == "watch" else "ResponseComplete"
        if entry["user"]["username"] != self._user or entry["stage"] not in (began, "Panic"):
            return None
        return _call(entry)


def _call(entry: dict[str, Any]) -> Call:
    thing = entry.get("objectRef") or {}
    parts = (thing.get("resource") or entry["requestURI"], thing.get("subresource"))
    return Call(
        at=datetime.fromisoformat(entry["stageTimestamp"]).timestamp(),
        verb=entry["verb"],
        resource="/".join(part for part in parts if part),
        namespace=thing.get("namespace", ""),
        name=thing.get("name", ""),
        code=int((entry.get("responseStatus") or {}).get("code", 0)),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests by kind, leases apart."""

    reads: int
    writes: int
    watches: int
    leases: int
    by_kind: dict[str, int]
    """`verb resource` -> requests, leases left out."""


def count(calls: Sequence[Call]) -> Counts:
    """Count requests."""
    others = [call for call in calls if call.resource != "leases"]
    kinds = Counter(f"{call.verb} {call.resource}" for call in others)
    return Counts(
        reads=sum(call.is_read for call in others),
        writes=sum(call.is_write for call in others),
        watches=sum(call.verb == "watch" for call in others),
        leases=len(calls) - len(others),
        by_kind=dict(kinds.most_common()),
    )


def route_writes(calls: Iterable[Call]) -> list[float]:
    """Return when HTTPRoutes were written, with success."""
    routes = (call for call in calls if call.resource == "httproutes")
    return [call.at for call in routes if call.is_write and call.code < 400]
