"""The server's own description, for clients and for fuzzers."""

from functools import cache
from typing import Any

from model_server import __version__

_NUMBER = {"oneOf": [{"type": "number"}, {"type": "null"}, {"type": "array", "items": {}}, {"type": "string"}]}


def _answer(about: str) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": {"type": "object"}}}}


_REFUSED = {
    "description": "refused, and why",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def _parameters(**known: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}
        for name, value in known.items()
    ]


def _get(about: str, *codes: str) -> dict[str, Any]:
    return {"get": {"summary": about, "responses": {"200": _answer(about), **dict.fromkeys(codes, _REFUSED)}}}


def _post(about: str, schema: str, *codes: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    responses = {"200": _answer(about), **dict.fromkeys(codes, _REFUSED)}
    return {"post": {"summary": about, "requestBody": {"required": True, "content": content}, "responses": responses}}


@cache
def document(model: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI description of a server of this model."""
    paths = {
        "/v2": _get("the server's name and extensions"),
        "/v2/health/live": _get("whether the process runs"),
        "/v2/health/ready": _get("whether the model serves", "503"),
        "/feedback": _post("count labels", "Feedback", "400", "413", "503"),
    }
    plain, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    for base, parameters in (
        (plain, _parameters(model=model)),
        (versioned, _parameters(model=model, version=version)),
    ):
        inference = _post("predict", "Inference", "400", "404", "413", "500", "503", "504")
        found = {
            base: _get("inputs and outputs", "404", "503"),
            f"{base}/ready": _get("whether the model serves", "404", "503"),
            f"{base}/infer": inference,
        }
        paths |= {path: {"parameters": parameters, **of} for path, of in found.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "model-server", "version": __version__},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": _NUMBER},
            "parameters": {"type": "object"},
        },
    }
    label = {
        "type": "object",
        "required": ["id", "label"],
        "properties": {"id": {"type": "string"}, "label": {"type": "number"}, "row": {"type": "integer"}},
    }
    return {
        "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        "Inference": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": "string"},
                "inputs": {"type": "array", "items": tensor},
                "outputs": {"type": "array", "items": {"type": "object"}},
                "parameters": {"type": "object"},
            },
        },
        "Feedback": {"oneOf": [label, {"type": "array", "items": label}]},
    }
