"""From the JSON schema of the models to the structural schema that the API server demands."""

from typing import Any

from pydantic import BaseModel

from modelrollout.api._rules import LISTS, RULES, TEMPLATES, WITHOUT_DEFAULT, Rule, pattern
from modelrollout.api.patterns import WORDS

Schema = dict[str, Any]

KEPT = ("description", "type", "format", "enum", "minLength", "maxLength", "minimum", "maximum")
KEPT_OF_LISTS = ("minItems", "maxItems")
NULL = {"type": "null"}


def structural(model: type[BaseModel], path: str) -> Schema:
    """Return the structural schema of a model whose fields stand below `path` of the resource.

    Raises TypeError for a field that a structural schema cannot express.
    """
    source = model.model_json_schema(by_alias=True)
    return _Converter(source.get("$defs", {})).convert(source, path)


class _Converter:
    """Holds the definitions that references point to."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions = definitions

    def convert(self, node: Schema, path: str) -> Schema:
        if path in TEMPLATES:
            return TEMPLATES[path]
        node = self._resolved(node, path)
        if "const" in node:
            node = {**node, "enum": [node["const"]]}
        if _is_port(node):
            kinds = [{"type": "integer"}, {"type": "string"}]
            result: Schema = {"description": node["description"], "x-kubernetes-int-or-string": True, "anyOf": kinds}
        elif node.get("type") == "object":
            result = self._object(node, path)
        elif node.get("type") == "array":
            result = _kept(node, (*KEPT, *KEPT_OF_LISTS)) | {"items": self.convert(node["items"], f"{path}[]")}
        elif "type" in node:
            result = _kept(node, KEPT)
        else:
            raise TypeError(f"{path}: {sorted(node)} has no place in a structural schema; give the field one type")
        result |= LISTS.get(path, {}) | self._default(node, result, path)
        rules = [pattern(node["pattern"])] if "pattern" in node else []
        rules += RULES.get(path, ())
        for form in node.get("patternProperties", {}):
            rules.append(Rule(f'self.all(key, key.matches(r"{form}"))', f"every name {WORDS[form]}"))
        if rules:
            result["x-kubernetes-validations"] = [{"rule": one.rule, "message": one.message} for one in rules]
        return result

    def _object(self, node: Schema, path: str) -> Schema:
        result = _kept(node, ("description", "type"))
        if "properties" not in node and ("additionalProperties" in node or "patternProperties" in node):
            return result | self._map(node, path)
        if node.get("required"):
            result["required"] = node["required"]
        below = f"{path}." if path else ""
        fields = {name: self.convert(field, f"{below}{name}") for name, field in node.get("properties", {}).items()}
        return result | ({"properties": fields} if fields else {})

    def _map(self, node: Schema, path: str) -> Schema:
        """Return what a map adds to its schema: of any values where `additionalProperties` is true."""
        ((_, values),) = (node.get("patternProperties") or {"": node.get("additionalProperties")}).items()
        if values is True:
            return {"x-kubernetes-preserve-unknown-fields": True}
        most = {"maxProperties": node["maxProperties"]} if "maxProperties" in node else {}
        return most | {"additionalProperties": self.convert(values, f"{path}[]")}

    def _resolved(self, node: Schema, path: str) -> Schema:
        """Return the node with its reference put in place, and `or null` taken off."""
        if "$ref" in node:
            target = self.definitions[node["$ref"].removeprefix("#/$defs/")]
            return self._resolved({**target, **{key: node[key] for key in node if key != "$ref"}}, path)
        kinds = [kind for kind in node.get("anyOf", []) if kind != NULL]
        if len(kinds) == 1:
            rest = {key: value for key, value in node.items() if key != "anyOf"}
            return self._resolved({**kinds[0], **rest}, path)
        return {**node, "anyOf": kinds} if kinds else node

    def _default(self, node: Schema, result: Schema, path: str) -> Schema:
        default = node.get("default")
        if default is None or default == [] or path.startswith("status") or path in WITHOUT_DEFAULT:
            return {}
        if result.get("type") == "object":
            # Written out, for rules are tried on a default before the defaults of its fields are filled in.
            if "properties" not in result:
                return {}
            fields = {name: field["default"] for name, field in result["properties"].items() if "default" in field}
            return {} if "required" in result or not fields else {"default": fields}
        if result.get("type") == "array":
            default = [_without_nulls(item) for item in default]
        return {"default": default}


def _without_nulls(item: Any) -> Any:
    return {key: value for key, value in item.items() if value is not None} if isinstance(item, dict) else item


def _is_port(node: Schema) -> bool:
    return [kind.get("type") for kind in node.get("anyOf", [])] == ["integer", "string"]


def _kept(node: Schema, keys: tuple[str, ...]) -> Schema:
    kept = {key: node[key] for key in keys if key in node}
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept
