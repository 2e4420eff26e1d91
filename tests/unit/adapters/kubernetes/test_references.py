"""Which configuration a template names."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.references import Names, names_in


def test_every_place_is_looked_at() -> None:
    template = {
        "spec": {
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "init"}}]}],
            "containers": [
                {
                    "envFrom": [{"configMapRef": {"name": "from"}}, {"secretRef": {"name": "from-secret"}}],
                    "env": [
                        {"name": "PLAIN", "value": "x"},
                        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "key", "key": "k"}}},
                        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key-secret", "key": "k"}}},
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    ],
                },
                {"env": [{"name": "SIDE", "valueFrom": {"configMapKeyRef": {"name": "side", "key": "k"}}}]},
            ],
            "volumes": [
                {"name": "a", "configMap": {"name": "volume"}},
                {"name": "b", "secret": {"secretName": "volume-secret"}},
                {"name": "c", "emptyDir": {}},
                {
                    "name": "d",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "projected"}},
                            {"secret": {"name": "projected-secret"}},
                            {"serviceAccountToken": {"path": "token"}},
                        ]
                    },
                },
            ],
            "imagePullSecrets": [{"name": "registry"}],
        }
    }
    maps, secrets = names_in(template)
    assert set(maps) == {"init", "from", "key", "side", "volume", "projected"}
    assert set(secrets) == {"from-secret", "key-secret", "volume-secret", "projected-secret"}
    assert all(maps.values())
    assert all(secrets.values())


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([{"name": "a", "optional": True}], {"a": False}),
        ([{"name": "a", "optional": True}, {"name": "a"}], {"a": True}),
        ([{"name": "a"}, {"name": "a", "optional": True}], {"a": True}),
        ([{"name": ""}], {}),
        ([{}], {}),
        (["a"], {}),
    ],
    ids=["optional", "once needed", "first needed", "empty", "nameless", "wrong type"],
)
def test_an_optional_reference_may_be_absent(references: list[Any], expected: Names) -> None:
    sources = [{"configMapRef": reference} for reference in references]
    assert names_in({"spec": {"containers": [{"envFrom": sources}]}}) == (expected, {})


@pytest.mark.parametrize("template", [{}, {"spec": None}, {"spec": "x"}, {"spec": {"containers": {"name": "x"}}}])
def test_a_template_of_the_wrong_shape_names_nothing(template: dict[str, Any]) -> None:
    assert names_in(template) == ({}, {})
