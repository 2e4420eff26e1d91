"""Shadow, blue-green and gates over the routers of the lab: what users notice of them, which is nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab.demo.load import Tally

from tests.e2e.conftest import Begin
from tests.support.cells import cell
from tests.support.lab import eventually
from tests.support.story import IMAGE, NAME, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 40
PROGRAM = Path(sys.executable).parent / "kubectl-modelrollout"
VERDICT = '{"verdict": "Pass", "numbers": {"auc": 0.91}}'
PASSES = f"open('/dev/termination-log', 'w').write('{VERDICT}')"


def begun(begin: Begin, name: str, way: str, router: str, **spec: object) -> Story:
    """Begin a story whose version 1 serves, with clients."""
    story = begin(name, cell=cell(way, router), **spec)
    story.until(120, phase="Promoted")
    story.start_load(RATE).wait_for_answers(2 * RATE)
    return story


def versions(tally: Tally) -> set[str]:
    """Return the versions whose answers clients got."""
    return {version for version, count in tally.versions.items() if count.requests}


@pytest.fixture(scope="module")
def failing(begin: Begin) -> Story:
    """Start a shadow, over Envoy Gateway, of a version that fails half of its requests."""
    story = begun(begin, "shadow-errors", "shadow", "gateway-api/envoy")
    story.release(2, ERROR_RATE=0.5)
    return story


@pytest.fixture(scope="module")
def differing(begin: Begin) -> Story:
    """Start a shadow, over Traefik's own resources, of a version that answers something else."""
    story = begun(begin, "shadow-differs", "shadow", "traefik")
    story.release(2, DEFECT="label-shift")
    return story


def test_a_shadow_that_fails_goes_back_and_no_user_saw_it(failing: Story) -> None:
    move = failing.until_move("RolledBack", 120)
    # A failed answer is also one that disagrees: whichever test is sure first.
    assert any(word in move["message"] for word in ("errors", "agreement")), failing.diagnosis()
    assert failing.highest_weight(move["revision"]) == 0
    tally = failing.stop_load()
    assert (tally.failed, versions(tally)) == (0, {"1"}), tally


def test_a_shadow_that_disagrees_goes_back_and_no_user_saw_it(differing: Story) -> None:
    move = differing.until_move("RolledBack", 150)
    assert "agreement" in move["message"], differing.diagnosis()
    assert differing.highest_weight(move["revision"]) == 0

    def gone() -> bool:
        labels = "modelrollout.dev/role=comparer"
        return not differing.kube.list("Deployment", api="apps/v1", namespace=differing.namespace, labels=labels)

    eventually("the comparer is gone", gone, 30, differing.diagnosis)
    tally = differing.stop_load()
    assert (tally.failed, versions(tally)) == (0, {"1"}), tally


def test_a_shadow_flows_into_a_canary(begin: Begin) -> None:
    story = begun(begin, "shadow-good", "shadow", "gateway-api/envoy")
    story.release(2)
    story.until_move("Completed", 240)
    kinds = [move["move"] for move in story.moves()]
    assert kinds[-5:] == ["Shadow", "Weight", "Weight", "Promoted", "Completed"], story.diagnosis()
    assert story.stop_load().failed == 0


def test_blue_green_by_a_service_alone(begin: Begin) -> None:
    story = begun(begin, "blue-green", "blue-green", "service")
    story.release(2)
    promoted = story.until_move("Promoted", 120)
    service = story.kube.get("Service", NAME, api="v1", namespace=story.namespace)
    assert service["spec"]["selector"]["modelrollout.dev/revision"] == promoted["revision"]
    story.release(3, ERROR_RATE=0.6)
    story.until_move("RolledBack", 120)
    tally = story.stop_load()
    failed = {version: count.failed for version, count in tally.versions.items() if count.failed}
    assert failed.keys() <= {"3"}, "only the bad version's own errors may reach clients"


def test_gates_hold_until_they_pass(begin: Begin) -> None:
    container = {
        "name": "evaluate",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", PASSES],
    }
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    steps = [{"gate": {"name": "holdout", "job": job}}, {"gate": {"name": "release", "approval": {}}}, {"weight": 50}]
    strategy = {"type": "Canary", "steps": steps, "minStepDuration": "2s", "guard": {"duration": "5s"}}
    story = begun(begin, "gates", "canary", "gateway-api/traefik", strategy=strategy)
    story.release(2)
    passed = story.until_move("GatePassed", 120)
    assert "auc 0.91" in passed["message"], story.diagnosis()

    waits = lambda: "waits for a person" in story.status.get("message", "")  # noqa: E731
    eventually("it waits for a person", waits, 30, story.diagnosis)
    assert story.weight == 0
    command = [str(PROGRAM), "approve", NAME, "--namespace", story.namespace]
    environ = {**os.environ, "KUBECONFIG": str(story.kube.kubeconfig)}
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
    approved = story.until_move("Approved", 30)
    assert approved["by"]
    story.until_move("Completed", 150)
    assert story.stop_load().failed == 0
