"""What every part of the resource shares: camelCase on the wire, immutability, unknown fields refused."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP = "modelrollout.dev"
VERSION = "v1alpha1"
KIND = "ModelRollout"
PLURAL = "modelrollouts"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "modelrollout"

REVISION_LABEL = f"{GROUP}/revision"
NAME_LABEL = f"{GROUP}/name"
ROLE_LABEL = f"{GROUP}/role"
COMPARES_LABEL = f"{GROUP}/compares"
ADOPTED_PREFIX = f"rollout.{GROUP}/"
REQUEST_ANNOTATION = f"{GROUP}/request"
LATCH_ANNOTATION = f"{GROUP}/latch"


class ApiModel(BaseModel):
    """A part of the resource; frozen, spelled in camelCase outside Python."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values, which are not validated.

        As pydantic's own, in a fifth of its time: these models have neither private attributes nor extra fields,
        and a decision copies its status a dozen times.
        """
        if deep:
            return super().model_copy(update=update, deep=True)
        changes = update or {}
        copy = object.__new__(type(self))
        object.__setattr__(copy, "__dict__", {**self.__dict__, **changes})
        object.__setattr__(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__ | changes.keys())
        object.__setattr__(copy, "__pydantic_extra__", None)
        object.__setattr__(copy, "__pydantic_private__", None)
        return copy
