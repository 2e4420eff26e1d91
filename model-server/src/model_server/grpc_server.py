"""The Open Inference Protocol over gRPC, with the same engine, counters and limits as over HTTP."""

import importlib
import logging
import struct
import time
from typing import Any

import numpy as np

from model_server import __version__, protocol
from model_server.app import App
from model_server.engine import Engine, InferenceError, State
from model_server.inference import new_id
from model_server.metadata import ModelError
from model_server.protocol import BadRequestError, InferRequest
from model_server.schema import Schema, from_bytes
from model_server.settings import Settings

log = logging.getLogger("model_server")

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
STATUS = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Service:
    """The six methods of the protocol."""

    def __init__(self, app: App, settings: Settings, state: State) -> None:
        if app.engine is None:
            raise RuntimeError("the model comes before its gRPC service")
        self._engine: Engine = app.engine
        self._settings, self._state = settings, state
        self._schema = Schema(self._engine.model)
        self._requests = self._engine.signals.requests
        # Not at the top: only who serves gRPC needs its packages.
        messages: Any = importlib.import_module("model_server.grpc_messages")
        self._message = messages.message

    async def server_live(self, _: Any, __: Any) -> Any:
        """Tell whether the process runs."""
        return self._message("ServerLiveResponse")(live=True)

    async def server_ready(self, _: Any, __: Any) -> Any:
        """Tell whether new requests should come here."""
        return self._message("ServerReadyResponse")(ready=self._state.ready)

    async def model_ready(self, request: Any, context: Any) -> Any:
        """Tell whether the model serves."""
        await self._known(request.name, request.version, context)
        return self._message("ModelReadyResponse")(ready=self._state.ready)

    async def server_metadata(self, _: Any, __: Any) -> Any:
        """Return the server's name and version."""
        return self._message("ServerMetadataResponse")(name="model-server", version=__version__)

    async def model_metadata(self, request: Any, context: Any) -> Any:
        """Return what the model takes and gives."""
        await self._known(request.name, request.version, context)
        known = protocol.metadata(self._engine.model, self._engine.name, self._engine.version)
        known.pop("parameters")
        return self._message("ModelMetadataResponse")(**known)

    async def model_infer(self, request: Any, context: Any) -> Any:
        """Predict."""
        started, code = time.perf_counter(), None
        requests = self._requests
        requests.in_flight += 1
        given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
        request_id = str(given)[:128] or new_id()
        status, text = 200, ""
        try:
            head = (("x-request-id", request_id), ("x-model-version", self._engine.version))
            await context.send_initial_metadata(head)
            self._check(request)
            read = self._read(request)
            struck = await self._engine.strike(started) if self._engine.faulty else None
            predictions, fallback = self._engine.infer(read, request_id, started, struck)
            answer = self._answer(request, read, request_id, (predictions, fallback))
            code = 200
        except InferenceError as error:
            requests.errors[error.kind] += 1
            status, text = error.status, str(error)
        except BadRequestError as error:
            requests.errors["schema"] += 1
            requests.violated(error.feature, error.kind)
            status, text = 400, str(error)
        finally:
            requests.ended(code if status == 200 else status, time.perf_counter() - started)
        if text:
            await self._refuse(context, status, text)
        return answer

    def _check(self, request: Any) -> None:
        if request.model_name != self._engine.name or request.model_version not in ("", self._engine.version):
            where = f"{self._engine.name!r}, version {self._engine.version!r}"
            raise InferenceError(404, "path", f"no such model here; the model is {where}")
        if self._requests.in_flight > self._settings.max_in_flight:
            raise InferenceError(503, "limit", f"more than {self._settings.max_in_flight} requests at once; try later")

    def _read(self, request: Any) -> InferRequest:
        raw = request.raw_input_contents
        if raw and len(raw) != len(request.inputs):
            raise BadRequestError("raw_input_contents must hold one item for each input")
        for each in request.outputs:
            if each.name != self._engine.model.metadata.output:
                text = f"outputs: the model's one output is {self._engine.model.metadata.output!r}, got {each.name!r}"
                raise BadRequestError(text, "output")
        tensors = []
        for at, tensor in enumerate(request.inputs):
            if raw:
                data = from_bytes(raw[at], tensor.datatype, at)
            else:
                field = FIELDS.get(tensor.datatype, "fp64_contents")
                contents = getattr(tensor.contents, field)
                data = np.array(contents) if field.startswith("fp") else list(contents)
            shape = list(tensor.shape)
            tensors.append({"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": data})
        if not tensors:
            raise BadRequestError("'inputs' must hold a tensor")
        return self._schema.request(tensors, request.id or None)

    def _answer(self, request: Any, read: InferRequest, request_id: str, found: tuple[list[float], str]) -> Any:
        predictions, fallback = found
        outputs = self._engine.model.evaluator.outputs
        answer = self._message("ModelInferResponse")(
            model_name=self._engine.name, model_version=self._engine.version, id=read.id or request_id
        )
        shape = [read.rows] if outputs == 1 else [read.rows, outputs]
        tensor = answer.outputs.add(name=self._engine.model.metadata.output, datatype="FP64", shape=shape)
        if request.raw_input_contents:
            answer.raw_output_contents.append(struct.pack(f"<{len(predictions)}d", *predictions))
        else:
            tensor.contents.fp64_contents.extend(predictions)
        if fallback:
            answer.parameters["fallback"].string_param = fallback
        return answer

    async def _known(self, name: str, version: str, context: Any) -> None:
        if name != self._engine.name or version not in ("", self._engine.version):
            await self._refuse(context, 404, f"no such model here; the model is {self._engine.name!r}")

    async def _refuse(self, context: Any, status: int, text: str) -> None:
        grpc: Any = importlib.import_module("grpc")
        await context.abort(getattr(grpc.StatusCode, STATUS[status]), text)


async def start(app: App, settings: Settings, state: State) -> Any:
    """Serve on `settings.grpc_port` and return the server.

    Raises ModelError when gRPC is not installed or the port cannot be had.
    """
    try:
        grpc: Any = importlib.import_module("grpc")
        messages: Any = importlib.import_module("model_server.grpc_messages")
    except ImportError:
        raise ModelError("GRPC_PORT: gRPC is not installed: install model-server[grpc]") from None
    service = Service(app, settings, state)
    methods = {
        "ServerLive": service.server_live,
        "ServerReady": service.server_ready,
        "ModelReady": service.model_ready,
        "ServerMetadata": service.server_metadata,
        "ModelMetadata": service.model_metadata,
        "ModelInfer": service.model_infer,
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=messages.message(f"{name}Request").FromString,
            response_serializer=messages.message(f"{name}Response").SerializeToString,
        )
        for name, method in methods.items()
    }
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", settings.max_body)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handlers),))
    try:
        port = server.add_insecure_port(f"[::]:{settings.grpc_port}")
    except RuntimeError as error:
        raise ModelError(f"GRPC_PORT={settings.grpc_port}: cannot listen there: {error}; use another port") from None
    await server.start()
    log.info("listening for gRPC on port %d", port)
    return server
