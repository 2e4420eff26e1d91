"""One named entry in a list of somebody else's object, of which a part is ours while the rest stays as it is.

Lists of rules are atomic, so nobody can own one entry by server-side apply. Each write is a patch of single fields at
the resourceVersion that they were read at: whoever was faster wins, and we look again. Annotations on the object say
which rollout adopted which entry, and hold the latch; a label without value brings it into our watch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.adapters.kubernetes.cache import Routes
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.errors import NotFound
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.api.base import ADOPTED_PREFIX, GROUP, NAME_LABEL
from modelrollout.api.resource import ModelRollout
from modelrollout.api.traffic import RuleRef
from modelrollout.ports import Key, TerminalError

LATCH_PREFIX: Final = f"latch.{GROUP}/"
KEEP: Final = "-keep"
"""What the name of our entry at the end has after that of the one before."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An adopted entry as it is."""

    raw: Mapping[str, Any]
    rule: Object
    before: Object | None
    """Our own entry that stands before it."""
    latch: str | None
    keep: Object | None = None
    """Our own entry that nothing matches, at the end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An adopted entry as it should be, and our own ones around it."""

    rule: Object
    before: Object | None = None
    keep: Object | None = None
    waits: bool = False
    """It does not say yet what it has to, so the latch is not set either."""


Change = Callable[[Entry], Wanted]


class Adoption:
    """Reads and writes adopted entries of one kind of object.

    `spot` is the list's name below `spec`, `place` the field of ModelRollout that asks for it, both for messages too.
    """

    def __init__(self, api: Api, routes: Routes, spot: str, place: str) -> None:
        self._api = api
        self._routes = routes
        self._spot = spot
        self._place = place

    def read(self, resource: Resource, rollout: ModelRollout, ref: RuleRef) -> Entry | None:
        """Return the entry as last watched or written; None where it is not there, or not adopted yet."""
        meta = rollout.metadata
        raw = self._routes.get(resource, meta.namespace, ref.name)
        notes = (raw["metadata"].get("annotations") or {}) if raw else {}
        if raw is None or notes.get(ADOPTED_PREFIX + meta.name) != ref.rule:
            return None
        return self._entry(raw, rollout, ref)

    def _entry(self, raw: Mapping[str, Any], rollout: ModelRollout, ref: RuleRef) -> Entry | None:
        named = {one.get("name"): one for one in reversed(self._entries(raw))}
        own, notes = own_name(rollout, ref), raw["metadata"].get("annotations") or {}
        if ref.rule not in named:
            return None
        latch = notes.get(LATCH_PREFIX + rollout.metadata.name)
        return Entry(raw, named[ref.rule], named.get(own), latch, named.get(own + KEEP))

    async def write(
        self, resource: Resource, rollout: ModelRollout, ref: RuleRef, change: Change, latch: str | None
    ) -> None:
        """Adopt the entry where it is not adopted yet, and change it; nothing else in the object is touched.

        TerminalError where it is not there or another rollout's; ConflictError where somebody else was faster.
        """
        raw = await self._found(resource, rollout, ref)
        entries, entry = self._entries(raw), self._entry(raw, rollout, ref)
        if entry is None:
            named = ", ".join(str(one["name"]) for one in entries if one.get("name")) or "none"
            raise self._refusal(
                rollout,
                f"{_title(resource, raw)} has no entry named {ref.rule!r} in spec.{self._spot} (named are: {named})",
                "give the entry to be split this name, or name another",
            )
        self._check_free(resource, rollout, ref, raw)
        wanted = change(entry)
        operations = [
            *_notes(raw, rollout, ref, entry.latch if wanted.waits else latch),
            *_patch(f"/spec/{self._spot}", entries, ref.rule, own_name(rollout, ref), wanted),
        ]
        if operations:
            version = str(raw["metadata"]["resourceVersion"])
            raw = await self._api.patch(resource, rollout.metadata.namespace, ref.name, version, operations)
        self._routes.event(resource, "MODIFIED", raw)

    async def leave(self, resource: Resource, key: Key) -> None:
        """Take our entries that nothing matches out of the objects that a rollout adopted; ConflictError as above."""
        for name in self._routes.names(resource, key):
            held = self._routes.get(resource, key.namespace, name) or {"metadata": {}}
            rule = (held["metadata"].get("annotations") or {}).get(ADOPTED_PREFIX + key.name)
            ours = _own(str(rule), key.name) + KEEP
            if _index(self._entries(held), ours) is None:
                continue
            try:
                raw = await self._api.get(resource, key.namespace, name)
            except NotFound:
                continue
            operations = list(_patch_keep(f"/spec/{self._spot}", self._entries(raw), ours, None))
            if operations:
                version = str(raw["metadata"]["resourceVersion"])
                raw = await self._api.patch(resource, key.namespace, name, version, operations)
                self._routes.event(resource, "MODIFIED", raw)

    async def _found(self, resource: Resource, rollout: ModelRollout, ref: RuleRef) -> Object:
        namespace = rollout.metadata.namespace
        try:
            return await self._api.get(resource, namespace, ref.name)
        except NotFound:
            what = f"{resource.kind} {namespace}/{ref.name} does not exist"
            raise self._refusal(rollout, what, f"create it with an entry named {ref.rule!r}") from None

    def _check_free(self, resource: Resource, rollout: ModelRollout, ref: RuleRef, raw: Mapping[str, Any]) -> None:
        labels, notes = raw["metadata"].get("labels") or {}, raw["metadata"].get("annotations") or {}
        if labels.get(NAME_LABEL):
            what = f"{_title(resource, raw)} was made by rollout {labels[NAME_LABEL]}"
            raise self._refusal(rollout, what, "name an object that no rollout made")
        for note, rule in notes.items():
            other = note.removeprefix(ADOPTED_PREFIX)
            if note.startswith(ADOPTED_PREFIX) and other != rollout.metadata.name and rule == ref.rule:
                what = f"entry {rule!r} of {_title(resource, raw)} is adopted by rollout {other} already"
                remedy = f"name another, or take the annotation {note} off if that rollout is gone"
                raise self._refusal(rollout, what, remedy)

    def _refusal(self, rollout: ModelRollout, what: str, remedy: str) -> TerminalError:
        meta = rollout.metadata
        return TerminalError(f"ModelRollout {meta.namespace}/{meta.name}: {self._place}: {what}; {remedy}")

    def _entries(self, raw: Mapping[str, Any]) -> list[Object]:
        return list((raw.get("spec") or {}).get(self._spot) or [])


