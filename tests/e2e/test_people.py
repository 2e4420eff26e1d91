"""What people do: they ask by the command line, and they apply files, good and bad ones."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lab.paths import REPOSITORY

from tests.e2e.conftest import Begin
from tests.support.kube import Kube
from tests.support.story import IMAGE, NAME, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROGRAM = Path(sys.executable).parent / "kubectl-modelrollout"


def ask(story: Story, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the plugin on a story's rollout."""
    command = [str(PROGRAM), words[0], NAME, *words[1:], "--namespace", story.namespace]
    environ = {**os.environ, "KUBECONFIG": str(story.kube.kubeconfig), "NO_COLOR": "1"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_abort_on_the_way_and_undo_after_promotion(begin: Begin, served: Callable[[Story], None]) -> None:
    story = begin("asked", strategy={"steps": [{"weight": 10}], "guard": {"duration": "60s"}})
    served(story)
    story.start_load(30).wait_for_answers(1)
    first = story.status["stable"]
    story.release(2)
    story.until_weight(10)

    aborted = ask(story, "abort")
    assert aborted.returncode == 0, aborted.stderr
    assert story.until(20, phase="RolledBack")["weights"] == {"stable": 100, "candidate": 0}
    assert story.moves("Aborted")[-1]["by"]

    again = ask(story, "retry")
    assert again.returncode == 0, again.stderr
    story.until_weight(10)
    skipped = ask(story, "promote", "--full")
    assert skipped.returncode == 0, skipped.stderr
    second = story.until_move("Promoted", 60)["revision"]
    assert story.status["stable"] == second != first

    undone = ask(story, "undo")
    assert undone.returncode == 0, undone.stderr
    status = story.until(30, stable=first, phase=("Promoted", "Guarding", "RolledBack"))
    assert status["request"]["action"] == "undo"
    tally = story.stop_load()
    assert tally.failed == 0, tally


def test_the_shortest_example_serves(begin: Begin, lab: Kube) -> None:
    example = yaml.safe_load((REPOSITORY / "manifests" / "examples" / "canary.yaml").read_text())
    spec = example["spec"]
    spec["template"]["spec"]["containers"][0]["image"] = IMAGE
    story = begin("example", **spec)
    story.until(90, phase="Promoted")
    assert len(story.pods(story.status["stable"])) == spec["replicas"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"startegy": {}}, 'unknown field "spec.startegy"'),
        ({"strategy": {"steps": [{"weight": 101}]}}, "should be less than or equal to 100"),
        ({"analysis": {}}, "spec.analysis.preset: Required value"),
    ],
)
def test_kubectl_apply_refuses_bad_input(lab: Kube, change: dict[str, object], said: str) -> None:
    example = yaml.safe_load((REPOSITORY / "manifests" / "examples" / "canary.yaml").read_text())
    bad = {**example, "spec": {**example["spec"], **change}}
    refused = lab.kubectl("apply", "--namespace", "default", "-f", "-", stdin=yaml.safe_dump(bad))
    assert refused.returncode != 0
    assert said in refused.stderr
