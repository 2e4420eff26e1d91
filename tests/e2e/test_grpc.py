"""A model that is called by gRPC, over a GRPCRoute of each gateway."""

import pytest

from tests.e2e.conftest import Begin
from tests.support.cells import BUDGET, cell

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 40


@pytest.mark.parametrize(("gateway", "preset"), [("traefik", "traefik"), ("envoy", "envoy-gateway")])
def test_a_good_version_is_promoted_and_a_bad_one_goes_back(begin: Begin, gateway: str, preset: str) -> None:
    # Which calls failed only the pods can tell; how long they took the gateway can, too.
    metrics = [{"name": "errors"}, {"name": "latency", "preset": preset}]
    analysis = {"preset": "model-server", "metrics": metrics, "harmBudget": BUDGET}
    story = begin(f"grpc-{gateway}", cell=cell("canary", f"grpc/{gateway}"), analysis=analysis)
    story.until(120, phase="Promoted")
    story.start_load(RATE).wait_for_answers(2 * RATE)
    story.release(2)
    promoted = story.until_move("Promoted", 120)
    assert "latency safe" in promoted["message"], story.diagnosis()
    story.until_move("Completed", 30)

    story.release(3, ERROR_RATE=0.3)
    back = story.until_move("RolledBack", 120)
    assert back["message"].startswith("errors worse"), story.diagnosis()
    tally = story.stop_load()
    failed = {version: count.failed for version, count in tally.versions.items() if count.failed}
    assert failed.keys() == {"3"}, tally
    assert tally.versions.keys() == {"1", "2", "3"}


def test_errors_as_a_gateway_counts_them_are_no_evidence(begin: Begin) -> None:
    analysis = {"preset": "traefik", "metrics": [{"name": "errors"}]}
    story = begin("grpc-blind", cell=cell("canary", "grpc/traefik"), analysis=analysis, replicas=1)
    story.until(120, phase="Promoted")
    story.start_load(RATE).wait_for_answers(RATE)
    story.release(2, ERROR_RATE=1)
    status = story.until(60, verdict="ProviderError")
    assert "does not tell failed gRPC calls from good ones" in status["message"], story.diagnosis()
    assert story.moves("Promoted")[-1]["revision"] != status["candidate"]
