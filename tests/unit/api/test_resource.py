"""Reading a ModelRollout, and the words for what is wrong with one."""

import pytest

from modelrollout.api.resource import InvalidRollout, parse
from tests.support.documents import GOOD, IDS, PAIRED, REFUSED, Document, edited


@pytest.mark.parametrize(("path", "value", "_", "said"), REFUSED, ids=IDS)
def test_what_the_api_server_refuses_is_refused_here_too(path: str, value: object, _: str, said: str) -> None:
    with pytest.raises(InvalidRollout) as refused:
        parse(edited(path, value))
    assert said in str(refused.value)
    assert str(refused.value).startswith("ModelRollout ")


@pytest.mark.parametrize("spec", PAIRED)
def test_agreement_is_taken_where_something_makes_pairs(spec: Document) -> None:
    assert "agreement" in [
        metric.name for metric in parse(edited("spec", {**GOOD["spec"], **spec})).spec.analysis.metrics
    ]


def test_defaults_are_those_of_the_definition() -> None:
    spec = parse(GOOD).spec
    assert (spec.replicas, spec.deletion_policy, spec.progress_deadline) == (1, "Orphan", "10m")
    assert spec.strategy.steps is None
    assert [metric.name for metric in spec.analysis.metrics] == ["errors", "latency"]


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRollout) as refused:
        parse(edited("spec.replicas", -1, edited("spec.analysis.falseRollback", "x")))
    assert "spec.replicas: " in str(refused.value)
    assert "spec.analysis.falseRollback: 'x' is not a percentage" in str(refused.value)


def test_a_resource_without_status_is_new() -> None:
    assert parse({**GOOD, "status": None}).status.phase == "Initializing"


def test_a_time_zone_that_nobody_knows_is_refused() -> None:
    """The API server knows none."""
    with pytest.raises(InvalidRollout, match="no time zone is named 'Moon/Tycho'; write for instance UTC"):
        parse(edited("spec.strategy.schedule", {"timeZone": "Moon/Tycho"}))
