"""The whole ModelRollout resource, and clear words for what is wrong with one."""

import re
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from modelrollout.api.base import API_VERSION, KIND, ApiModel
from modelrollout.api.patterns import WORDS
from modelrollout.api.spec import Spec
from modelrollout.api.status import Status


class InvalidRollout(ValueError):
    """A ModelRollout that cannot be carried out as written; the text names field, fault and remedy."""


class Metadata(ApiModel):
    """The part of the metadata that decisions need."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = Field({})

    @field_validator("name")
    @classmethod
    def _names_services(cls, name: str) -> str:
        if len(name) > 52 or not re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name):
            raise ValueError(
                "must begin with a letter, hold only a-z, 0-9 and '-', and have at most 52 characters:"
                " revisions append a hash to it and name Services"
            )
        return name


class ModelRollout(ApiModel):
    """A model server, and how its new versions are rolled out."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: Metadata
    spec: Spec
    status: Status = Status()


def parse(raw: dict[str, Any]) -> ModelRollout:
    """Read a resource as the API server or a YAML file holds it.

    Raises InvalidRollout naming every field that is wrong.
    """
    try:
        return ModelRollout.model_validate({**raw, "status": raw.get("status") or {}})
    except ValidationError as error:
        name = (raw.get("metadata") or {}).get("name", "?")
        found = "; ".join(f"{spelled(place)}: {words}" for place, words in faults(error))
        raise InvalidRollout(f"ModelRollout {name}: {found}") from None


def faults(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Return what is wrong with a resource: the place of each field, and the words for it."""
    return [(fault["loc"], _words(fault)) for fault in error.errors()]


def spelled(place: tuple[int | str, ...]) -> str:
    """Write the place of a field as the API server spells it: `spec.strategy.steps[0].weight`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _words(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return "unknown field; take it out, or see `kubectl explain modelrollout.spec`"
    if fault["type"] == "missing":
        return "is required"
    pattern = fault.get("ctx", {}).get("pattern")
    return WORDS.get(str(pattern)) or fault["msg"].removeprefix("Value error, ")
