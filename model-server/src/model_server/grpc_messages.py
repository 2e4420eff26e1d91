"""The messages of the Open Inference Protocol's gRPC form, described field by field.

They live in a pool of their own: a process may hold another library's copy of the same names.
"""

import importlib
from functools import cache
from typing import Any

descriptor_pb2: Any = importlib.import_module("google.protobuf.descriptor_pb2")
descriptor_pool: Any = importlib.import_module("google.protobuf.descriptor_pool")
message_factory: Any = importlib.import_module("google.protobuf.message_factory")

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

# message -> fields as (number, name, type); "*" stands for repeated, "{}" for a map from strings, a capital letter
# for a message.
_PARAMETERS = "{}InferParameter"
_TENSOR = [(1, "name", "string"), (2, "datatype", "string"), (3, "shape", "*int64")]
_CONTENT = [*_TENSOR, (4, "parameters", _PARAMETERS), (5, "contents", "InferTensorContents")]
_NAMED = [(1, "name", "string"), (2, "version", "string")]
_MODEL = [
    (1, "model_name", "string"),
    (2, "model_version", "string"),
    (3, "id", "string"),
    (4, "parameters", _PARAMETERS),
]
_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "ServerLiveRequest": [],
    "ServerLiveResponse": [(1, "live", "bool")],
    "ServerReadyRequest": [],
    "ServerReadyResponse": [(1, "ready", "bool")],
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": [(1, "ready", "bool")],
    "ServerMetadataRequest": [],
    "ServerMetadataResponse": [*_NAMED, (3, "extensions", "*string")],
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": [
        (1, "name", "string"),
        (2, "versions", "*string"),
        (3, "platform", "string"),
        (4, "inputs", "*ModelMetadataResponse.TensorMetadata"),
        (5, "outputs", "*ModelMetadataResponse.TensorMetadata"),
        (6, "properties", "{}string"),
    ],
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelInferRequest": [
        *_MODEL,
        (5, "inputs", "*ModelInferRequest.InferInputTensor"),
        (6, "outputs", "*ModelInferRequest.InferRequestedOutputTensor"),
        (7, "raw_input_contents", "*bytes"),
    ],
    "ModelInferRequest.InferInputTensor": _CONTENT,
    "ModelInferRequest.InferRequestedOutputTensor": [(1, "name", "string"), (2, "parameters", _PARAMETERS)],
    "ModelInferResponse": [
        *_MODEL,
        (5, "outputs", "*ModelInferResponse.InferOutputTensor"),
        (6, "raw_output_contents", "*bytes"),
    ],
    "ModelInferResponse.InferOutputTensor": _CONTENT,
    "InferParameter": [(1, "bool_param", "bool"), (2, "int64_param", "int64"), (3, "string_param", "string")],
    "InferTensorContents": [
        (1, "bool_contents", "*bool"),
        (2, "int_contents", "*int32"),
        (3, "int64_contents", "*int64"),
        (4, "uint_contents", "*uint32"),
        (5, "uint64_contents", "*uint64"),
        (6, "fp32_contents", "*float"),
        (7, "fp64_contents", "*double"),
        (8, "bytes_contents", "*bytes"),
    ],
}
_ONE_OF = {"InferParameter": "parameter_choice"}
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")


@cache
def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    for name, fields in _MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        message = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=inner)
        made[name] = message
        if name in _ONE_OF:
            message.oneof_decl.add(name=_ONE_OF[name])
        for number, field, kind in fields:
            _add(message, f".{PACKAGE}.{name}", (number, field, kind), one_of=name in _ONE_OF)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add(message: Any, path: str, field: tuple[int, str, str], *, one_of: bool) -> None:
    number, name, kind = field
    form = descriptor_pb2.FieldDescriptorProto
    made = message.field.add(name=name, number=number, label=form.LABEL_OPTIONAL)
    if one_of:
        made.oneof_index = 0
    if kind.startswith("{}"):
        entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        pair = message.nested_type.add(name=entry)
        pair.options.map_entry = True
        _add(pair, "", (1, "key", "string"), one_of=False)
        _add(pair, "", (2, "value", kind[2:]), one_of=False)
        made.label, made.type, made.type_name = form.LABEL_REPEATED, form.TYPE_MESSAGE, f"{path}.{entry}"
        return
    if kind.startswith("*"):
        made.label, kind = form.LABEL_REPEATED, kind[1:]
    if kind[0].isupper():
        made.type, made.type_name = form.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        made.type = form.Type.Value(f"TYPE_{kind.upper()}")


@cache
def message(name: str) -> Any:
    """Return the class of a message, by its name without the package."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))
