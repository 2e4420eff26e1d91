"""What we know of every ModelRollout: small, and never older than what we wrote ourselves."""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.api.status import Status
from modelrollout.ports import Key

_FORGOTTEN_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_KEPT_METADATA: Final = ("name", "namespace", "uid", "generation", "resourceVersion", "deletionTimestamp")

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """The few facts that our own metrics tell of a rollout."""

    phase: str
    weight: int
    verdicts: tuple[tuple[str, str], ...]
    """Metric and verdict."""


class _Entry:
    """One rollout; slots and bytes, because there may be thousands."""

    __slots__ = ("data", "readable", "round", "summary", "uid", "version")

    def __init__(self, data: bytes, version: str, uid: str, listing: int, summary: Summary) -> None:
        self.data = data
        self.version = version
        self.uid = uid
        self.round = listing
        self.summary = summary
        self.readable: bytes | bool = False
        """Whether the spec in `data` could be read; until it was, the last data of which that is known, if any."""


class RolloutStore:
    """The cache of ModelRollouts, fed by the watch and by our own status writes."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._summaries: dict[Summary, Summary] = {}
        self._rounds: dict[str | None, int] = {}

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Take a rollout as the API server sent it; returns whether it tells anything new.

        What is older than the entry (a late event after our own write) is ignored.
        """
        metadata = raw["metadata"]
        key = key_of(raw)
        version, uid = str(metadata.get("resourceVersion", "")), str(metadata.get("uid", ""))
        listing = self._round(key)
        known = self._entries.get(key)
        entry = _Entry(b"", version, uid, listing, self._summary(raw.get("status") or {}))
        if known is not None and known.uid == uid:
            known.round = listing
            if not newer(version, known.version):
                return False
            entry.readable = known.data if known.readable is True else known.readable
        entry.data = _pack(raw)
        self._entries[key] = entry
        return True

    def was_read(self, key: Key) -> None:
        """Note that the present spec of a rollout means something to us."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.readable = True

    def readable_spec(self, key: Key) -> Raw | None:
        """Return the last spec that could be read; None where none was since we started."""
        entry = self._entries.get(key)
        if entry is None or entry.readable is False:
            return None
        data = entry.data if entry.readable is True else entry.readable
        return dict(_unpack(data)["spec"])

    def wrote_status(self, key: Key, status: Status, version: str) -> None:
        """Remember a status that we wrote, and the resourceVersion that the API server gave it."""
        entry = self._entries.get(key)
        if entry is None or not newer(version, entry.version):
            return
        raw = _unpack(entry.data)
        raw["status"] = status.model_dump(mode="json", exclude_none=True)
        raw["metadata"]["resourceVersion"] = version
        entry.data, entry.version, entry.summary = _pack(raw), version, self._summary(raw["status"])

    def raw(self, key: Key) -> Raw | None:
        """Return the rollout as it was last known, without managed fields; None where there is none."""
        entry = self._entries.get(key)
        return None if entry is None else _unpack(entry.data)

    def uid(self, key: Key) -> str | None:
        """Return the uid of a known rollout."""
        entry = self._entries.get(key)
        return None if entry is None else entry.uid

    def remove(self, key: Key, uid: str | None = None) -> bool:
        """Forget a rollout; with a uid only that very object, not one that took its name since."""
        entry = self._entries.get(key)
        if entry is None or (uid is not None and entry.uid != uid):
            return False
        del self._entries[key]
        return True

    def listing_begins(self, namespace: str | None) -> None:
        """Note that the API server is being asked for every rollout of a namespace (None: of all)."""
        self._rounds[namespace] = self._rounds.get(namespace, 0) + 1

    def listing(self, namespace: str | None) -> int:
        """Return the number of the last listing of a scope."""
        return self._rounds.get(namespace, 0)

    def vanished(self, namespace: str | None) -> list[Key]:
        """Return the rollouts that the last listing of that scope did not bring: deleted while nobody watched."""
        current = self._rounds.get(namespace, 0)
        return [
            key
            for key, entry in self._entries.items()
            if (namespace is None or key.namespace == namespace) and entry.round < current
        ]

    def summaries(self) -> Iterator[tuple[Key, Summary]]:
        """Yield what our own metrics tell of each rollout."""
        for key, entry in self._entries.items():
            yield key, entry.summary

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def _round(self, key: Key) -> int:
        return self._rounds.get(key.namespace, self._rounds.get(None, 0))

    def _summary(self, status: Mapping[str, Any]) -> Summary:
        """Return one shared object for equal summaries: idle rollouts mostly look the same."""
        summary = Summary(
            phase=str(status.get("phase") or "Initializing"),
            weight=int((status.get("weights") or {}).get("candidate") or 0),
            verdicts=tuple((str(item.get("name")), str(item.get("verdict"))) for item in status.get("verdicts") or ()),
        )
        if len(self._summaries) > 4 * len(self._entries) + 64:
            self._summaries = {entry.summary: entry.summary for entry in self._entries.values()}
        return self._summaries.setdefault(summary, summary)


def key_of(raw: Mapping[str, Any]) -> Key:
    """Return the key of a raw object."""
    return Key(str(raw["metadata"].get("namespace", "default")), str(raw["metadata"]["name"]))


def newer(version: str, than: str) -> bool:
    """Compare resourceVersions; those that are no numbers are new when they differ."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


def _pack(raw: Mapping[str, Any]) -> bytes:
    metadata = {name: raw["metadata"][name] for name in _KEPT_METADATA if name in raw["metadata"]}
    annotations = raw["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name not in _FORGOTTEN_ANNOTATIONS}
    if kept:
        metadata["annotations"] = kept
    compact = {
        "apiVersion": raw.get("apiVersion"),
        "kind": raw.get("kind"),
        "metadata": metadata,
        "spec": raw.get("spec"),
        "status": raw.get("status") or {},
    }
    return zlib.compress(json.dumps(compact, separators=(",", ":")).encode(), 6)


def _unpack(data: bytes) -> Raw:
    return dict(json.loads(zlib.decompress(data)))
