"""The resource definition: made from the models, structural, and the same in every place that ships it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field

from modelrollout.api import crd
from modelrollout.api._rules import LISTS, RULES, WITHOUT_DEFAULT
from modelrollout.api._schema import structural

REPOSITORY = Path(__file__).parents[3]


class Inner(BaseModel):
    size: int = Field(1, ge=1)


class Outer(BaseModel):
    """Docstring of one line.

    And of others.
    """

    name: str
    mode: Literal["A"] = "A"
    port: int | str | None = Field(None, description="A port.")
    inner: Inner = Field(Inner(), description="Inside.")
    maybe: Inner | None = None
    many: list[Inner] = Field([], max_length=3)


class Unfit(BaseModel):
    either: dict[str, int] | list[str] = Field([])


def test_models_become_a_structural_schema() -> None:
    one = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "default": 1}}}
    port = {
        "description": "A port.",
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
    }
    assert structural(Outer, "x") == {
        "description": "Docstring of one line. And of others.",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "mode": {"type": "string", "enum": ["A"], "default": "A"},
            "port": port,
            "inner": {**one, "description": "Inside.", "default": {"size": 1}},
            "maybe": one,
            "many": {"type": "array", "maxItems": 3, "items": one},
        },
    }


def test_a_status_has_no_defaults() -> None:
    assert "default" not in str(structural(Inner, "status"))


def test_a_field_without_one_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"x\.either: .* give the field one type"):
        structural(Unfit, "x")


def _paths(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    yield path
    for name, field in schema.get("properties", {}).items():
        yield from _paths(field, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from _paths(schema["items"], f"{path}[]")


def test_every_rule_stands_at_a_field_that_exists() -> None:
    schema = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert {*RULES, *LISTS, *WITHOUT_DEFAULT} <= set(_paths(schema))


def test_the_files_in_the_repository_are_up_to_date() -> None:
    assert crd.stale(REPOSITORY) == []


def test_the_chart_and_the_manifests_ship_the_same_bytes() -> None:
    first, second = ((REPOSITORY / name).read_bytes() for name in crd.FILES)
    assert first == second


def test_write_makes_what_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert "differs from the models in api/; run `make generate`" in capsys.readouterr().err
    assert crd.main(["--write", "--root", str(tmp_path)]) == 0
    assert crd.main(["--check", "--root", str(tmp_path)]) == 0
    assert yaml.safe_load((tmp_path / crd.FILES[0]).read_text())["metadata"]["name"] == "modelrollouts.modelrollout.dev"
