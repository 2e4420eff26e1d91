"""Revisions: each distinct template, with the configuration it tracks, has a name of its own."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, so no words; no characters that people mistake for each other."""
_LENGTH: Final = 10


def revision_of(namespace: str, name: str, template: Mapping[str, Any], config: Mapping[str, str] | None = None) -> str:
    """Return the revision of a template: 10 characters that are safe in names.

    `config` maps tracked ConfigMaps and Secrets to digests of their content. Namespace and name are part of it, so
    that no two rollouts share a revision: gateways join names with dashes in their metrics, and without this
    `a-b/c` and `a/b-c` could be taken for each other.
    """
    content = {"namespace": namespace, "name": name, "template": template, "config": dict(config or {})}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()
    number = int.from_bytes(digest[:12])
    letters = []
    for _ in range(_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def object_name(rollout: str, revision: str) -> str:
    """Return the name that a revision's Deployment and Service share."""
    return f"{rollout}-{revision}"


def image_of(template: Mapping[str, Any]) -> str | None:
    """Return the image of a template's first container, if it has one."""
    spec = template.get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    first = containers[0] if isinstance(containers, list) and containers else None
    image = first.get("image") if isinstance(first, Mapping) else None
    return image if isinstance(image, str) else None
