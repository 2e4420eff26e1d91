"""Digests of configuration, and who is told of changes."""

from typing import Any

import pytest

from modelrollout.adapters.kubernetes.configs import Configs, digest_of
from modelrollout.ports import Key

KEY = Key("shop", "fraud")


def template(**reference: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings", **reference}}]}]}}


def raw(namespace: str = "shop", name: str = "settings", **data: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": "1"}, "data": data}


class Told:
    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.configs = Configs(self.keys.append)
        self.maps = self.configs.sink("configmap")
        self.secrets = self.configs.sink("secret")


@pytest.fixture
def told() -> Told:
    return Told()


def test_only_those_who_asked_are_told_and_only_of_new_content(told: Told) -> None:
    told.maps.event("ADDED", raw(level="low"))
    told.configs.tracked(KEY, template())
    told.maps.event("MODIFIED", raw(level="low"))
    told.maps.event("MODIFIED", raw("elsewhere", level="high"))
    told.secrets.event("ADDED", raw(level="high"))
    assert told.keys == []
    told.maps.event("MODIFIED", raw(level="high"))
    assert told.keys == [KEY]


def test_a_template_that_names_it_no_more_is_told_no_more(told: Told) -> None:
    told.configs.tracked(KEY, template())
    told.configs.tracked(KEY, template(name="another"))
    told.maps.event("ADDED", raw(level="low"))
    assert told.keys == []
    told.maps.event("ADDED", raw(name="another"))
    assert told.keys == [KEY]
    told.configs.forget(KEY)
    told.maps.retain([])
    assert told.keys == [KEY]


def test_what_is_needed_and_absent_is_missing(told: Told) -> None:
    found = told.configs.tracked(KEY, template())
    assert found.missing == ("configmap/settings",)
    told.maps.event("ADDED", raw(level="low"))
    assert told.configs.tracked(KEY, template()).missing == ()
    assert told.keys == [KEY]


def test_what_is_optional_and_absent_is_an_empty_digest(told: Told) -> None:
    found = told.configs.tracked(KEY, template(optional=True))
    assert (found.missing, dict(found.digests)) == ((), {"configmap/settings": ""})


def test_vanished_items_of_one_kind_only_are_forgotten(told: Told) -> None:
    told.maps.event("ADDED", raw())
    told.secrets.event("ADDED", raw())
    told.configs.tracked(KEY, template())
    told.secrets.retain([])
    assert told.keys == []
    told.maps.retain([])
    assert told.keys == [KEY]


def test_a_digest_covers_data_and_binary_data_and_nothing_else() -> None:
    plain = digest_of(raw(a="x"))
    assert digest_of(raw("elsewhere", a="x")) == plain
    assert digest_of({**raw(), "data": None, "binaryData": {"a": "x"}}) != plain
    assert digest_of(raw(a="x", b="y")) == digest_of(raw(b="y", a="x"))
