"""The store: compact, and never older than what we wrote ourselves."""

import json
from typing import Any

import pytest

from modelrollout.api.status import Phase, Status, Verdict, VerdictKind, Weights
from modelrollout.ports import Key
from modelrollout.runtime.store import RolloutStore, newer

KEY = Key("ml", "fraud")


def raw(version: str, *, uid: str = "u1", namespace: str = "ml", **fields: Any) -> dict[str, Any]:
    metadata = {"name": "fraud", "namespace": namespace, "uid": uid, "resourceVersion": version}
    return {"apiVersion": "v", "kind": "k", "metadata": metadata, "spec": {}, **fields}


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("a", "b", True), ("a", "a", False), ("10", "x", True)],
)
def test_resource_versions_are_compared_as_numbers(version: str, than: str, expected: bool) -> None:
    assert newer(version, than) is expected


def test_only_what_is_newer_is_news() -> None:
    store = RolloutStore()
    assert store.put(raw("5"))
    assert not store.put(raw("5"))
    assert not store.put(raw("4"))
    assert store.put(raw("6"))


def test_the_last_spec_that_could_be_read_is_kept_until_the_next_one_is() -> None:
    store = RolloutStore()
    store.put(raw("5", spec={"good": 1}))
    assert store.readable_spec(KEY) is None
    store.was_read(KEY)
    store.put(raw("6", spec={"bad": 1}))
    store.put(raw("7", spec={"bad": 2}))
    assert store.readable_spec(KEY) == {"good": 1}
    store.put(raw("8", spec={"good": 2}))
    store.was_read(KEY)
    assert store.readable_spec(KEY) == {"good": 2}
    store.put(raw("9", uid="another", spec={"bad": 3}))
    assert store.readable_spec(KEY) is None, "a spec of another object that had the name"


def test_our_own_status_is_in_the_cache_before_the_watch_brings_it() -> None:
    store = RolloutStore()
    store.put(raw("5", status={"phase": "Progressing"}))
    status = Status(phase=Phase.PROMOTED, stable="r1")
    store.wrote_status(KEY, status, "7")
    found = store.raw(KEY)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "7"
    assert Status.model_validate(found["status"]) == status
    assert not store.put(raw("6", status={"phase": "Progressing"})), "an event that was on its way"
    assert not store.put(raw("7")), "the event of our own write"


def test_an_event_may_overtake_the_answer_to_our_write() -> None:
    store = RolloutStore()
    store.put(raw("9", status={"phase": "Paused"}))
    store.wrote_status(KEY, Status(), "8")
    found = store.raw(KEY)
    assert found is not None
    assert found["status"] == {"phase": "Paused"}


def test_noise_is_not_kept() -> None:
    store = RolloutStore()
    noisy = raw("1")
    noisy["metadata"]["managedFields"] = [{"manager": "x" * 1000}]
    noisy["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"}
    store.put(noisy)
    found = store.raw(KEY)
    assert found is not None
    assert found["metadata"]["annotations"] == {"keep": "me"}
    assert "managedFields" not in json.dumps(found)


def test_a_namesake_replaces_and_is_not_removed_by_the_end_of_the_first() -> None:
    store = RolloutStore()
    store.put(raw("9", uid="u1"))
    assert store.put(raw("2", uid="u2")), "resourceVersions of two objects are not compared"
    assert not store.remove(KEY, "u1")
    assert KEY in store
    assert store.remove(KEY, "u2")
    assert store.raw(KEY) is None


@pytest.mark.parametrize("scope", [None, "ml"])
def test_what_a_listing_does_not_bring_has_vanished(scope: str | None) -> None:
    store = RolloutStore()
    store.listing_begins(scope)
    store.put(raw("1"))
    other = raw("1", namespace="ml")
    other["metadata"] |= {"name": "other", "uid": "u2"}
    store.put(other)
    store.listing_begins(scope)
    store.put(raw("1"))
    assert store.vanished(scope) == [Key("ml", "other")]


def test_a_listing_of_one_namespace_says_nothing_of_another() -> None:
    store = RolloutStore()
    store.listing_begins("other")
    store.put(raw("1"))
    store.listing_begins("other")
    assert store.vanished("other") == []


def test_summaries_follow_events_and_writes() -> None:
    store = RolloutStore()
    store.put(raw("1"))
    assert [summary.phase for _, summary in store.summaries()] == ["Initializing"]
    verdict = Verdict(name="errors", verdict=VerdictKind.PASS, message="fine")
    status = Status(phase=Phase.PROGRESSING, weights=Weights(stable=80, candidate=20), verdicts=[verdict])
    store.wrote_status(KEY, status, "2")
    ((_, summary),) = store.summaries()
    assert (summary.phase, summary.weight, summary.verdicts) == ("Progressing", 20, (("errors", "Pass"),))
