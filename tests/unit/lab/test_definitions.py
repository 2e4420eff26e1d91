"""Resource definitions: which file of a module becomes which file of the cache."""

import json
from pathlib import Path

import pytest
from lab.definitions import DEFINITIONS, Definitions, split

MANY = """\
# Written by a generator.
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    name: not.this.one
  labels:
    app: mesh
  name: routes.mesh.example
spec:
  names: {kind: Route}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: rules.mesh.example
spec:
  names: {kind: Rule}
"""


def downloaded(tmp_path: Path) -> str:
    (tmp_path / "crds.yaml").write_text(MANY)
    (tmp_path / "values.txt").write_text("no definition")
    return json.dumps({"Dir": str(tmp_path)})


def test_files_are_taken_as_they_are(tmp_path: Path) -> None:
    mesh = Definitions("mesh", "Mesh", "mesh.example", "*.yaml")
    assert mesh.texts(downloaded(tmp_path)) == {"crds.yaml": MANY}


def test_of_a_file_with_many_only_the_named_are_taken(tmp_path: Path) -> None:
    mesh = Definitions("mesh", "Mesh", "mesh.example", "*.yaml", only=("rules.mesh.example",))
    texts = mesh.texts(downloaded(tmp_path))
    assert list(texts) == ["rules.mesh.example.yaml"]
    assert "kind: Rule}" in texts["rules.mesh.example.yaml"]
    assert "Route" not in texts["rules.mesh.example.yaml"]


def test_a_definition_that_the_module_lacks_is_an_error(tmp_path: Path) -> None:
    mesh = Definitions("mesh", "Mesh", "mesh.example", "*.yaml", only=("gone.mesh.example",))
    with pytest.raises(KeyError, match=r"gone\.mesh\.example"):
        mesh.texts(downloaded(tmp_path))


def test_documents_are_told_apart_by_their_own_names() -> None:
    assert list(split(MANY)) == ["routes.mesh.example", "rules.mesh.example"]


@pytest.mark.parametrize("definitions", DEFINITIONS, ids=lambda one: one.name)
def test_each_module_is_pinned(definitions: Definitions) -> None:
    assert f"{definitions.module} v" in (definitions.source / "go.mod").read_text()
    assert f"{definitions.module} v" in (definitions.source / "go.sum").read_text()
