"""The whole ModelRollout resource, and clear words for what is wrong with one."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

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


_FORMS: Final[Mapping[str, str]] = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number, without quotes or a unit",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text: a number needs its unit, or quotes",
    "list_type": "must be a list: each item on a line of its own, behind a dash",
    "dict_type": "must be an object: its fields on lines of their own, indented",
    "model_type": "must be an object: its fields on lines of their own, indented",
    "model_attributes_type": "must be an object: its fields on lines of their own, indented",
}
_LIMITS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda limit: f"must be above {limit['gt']}",
    "greater_than_equal": lambda limit: f"must be at least {limit['ge']}",
    "less_than": lambda limit: f"must be below {limit['lt']}",
    "less_than_equal": lambda limit: f"must be at most {limit['le']}",
    "string_too_short": lambda limit: f"must have at least {limit['min_length']} characters",
    "string_too_long": lambda limit: f"must have at most {limit['max_length']} characters",
    "too_short": lambda limit: f"must have at least {limit['min_length']} entries",
    "too_long": lambda limit: f"must have at most {limit['max_length']} entries",
    "literal_error": lambda limit: f"must be {limit['expected']}",
}


def _words(fault: ErrorDetails) -> str:
    """Say what is wrong in words of the resource, where pydantic's are those of Python."""
    kind, limits = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(fault["loc"])
    if kind == "missing":
        return "is required"
    if kind in _FORMS:
        return _FORMS[kind]
    if kind in _LIMITS:
        found = fault["input"]
        return _LIMITS[kind](limits) + (f", not {found!r}" if isinstance(found, int | float | str) else "")
    return WORDS.get(str(limits.get("pattern"))) or fault["msg"].removeprefix("Value error, ")


def _unknown(place: tuple[int | str, ...]) -> str:
    *parents, name = place
    meant = get_close_matches(str(name), _fields(parents), n=1)
    remedy = f"did you mean {meant[0]}?" if meant else "take it out, or"
    return f"unknown field; {remedy} see `kubectl explain {_explained(parents)}`"


def _explained(place: list[int | str]) -> str:
    return ".".join(["modelrollout", *(part for part in place if isinstance(part, str))])


def _fields(place: list[int | str]) -> list[str]:
    """Return the fields that there are at a place; none where that is nothing of ours."""
    model: type[ApiModel] | None = ModelRollout
    for part in place:
        if isinstance(part, str) and model is not None:
            field = next((field for field in model.model_fields.values() if field.alias == part), None)
            model = _model_in(field.annotation) if field is not None else None
    return [] if model is None else [field.alias or "" for field in model.model_fields.values()]


def _model_in(annotation: Any) -> type[ApiModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)
