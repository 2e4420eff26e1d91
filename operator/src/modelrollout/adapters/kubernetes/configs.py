"""Digests of ConfigMaps and Secrets, for rollouts whose revisions follow their content.

Only digests are kept: the content of a Secret leaves this process's memory with the event that brought it.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelrollout.adapters.kubernetes.cache import Changed, Name
from modelrollout.adapters.kubernetes.references import names_in
from modelrollout.ports import Key

Kind = Literal["configmap", "secret"]
Item = tuple[Kind, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The configuration that a template names."""

    digests: Mapping[str, str]
    """`configmap/name` or `secret/name` to the digest of its content; "" for an optional one that is absent."""
    missing: tuple[str, ...] = ()
    """Named, not optional, and not there: pods would not start, so a revision of it means nothing yet."""


class Configs:
    """Digests of every ConfigMap and Secret seen, and which rollouts asked for them."""

    def __init__(self, on_change: Changed) -> None:
        self._on_change = on_change
        self._digests: dict[Item, bytes] = {}
        self._readers: dict[Item, set[Key]] = {}
        self._read: dict[Key, frozenset[Item]] = {}

    def tracked(self, key: Key, template: Mapping[str, Any]) -> Tracked:
        """Return what a rollout's template names; from now on the rollout is told of changes to it."""
        maps, secrets = names_in(template)
        wanted: dict[Item, bool] = {("configmap", key.namespace, name): needed for name, needed in maps.items()}
        wanted |= {("secret", key.namespace, name): needed for name, needed in secrets.items()}
        self._remember(key, frozenset(wanted))
        digests = {f"{kind}/{name}": self._hex((kind, space, name)) for kind, space, name in sorted(wanted)}
        missing = [f"{item[0]}/{item[2]}" for item, needed in wanted.items() if needed and item not in self._digests]
        return Tracked(digests, tuple(sorted(missing)))

    def forget(self, key: Key) -> None:
        """Tell a rollout no more of changes."""
        self._remember(key, frozenset())

    def sink(self, kind: Kind) -> "ConfigSink":
        """Return where a reflector of that kind delivers."""
        return ConfigSink(self, kind)

    def put(self, item: Item, digest: bytes | None) -> None:
        """Take in the digest of an item's content; None where the item is gone."""
        old = self._digests.get(item)
        if digest is None:
            self._digests.pop(item, None)
        else:
            self._digests[item] = digest
        if old != digest:
            for key in self._readers.get(item, ()):
                self._on_change(key)

    def retain(self, kind: Kind, names: Collection[Name]) -> None:
        """Forget every item of a kind that is not among these."""
        for item in [item for item in self._digests if item[0] == kind and item[1:] not in names]:
            self.put(item, None)

    def _hex(self, item: Item) -> str:
        return self._digests.get(item, b"").hex()

    def _remember(self, key: Key, items: frozenset[Item]) -> None:
        old = self._read.pop(key, frozenset())
        for item in old - items:
            self._readers[item].discard(key)
            if not self._readers[item]:
                del self._readers[item]
        for item in items - old:
            self._readers.setdefault(item, set()).add(key)
        if items:
            self._read[key] = items


@dataclass(frozen=True, slots=True)
class ConfigSink:
    """Where a reflector of ConfigMaps or Secrets delivers."""

    configs: Configs
    kind: Kind

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Take in an object that was added, modified or deleted."""
        meta = raw["metadata"]
        item: Item = (self.kind, meta["namespace"], meta["name"])
        self.configs.put(item, None if kind == "DELETED" else digest_of(raw))

    def retain(self, names: Collection[Name]) -> None:
        """Forget every object that is not among these."""
        self.configs.retain(self.kind, names)


def digest_of(raw: Mapping[str, Any]) -> bytes:
    """Return a digest over `data` and `binaryData`; nothing else of the object reaches a container."""
    content = [raw.get("data") or {}, raw.get("binaryData") or {}]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
