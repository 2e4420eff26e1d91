"""The Job of a gate as it is written, and its verdict as it is read."""

from typing import Any

import pytest

from modelrollout.adapters.gates.case import Case, Pace
from modelrollout.adapters.gates.job import job_of, name_of, verdict_of
from modelrollout.adapters.gates.verdict import one_line, said
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.gates import Gate, JobGate
from modelrollout.api.resource import parse
from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.ports import TerminalError
from tests.support.rollouts import document
from tests.unit.adapters.gates.stage import CANDIDATE, STABLE

CONTAINER = {"name": "evaluate", "image": "x:1"}


def case(job: dict[str, Any], *, name: str = "fraud", uid: str = "0c1d", ident: str = "r-1-0") -> tuple[Case, JobGate]:
    raw = document("shop")
    raw["metadata"] |= {"name": name, "uid": uid, "generation": 1, "resourceVersion": "1"}
    gate = Gate.model_validate({"job": job})
    assert gate.job is not None
    opening = OpenGate(ident, gate, STABLE, CANDIDATE, step=2, attempt=1)
    return Case(Api(type("Unused", (), {})()), parse(raw), opening, Pace()), gate.job


def of(*containers: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return {"template": {"spec": {"containers": list(containers or (CONTAINER,)), **pod}}}


def test_the_job_is_told_what_it_compares() -> None:
    own = [{"name": "A", "value": "$(MODELROLLOUT_STABLE_URL)"}, {"name": "MODELROLLOUT_NAME", "value": "mine"}]
    body = job_of(*case(of({**CONTAINER, "env": own}, initContainers=[{"name": "load", "image": "x"}])))
    pod = body["spec"]["template"]["spec"]
    told = {one["name"]: one["value"] for one in pod["initContainers"][0]["env"]}
    assert told == {
        "MODELROLLOUT_NAME": "fraud",
        "MODELROLLOUT_NAMESPACE": "shop",
        "MODELROLLOUT_STABLE": STABLE,
        "MODELROLLOUT_CANDIDATE": CANDIDATE,
        "MODELROLLOUT_STABLE_URL": f"http://fraud-{STABLE}.shop.svc",
        "MODELROLLOUT_CANDIDATE_URL": f"http://fraud-{CANDIDATE}.shop.svc",
        "MODELROLLOUT_GATE": "0c1d-r-1-0",
    }
    # The container's own come last: they may refer to ours, and win.
    names = [one["name"] for one in pod["containers"][0]["env"]]
    assert names[-2:] == ["A", "MODELROLLOUT_NAME"]
    assert names.count("MODELROLLOUT_NAME") == 1


def test_the_job_ends_and_goes_with_its_rollout() -> None:
    body = job_of(*case({**of(), "backoffLimit": 2, "deadline": "90s"}))
    spec, meta = body["spec"], body["metadata"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (2, 90, 3600)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert meta["labels"]["modelrollout.dev/role"] == "gate"
    assert meta["annotations"] == {"modelrollout.dev/gate": "0c1d-r-1-0"}
    assert meta["ownerReferences"][0]["uid"] == "0c1d"
    assert spec["template"]["metadata"]["labels"] == {"modelrollout.dev/role": "gate"}
    again = job_of(*case(of(restartPolicy="OnFailure")))
    assert again["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_a_pod_of_the_job_cannot_take_live_requests() -> None:
    job = of()
    job["template"]["metadata"] = {"labels": {"modelrollout.dev/revision": STABLE}}
    with pytest.raises(TerminalError, match=r"steps\[2\]\.gate\.job\.template\.metadata\.labels: modelrollout.dev/rev"):
        job_of(*case(job))


def test_names_are_of_one_run_each() -> None:
    runs = [{}, {"uid": "other"}, {"ident": "r-2-0"}, {"name": "fraud-2"}, {"name": "x" * 52}]
    names = [name_of(case(of(), **run)[0]) for run in runs]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for name in names)
    assert name_of(case(of())[0]) == names[0]


def pod(*messages: tuple[int, str], at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    ended = [
        {"state": {"terminated": {"exitCode": code, "message": text, "finishedAt": at}}} for code, text in messages
    ]
    return {"status": {"containerStatuses": ended}}


COMPLETE = {"type": "Complete", "status": "True"}
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached its limit"}


@pytest.mark.parametrize(
    ("end", "pods", "state", "message", "numbers"),
    [
        (COMPLETE, [], GateState.PASSED, "", {}),
        (COMPLETE, [pod((0, ""))], GateState.PASSED, "", {}),
        (COMPLETE, [pod((0, "all is\nwell"))], GateState.PASSED, "all is well", {}),
        (
            COMPLETE,
            [pod((0, '{"verdict": "Pass", "message": "AUC 0.93", "numbers": {"auc": 0.93}}'))],
            GateState.PASSED, "AUC 0.93", {"auc": 0.93},
        ),
        (
            COMPLETE,
            [pod((0, '{"verdict": "Fail", "message": "AUC fell", "numbers": {"auc": 0.5}}'))],
            GateState.FAILED, "AUC fell", {"auc": 0.5},
        ),
        (COMPLETE, [pod((0, '{"verdict": "fail"}'))], GateState.FAILED, "Job j says Fail", {}),
        (COMPLETE, [pod((0, '{"verdict": "warn"}'))], GateState.PASSED, "", {}),
        (COMPLETE, [pod((0, "sidecar"), (0, '{"verdict": "Fail"}'))], GateState.FAILED, "Job j says Fail", {}),
        (FAILED, [], GateState.FAILED, "Job j: BackoffLimitExceeded: Job has reached its limit", {}),
        (FAILED, [pod((0, "fine"), (2, "no data"))], GateState.FAILED, "Job j: BackoffLimitExceeded: no data", {}),
        (
            FAILED,
            [pod((1, '{"verdict": "Fail", "message": "AUC fell"}'))],
            GateState.FAILED, "AUC fell", {},
        ),
        (
            FAILED,
            [pod((0, '{"verdict": "Pass", "message": "ok", "numbers": {"a": 1}}'), (137, ""))],
            GateState.FAILED, "Job j: BackoffLimitExceeded: ok", {"a": 1.0},
        ),
        (
            FAILED,
            [pod((1, "second"), at="2026-01-01T00:02:00Z"), pod((1, "first"), at="2026-01-01T00:01:00Z")],
            GateState.FAILED, "Job j: BackoffLimitExceeded: second", {},
        ),
    ],
)  # fmt: skip
def test_verdicts(
    end: dict[str, Any], pods: list[dict[str, Any]], state: GateState, message: str, numbers: dict[str, float]
) -> None:
    found = verdict_of("j", end, pods)
    assert (found.state, dict(found.numbers)) == (state, numbers)
    assert found.message.startswith(message)


@pytest.mark.parametrize("text", ["", "Pass", "[]", "{}", '{"verdict": 1}', '{"verdict": "maybe"}', "[" * 100_000])
def test_what_is_no_verdict(text: str) -> None:
    assert said(text) is None


def test_texts_of_others_are_one_short_line() -> None:
    assert one_line("a\n\tb\x00\x1b[31mc" + " d" * 1000).startswith("a b [31mc d d")
    assert len(one_line("x" * 1000)) == 300
