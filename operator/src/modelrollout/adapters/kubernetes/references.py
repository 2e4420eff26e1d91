"""Which ConfigMaps and Secrets a pod template reads its configuration from."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelrollout.adapters.kubernetes.fields import items, mapping

Names = dict[str, bool]
"""Name to whether the pod cannot start without it."""


def names_in(template: Mapping[str, Any]) -> tuple[Names, Names]:
    """Return the ConfigMaps and the Secrets that containers and volumes of a template name.

    Image pull secrets do not count: what a pod serves does not depend on them.
    """
    spec = mapping(template, "spec")
    maps: Names = {}
    secrets: Names = {}
    for is_secret, name, optional in _references(spec):
        found = secrets if is_secret else maps
        found[name] = found.get(name, False) or not optional
    return maps, secrets


Reference = tuple[bool, str, bool]
"""Whether it is a Secret, its name, and whether it may be absent."""


def _references(spec: Mapping[str, Any]) -> Iterator[Reference]:
    for container in [*items(spec, "initContainers"), *items(spec, "containers")]:
        for source in items(container, "envFrom"):
            yield from _pair(source, "configMapRef", "secretRef")
        for variable in items(container, "env"):
            yield from _pair(mapping(variable, "valueFrom"), "configMapKeyRef", "secretKeyRef")
    for volume in items(spec, "volumes"):
        yield from _pair(volume, "configMap", "secret")
        for source in items(mapping(volume, "projected"), "sources"):
            yield from _pair(source, "configMap", "secret")


def _pair(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[Reference]:
    for is_secret, field in ((False, config_map), (True, secret)):
        reference = mapping(source, field)
        # A volume of a Secret spells the name differently from everything else.
        name = reference.get("name") or reference.get("secretName")
        if name:
            yield is_secret, str(name), bool(reference.get("optional"))
