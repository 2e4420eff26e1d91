"""What every part of the resource shares: camelCase on the wire, immutability, unknown fields refused."""

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
REQUEST_ANNOTATION = f"{GROUP}/request"
LATCH_ANNOTATION = f"{GROUP}/latch"


class ApiModel(BaseModel):
    """A part of the resource; frozen, spelled in camelCase outside Python."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )
