"""Gates on a real API server, where nothing runs Jobs: the tests say what became of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import yaml
from lab.paths import REPOSITORY

from modelrollout.adapters.gates import GateKeeper, golden
from modelrollout.adapters.gates.case import Case, Pace
from modelrollout.adapters.gates.job import job_of
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.api.gates import Gate
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.core.observed import GateResult
from modelrollout.ports import Key, TerminalError
from tests.contract.operator_story import Story, operator, rollout
from tests.support.kube import Kube, KubeError
from tests.support.rollouts import rollout_in
from tests.unit.adapters.gates.stage import CANDIDATE, QUICK, STABLE, Server

Object = dict[str, Any]
NOW = "2026-01-01T00:00:00Z"
LABEL = "modelrollout.dev/role=gate"
LOOKS = "modelrollout_reconcile_seconds_count"
EVALUATE = {"name": "evaluate", "image": "x:1"}


def job(*, ident: str = "r-1-0", backoff_limit: int = 0, **pod: Any) -> OpenGate:
    template = {"spec": {"containers": [EVALUATE], **pod}}
    gate = Gate.model_validate({"job": {"template": template, "backoffLimit": backoff_limit}})
    return OpenGate(ident, gate, STABLE, CANDIDATE, step=2, attempt=1)


class Jobs:
    """The Job controller and the kubelet of a namespace."""

    def __init__(self, api: Kube, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def all(self) -> list[Object]:
        return [*self.api.list("Job", api="batch/v1", namespace=self.namespace, labels=LABEL)]

    @property
    def one(self) -> Object:
        (found,) = self.all()
        return found

    def ends(self, *, complete: bool, message: str = "", code: int = 0) -> None:
        """Let the Job end, and its pod with these last words."""
        name = self.one["metadata"]["name"]
        self._pod(name, message, code)
        common = {"status": "True", "reason": "Done" if complete else "BackoffLimitExceeded", "lastTransitionTime": NOW}
        kinds = ("SuccessCriteriaMet", "Complete") if complete else ("FailureTarget", "Failed")
        status: Object = {"startTime": NOW, "conditions": [{"type": kind, "message": "", **common} for kind in kinds]}
        status |= {"completionTime": NOW, "succeeded": 1} if complete else {"failed": 1}
        status["uncountedTerminatedPods"] = {}
        self.api.patch("Job", name, {"status": status}, api="batch/v1", namespace=self.namespace, sub="status")

    def delete(self) -> None:
        """Delete the Job, as the end of its time to live does."""
        path = self.api.path("batch/v1", "Job", self.one["metadata"]["name"], namespace=self.namespace)
        self.api.request("DELETE", path, params={"propagationPolicy": "Background"})

    def _pod(self, job: str, message: str, code: int) -> None:
        labels = {"batch.kubernetes.io/job-name": job}
        head = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": job, "namespace": self.namespace, "labels": labels},
        }
        self.api.create({**head, "spec": {"containers": [EVALUATE], "restartPolicy": "Never"}})
        state = {"exitCode": code, "message": message, "startedAt": NOW, "finishedAt": NOW}
        container = {"name": "evaluate", "image": "x:1", "imageID": "", "restartCount": 0, "ready": False}
        status = {"phase": "Succeeded", "containerStatuses": [{**container, "state": {"terminated": state}}]}
        self.api.patch("Pod", job, {"status": status}, api="v1", namespace=self.namespace, sub="status")


class Setting:
    """A rollout, its gate keeper and the Jobs that it runs."""

    def __init__(self, api: Kube, connection: Api, namespace: str) -> None:
        self.rollout: ModelRollout = rollout_in(api, namespace)
        self.key = Key(namespace, "fraud")
        self.jobs = Jobs(api, namespace)
        self.connection = connection
        self.changed = asyncio.Event()
        self.keeper = self.successor()

    def successor(self) -> GateKeeper:
        return GateKeeper(self.connection, lambda _: self.changed.set(), pace=QUICK)

    async def until(self, holds: Callable[[GateResult], bool]) -> GateResult:
        async with asyncio.timeout(20):
            while True:
                found = self.keeper.result(self.key)
                if found is not None and holds(found):
                    return found
                self.changed.clear()
                await self.changed.wait()

    async def over(self) -> GateResult:
        return await self.until(lambda found: found.state in (GateState.PASSED, GateState.FAILED))


@pytest.fixture
async def setting(api: Kube, connection: Api, namespace: str) -> AsyncIterator[Setting]:
    made = Setting(api, connection, namespace)
    yield made
    made.keeper.forget(made.key)


async def test_a_job_runs_and_its_verdict_is_read(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    await setting.until(lambda found: found.message.endswith("runs"))
    raw = setting.jobs.one
    assert raw["metadata"]["ownerReferences"][0]["uid"] == setting.rollout.metadata.uid
    assert raw["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    told = {one["name"]: one["value"] for one in raw["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert told["MODELROLLOUT_CANDIDATE_URL"] == f"http://fraud-{CANDIDATE}.{setting.key.namespace}.svc"

    setting.jobs.ends(complete=True, message='{"verdict": "Pass", "message": "AUC 0.93", "numbers": {"auc": 0.93}}')
    found = await setting.over()
    assert found == GateResult("r-1-0", GateState.PASSED, "AUC 0.93", {"auc": 0.93})


async def test_a_failed_job_fails(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    setting.jobs.ends(complete=False, message="no holdout data", code=2)
    found = await setting.over()
    assert found.state is GateState.FAILED
    assert found.message.endswith(": BackoffLimitExceeded: no holdout data")


async def test_a_successor_finds_the_job_and_runs_no_other(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    before = setting.jobs.one["metadata"]["uid"]
    setting.keeper.forget(setting.key)
    setting.keeper = setting.successor()
    await setting.keeper.open(setting.rollout, job())
    await setting.until(lambda found: found.message.endswith("runs"))
    assert setting.jobs.one["metadata"]["uid"] == before

    setting.jobs.ends(complete=True)
    await setting.over()
    setting.keeper = setting.successor()
    await setting.keeper.open(setting.rollout, job())
    assert (await setting.over()).state is GateState.PASSED
    assert setting.jobs.one["metadata"]["uid"] == before

    setting.keeper = setting.successor()
    await setting.keeper.open(setting.rollout, job(ident="r-2-0"))
    assert len(setting.jobs.all()) == 2


async def test_closing_deletes_a_job_that_runs_and_keeps_one_that_is_over(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    await setting.keeper.close(setting.rollout, "r-1-0")
    assert setting.jobs.all() == []
    assert setting.keeper.result(setting.key) is None

    await setting.keeper.open(setting.rollout, job(ident="r-2-0"))
    setting.jobs.ends(complete=True)
    await setting.over()
    await setting.keeper.close(setting.rollout, "r-2-0")
    assert setting.jobs.one


async def test_a_job_that_somebody_deleted_is_run_again(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    raw = setting.jobs.one
    setting.jobs.delete()
    async with asyncio.timeout(20):
        while not (found := setting.jobs.all()):  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)
    assert found[0]["metadata"]["uid"] != raw["metadata"]["uid"]


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"containers": [{**EVALUATE, "imagePolicy": "Always"}]}, "imagePolicy"),
        ({"restartPolicy": "Always"}, "restartPolicy"),
        ({"containers": [EVALUATE, EVALUATE]}, "Duplicate value"),
    ],
    ids=str,
)
async def test_a_template_that_is_none_is_refused_by_name(setting: Setting, pod: Object, said: str) -> None:
    with pytest.raises(TerminalError) as refused:
        await setting.keeper.open(setting.rollout, job(**pod))
    assert f"ModelRollout {setting.key}: spec.strategy.steps[2].gate.job.template: jobs of namespace" in str(
        refused.value
    )
    assert said in str(refused.value)
    assert setting.keeper.result(setting.key) is None


async def test_no_room_for_a_job_is_an_error_until_there_is(setting: Setting) -> None:
    api, namespace = setting.jobs.api, setting.key.namespace
    hard = {"count/jobs.batch": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace}}
    api.create({**quota, "spec": {"hard": hard}})
    api.patch(
        "ResourceQuota", "none", {"status": {"hard": hard, "used": hard}}, api="v1", namespace=namespace, sub="status"
    )
    # The API server hears of a quota a moment after it is written.
    probe = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "probe-", "namespace": namespace}}
    probe["spec"] = {"template": {"spec": {"restartPolicy": "Never", "containers": [EVALUATE]}}}
    async with asyncio.timeout(20):
        with contextlib.suppress(KubeError):
            while True:
                api.create(probe, dryRun="All")
                await asyncio.sleep(0.05)
    await setting.keeper.open(setting.rollout, job())
    found = await setting.until(lambda found: found.state is GateState.ERROR)
    assert "exceeded quota: none" in found.message
    api.delete("ResourceQuota", "none", api="v1", namespace=namespace)
    await setting.until(lambda found: found.state is GateState.RUNNING and found.message.endswith("runs"))
    assert setting.jobs.one


async def test_a_job_of_somebody_else_is_left_alone(setting: Setting) -> None:
    await setting.keeper.open(setting.rollout, job())
    raw = setting.jobs.one
    name, namespace = raw["metadata"]["name"], setting.key.namespace
    await setting.keeper.close(setting.rollout, "r-1-0")
    head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}}
    setting.jobs.api.create(
        {**head, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [EVALUATE]}}}}
    )
    with pytest.raises(TerminalError, match="exists and is not of this gate; delete it"):
        await setting.keeper.open(setting.rollout, job())
    await setting.keeper.close(setting.rollout, "r-1-0")
    assert setting.jobs.api.get("Job", name, api="batch/v1", namespace=namespace)


def steps(*gates: Object) -> Object:
    return {
        "steps": [*({"gate": gate} for gate in gates), {"weight": 50}],
        "minStepDuration": "1s",
        "guard": {"duration": "2s"},
    }


async def begin(story: Story, strategy: Object) -> str:
    """Bring up the first revision, then a candidate that stands at its first gate; returns what serves."""
    await story.apply(rollout(story.namespace, strategy=strategy))
    raw = await story.until("first revision serves", lambda s: s["phase"] == "Promoted" and s.get("stable"))
    await story.apply(rollout(story.namespace, "model:2", strategy=strategy))
    await story.until("a gate", lambda status: status.get("gate"))
    return str(raw["status"]["stable"])


async def test_a_rollout_waits_for_its_job_over_a_restart(api: Kube, namespace: str) -> None:
    jobs = Jobs(api, namespace)
    strategy = steps({"name": "holdout", "job": {"template": {"spec": {"containers": [EVALUATE]}}}})
    async with operator(api, namespace) as story:
        stable = await begin(story, strategy)
        raw = await story.until("a Job", lambda status: status["gate"]["state"] == "Running" and jobs.all())
        assert raw["status"]["weights"] == {"stable": 100, "candidate": 0}
        assert raw["status"]["message"].startswith("gate holdout is running")
    jobs.ends(complete=True, message='{"verdict": "Pass", "message": "AUC 0.93", "numbers": {"auc": 0.93}}')
    async with operator(api, namespace) as story:
        raw = await story.until("promoted", lambda s: s["phase"] == "Promoted" and s["stable"] != stable)
        passed = next(move for move in raw["status"]["history"] if move["move"] == "GatePassed")
        assert passed["message"] == "gate holdout passed: AUC 0.93; auc 0.93"
        assert raw["status"]["gate"]["numbers"] == {"auc": 0.93}
        assert len(jobs.all()) == 1


async def test_a_job_whose_verdict_is_known_is_not_run_again_when_it_is_gone(api: Kube, namespace: str) -> None:
    """It is kept for an hour, and people may take longer to promote."""
    jobs = Jobs(api, namespace)
    strategy = steps({"name": "holdout", "job": {"template": {"spec": {"containers": [EVALUATE]}}}})
    strategy["automation"] = {"promotion": "manual"}
    async with operator(api, namespace) as story:
        await begin(story, strategy)
        await story.eventually("a Job", lambda: bool(jobs.all()))
        jobs.ends(complete=True)
        await story.until("a person is asked", lambda status: status["step"].get("awaiting"))
        jobs.delete()
        await story.seen(await story.get())
        assert not jobs.all()
    async with operator(api, namespace) as story:
        await story.eventually("a look", lambda: story.metrics.registry.get_sample_value(LOOKS))
        await story.seen(await story.get())
        raw = await story.get()
        assert raw["status"]["gate"]["state"] == "Passed"
        assert not jobs.all()


async def test_a_hook_that_says_fail_rolls_back_and_people_are_told(api: Kube, namespace: str) -> None:
    async with Server().serving() as hook, Server().serving() as chat:
        hook.says((200, '{"verdict": "Fail", "message": "the board says no"}'))
        strategy = {**steps({"webhook": {"url": f"{hook.url}/ask"}}), "automation": {"rollback": "notify"}}
        told = {"gate_allow": (hook.url,), "notify_url": f"{chat.url}/hooks/s3cr3t"}
        async with operator(api, namespace, **told) as story:
            stable = await begin(story, strategy)
            raw = await story.until("rolled back", lambda status: status["phase"] == "RolledBack")
            assert raw["status"]["history"][-1]["message"] == "gate webhook failed: the board says no"
            await story.routed(**{stable: 100})
            await story.eventually("a message", lambda: bool(chat.asked))
            told_of = json.loads(chat.asked[0].body)
            assert told_of["text"].startswith(f"{namespace}/fraud: RolledBack of revision ")
            assert told_of["text"].endswith("gate webhook failed: the board says no")
            read = story.metrics.registry.get_sample_value
            await story.eventually(
                "it is counted", lambda: read("modelrollout_notifications_total", {"result": "sent"}) == 1
            )


async def test_a_hook_whose_url_was_mended_is_asked_there(api: Kube, namespace: str) -> None:
    async with Server().serving() as hook, operator(api, namespace, gate_allow=(hook.url,)) as story:
        hook.says(503)
        stable = await begin(story, steps({"webhook": {"url": f"{hook.url}/wrong", "retries": 0}}))
        await story.until("an error", lambda status: status["gate"]["state"] == "Error")
        hook.says(200)
        mended = steps({"webhook": {"url": f"{hook.url}/right", "retries": 0}})
        await story.apply(rollout(namespace, "model:2", strategy=mended))
        await story.until("promoted", lambda s: s["phase"] == "Promoted" and s["stable"] != stable)
        assert hook.asked[-1].path == "/right"


async def test_an_abort_takes_the_job_with_it(api: Kube, namespace: str) -> None:
    jobs = Jobs(api, namespace)
    strategy = steps({"job": {"template": {"spec": {"containers": [EVALUATE]}}}})
    async with operator(api, namespace) as story:
        await begin(story, strategy)
        await story.eventually("a Job", lambda: bool(jobs.all()))
        await story.patch({"metadata": {"annotations": {"modelrollout.dev/request": "abort@1"}}})
        await story.until("aborted", lambda status: status["phase"] == "RolledBack")
        await story.eventually("no Job", lambda: not jobs.all())


def gates_of_examples() -> list[tuple[str, OpenGate]]:
    found = []
    for path in sorted((REPOSITORY / "manifests" / "examples").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            for index, step in enumerate(
                document["spec"].get("strategy", {}).get("steps", ()) if "spec" in document else ()
            ):
                if "gate" in step:
                    gate = Gate.model_validate(step["gate"])
                    found.append((path.name, OpenGate(f"r-1-{index}", gate, STABLE, CANDIDATE, index, 1)))
    return found


async def test_the_jobs_of_the_examples_are_jobs(setting: Setting) -> None:
    names = []
    for name, gate in gates_of_examples():
        if gate.gate.job is not None:
            body = job_of(Case(setting.connection, setting.rollout, gate, QUICK), gate.gate.job)
            setting.jobs.api.create(body, dryRun="All")
            names.append(name)
    assert "blue-green-gates.yaml" in names


def test_the_golden_requests_of_the_examples_can_be_read() -> None:
    maps = {}
    for path in (REPOSITORY / "manifests" / "examples").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "ConfigMap":
                maps[path.name, document["metadata"]["name"]] = document["data"]
    read_maps = set()
    for name, gate in gates_of_examples():
        wanted = gate.gate.requests
        if wanted is not None and (name, wanted.config_map) in maps:
            assert golden.read(maps[name, wanted.config_map][wanted.key], wanted.path)
            read_maps.add(name)
    assert "blue-green-gates.yaml" in read_maps


def test_the_pace_of_production_is_calm() -> None:
    pace = Pace()
    waits = [pace.after(failures) for failures in range(1, 20)]
    assert max(waits) <= 30
    assert 0.25 <= waits[0] <= 0.5