def own_name(rollout: ModelRollout, ref: RuleRef) -> str:
    """Return the name of our own entry before an adopted one."""
    return _own(ref.rule, rollout.metadata.name)


def _own(rule: str, rollout: str) -> str:
    return f"{rule}-{rollout}"


def _title(resource: Resource, raw: Mapping[str, Any]) -> str:
    return f"{resource.kind} {raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _index(entries: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return next((index for index, entry in enumerate(entries) if entry.get("name") == name), None)


def _patch(root: str, entries: list[Object], rule: str, own: str, wanted: Wanted) -> Iterator[Object]:
    """Yield the operations on the list; places count as they are after the operations before."""
    index = _index(entries, rule) or 0
    entry, after = entries[index], wanted.rule
    for key in sorted(entry.keys() | after.keys()):
        path = f"{root}/{index}/{_escaped(key)}"
        if key not in after:
            yield {"op": "remove", "path": path}
        elif key not in entry or entry[key] != after[key]:
            yield {"op": "add", "path": path, "value": after[key]}
    place = _index(entries, own)
    if place is not None and (wanted.before is None or place > index):
        yield {"op": "remove", "path": f"{root}/{place}"}
        del entries[place]
        place = None
    if wanted.before is not None:
        index = _index(entries, rule) or 0
        if place is None:
            yield {"op": "add", "path": f"{root}/{index}", "value": wanted.before}
            entries.insert(index, wanted.before)
        elif entries[place] != wanted.before:
            yield {"op": "replace", "path": f"{root}/{place}", "value": wanted.before}
    yield from _patch_keep(root, entries, own + KEEP, wanted.keep)


def _patch_keep(root: str, entries: Sequence[Object], name: str, keep: Object | None) -> Iterator[Object]:
    place = _index(entries, name)
    if place is None and keep is not None:
        yield {"op": "add", "path": f"{root}/-", "value": keep}
    elif place is not None and keep is None:
        yield {"op": "remove", "path": f"{root}/{place}"}
    elif place is not None and entries[place] != keep:
        yield {"op": "replace", "path": f"{root}/{place}", "value": keep}


def _notes(raw: Mapping[str, Any], rollout: ModelRollout, ref: RuleRef, latch: str | None) -> Iterator[Object]:
    """Yield the operations on labels and annotations."""
    name = rollout.metadata.name
    notes = {ADOPTED_PREFIX + name: ref.rule, LATCH_PREFIX + name: latch}
    for field, wanted in (("labels", {NAME_LABEL: ""}), ("annotations", notes)):
        found = raw["metadata"].get(field)
        if found is None:
            yield {"op": "add", "path": f"/metadata/{field}", "value": {}}
        for key, value in wanted.items():
            path, has = f"/metadata/{field}/{_escaped(key)}", (found or {}).get(key)
            if value is not None and value != has:
                yield {"op": "add", "path": path, "value": value}
            elif value is None and has is not None:
                yield {"op": "remove", "path": path}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
