"""Several watches of one kind, one for each namespace, into one cache."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from modelrollout.adapters.kubernetes.cache import Name
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.resources import Resource
from modelrollout.adapters.kubernetes.watch import Reflector, Sink


class _Shared:
    """A sink that hears of several namespaces, and is told to forget only what no namespace has."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.names: dict[str, set[Name]] = {}


class _Scope:
    """One namespace's way into a shared sink."""

    def __init__(self, shared: _Shared, namespace: str) -> None:
        self._shared = shared
        self._names = shared.names.setdefault(namespace, set())

    def event(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Pass an object on, and remember that it is there."""
        name = (str(raw["metadata"]["namespace"]), str(raw["metadata"]["name"]))
        (self._names.discard if kind == "DELETED" else self._names.add)(name)
        self._shared.sink.event(kind, raw)

    def retain(self, names: Collection[Name]) -> None:
        """Forget what vanished from this namespace; the others keep theirs."""
        self._names.clear()
        self._names.update(names)
        self._shared.sink.retain(set().union(*self._shared.names.values()))


def reflectors(
    api: Api, resource: Resource, sink: Sink, namespaces: Sequence[str], selector: str | None = None
) -> dict[str, Reflector]:
    """Return the watches of a kind, by a name for people: one of all namespaces, or one for each."""
    if not namespaces:
        return {resource.plural: Reflector(api, resource, sink, selector=selector)}
    shared = _Shared(sink)
    return {
        f"{resource.plural} of {namespace}": Reflector(
            api, resource, _Scope(shared, namespace), namespace=namespace, selector=selector
        )
        for namespace in namespaces
    }
