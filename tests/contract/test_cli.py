"""The command line against a real API server; the tests play the operator."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kube import Kube, KubeError
from tests.unit.cli.rollouts import (
    AT_APPROVAL,
    GATE,
    PROGRESSING,
    PROMOTED,
    REPORTED,
    ROLLED_BACK,
    SHADOW_STEPS,
    Raw,
    deployment,
    rollout,
)
from tests.unit.cli.test_strategies_words import ANSWER

API = "modelrollout.dev/v1alpha1"
REQUEST = "modelrollout.dev/request"
PROGRAM = [sys.executable, "-c", "from modelrollout.cli.main import main; main()"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(api: Kube) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(api.kubeconfig), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def run(namespace: str, environment: dict[str, str]) -> Run:
    """Return a function that runs a command in the test's namespace to its end."""

    def command(*arguments: str, kubeconfig: Path | None = None) -> "subprocess.CompletedProcess[str]":
        there = {**environment, "KUBECONFIG": str(kubeconfig)} if kubeconfig else environment
        return subprocess.run(
            [*PROGRAM, "-n", namespace, *arguments], env=there, capture_output=True, text=True, timeout=30, check=False
        )

    return command


@pytest.fixture
def start(namespace: str, environment: dict[str, str]) -> Callable[..., Any]:
    """Return a context manager that runs a command while the test goes on."""

    @contextmanager
    def command(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
        line = [*PROGRAM, "-n", namespace, *arguments]
        with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
            try:
                yield one
            finally:
                one.kill()

    return command


@pytest.fixture
def fraud(api: Kube, namespace: str) -> Callable[[Raw | None], Raw]:
    """Return a function that sets the status of the rollout `fraud`, which it creates when it is not there."""

    def put(status: Raw | None) -> Raw:
        try:
            raw = api.get("ModelRollout", "fraud", api=API, namespace=namespace)
        except KubeError:
            raw = rollout()
            raw["metadata"] = {"name": "fraud", "namespace": namespace}
            raw = api.create(raw)
        if status is None:
            return raw
        fresh = {**status, "observedGeneration": raw["metadata"]["generation"]}
        return api.patch("ModelRollout", "fraud", {"status": fresh}, api=API, namespace=namespace, sub="status")

    return put


def asked(api: Kube, namespace: str) -> Raw:
    """Wait until a request stands in the annotation; return it."""
    end = time.monotonic() + 20.0
    while time.monotonic() < end:
        annotations = api.get("ModelRollout", "fraud", api=API, namespace=namespace)["metadata"].get("annotations", {})
        if REQUEST in annotations:
            return dict(json.loads(annotations[REQUEST]))
    raise AssertionError("nobody asked for anything")


def test_list(run: Run, fraud: Callable[..., Raw], namespace: str) -> None:
    assert f"No rollouts in namespace {namespace}" in run("list").stdout
    fraud(PROGRESSING)
    here, everywhere = run("list"), run("list", "-A")
    assert here.returncode == 0
    assert here.stdout.splitlines()[1].split()[:2] == ["fraud", "Progressing"]
    assert [namespace, "fraud"] in [line.split()[:2] for line in everywhere.stdout.splitlines()]
    assert [item["metadata"]["name"] for item in json.loads(run("list", "-o", "json").stdout)["items"]] == ["fraud"]


def test_status_shows_deployments_and_health(run: Run, fraud: Callable[..., Raw], api: Kube, namespace: str) -> None:
    fraud(PROGRESSING)
    raw = deployment("bbbbbbbbbb", "registry.example/fraud:1.4", 4, 4)
    labels = {"modelrollout.dev/name": "fraud", "modelrollout.dev/revision": "bbbbbbbbbb"}
    template = {"metadata": {"labels": labels}, **raw["spec"]["template"]}
    api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "fraud-bbbbbbbbbb", "namespace": namespace, "labels": labels},
            "spec": {"replicas": 4, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    shown = run("status", "fraud")
    assert shown.returncode == 0
    assert "bbbbbbbbbb   stable      90%      0/4    registry.example/fraud:1.4" in shown.stdout
    fraud(ROLLED_BACK)
    assert run("status", "fraud").returncode == 1
    assert yaml.safe_load(run("status", "fraud", "-o", "yaml").stdout)["status"]["phase"] == "RolledBack"


@pytest.mark.parametrize("command", ["status", "explain", "history", "report", "disagreements", "approve", "abort"])
def test_what_does_not_exist(run: Run, namespace: str, command: str) -> None:
    result = run(command, "nothing")
    assert result.returncode == 4
    assert result.stderr == f"error: ModelRollout {namespace}/nothing does not exist; see `modelrollout list -A`\n"


def test_kubectl_completes_names_of_rollouts(
    api: Kube, fraud: Callable[..., Raw], environment: dict[str, str], namespace: str
) -> None:
    fraud(PROGRESSING)
    # kubectl looks for plugins, and for what completes them, on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [api.kubectl_program, "__complete", "modelrollout", "-n", namespace, "promote", "fr"]
    found = subprocess.run(command, env={**environment, "PATH": path}, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["fraud", ":4"]


def test_a_request_is_carried_out(
    start: Callable[..., Any], fraud: Callable[..., Raw], api: Kube, namespace: str
) -> None:
    fraud(PROGRESSING)
    with start("promote", "fraud", "--full", "--wait-timeout", "20s") as command:
        request = asked(api, namespace)
        outcome = {"by": "admin", "at": "2026-03-01T12:00:00Z", "outcome": "goes to 100%", "action": "promote"}
        fraud({**PROGRESSING, "request": {"id": request["id"], **outcome}})
        stdout, stderr = command.communicate(timeout=20)
    assert (request["action"], request["by"], request["full"]) == ("promote", "admin", True)
    assert (command.returncode, stdout, stderr) == (0, f"{namespace}/fraud: promote: goes to 100%\n", "")
    managers = api.get("ModelRollout", "fraud", api=API, namespace=namespace)["metadata"]["managedFields"]
    (ours,) = [one["fieldsV1"] for one in managers if one["manager"] == "kubectl-modelrollout"]
    assert ours == {"f:metadata": {"f:annotations": {".": {}, f"f:{REQUEST}": {}}}}


def test_a_request_that_the_operator_refuses(
    start: Callable[..., Any], fraud: Callable[..., Raw], api: Kube, namespace: str
) -> None:
    fraud(PROGRESSING)
    with start("abort", "fraud", "--wait-timeout", "20s") as command:
        request = asked(api, namespace)
        answer = {"by": "admin", "at": "2026-03-01T12:00:00Z", "action": "abort", "refused": True}
        fraud({**PROMOTED, "request": {"id": request["id"], "outcome": "nothing to abort", **answer}})
        stdout, stderr = command.communicate(timeout=20)
    assert (command.returncode, stdout) == (2, "")
    assert stderr == f"error: ModelRollout {namespace}/fraud: nothing to abort\n"


def test_a_request_without_waiting(run: Run, fraud: Callable[..., Raw], api: Kube, namespace: str) -> None:
    fraud(PROGRESSING)
    first, second = run("pause", "fraud", "--no-wait"), asked(api, namespace)
    assert (first.returncode, first.stdout) == (0, f"{namespace}/fraud: pause is asked for\n")
    run("abort", "fraud", "--no-wait")
    assert asked(api, namespace)["id"] != second["id"]


def test_nobody_carries_it_out(run: Run, fraud: Callable[..., Raw]) -> None:
    fraud(PROGRESSING)
    result = run("abort", "fraud", "--wait-timeout", "1s")
    assert result.returncode == 124
    assert "abort is written down, but the operator has not carried it out yet" in result.stderr


def test_a_request_that_makes_no_sense_writes_nothing(run: Run, fraud: Callable[..., Raw]) -> None:
    before = fraud(PROMOTED)
    result = run("resume", "fraud")
    assert result.returncode == 2
    assert "nothing to resume: it is not paused but Promoted" in result.stderr
    assert fraud(None)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.parametrize(("end", "code"), [(PROMOTED, 0), (REPORTED, 0), (ROLLED_BACK, 1)])
def test_watching_to_the_end(
    start: Callable[..., Any], fraud: Callable[..., Raw], end: dict[str, Any], code: int
) -> None:
    fraud(PROGRESSING)
    with start("status", "fraud", "--watch", "--timeout", "30s") as command:
        assert "Progressing step 2/4 10%: holding 10%" in command.stdout.readline()
        fraud(end)
        assert end["phase"] in command.stdout.readline()
        assert command.wait(timeout=20) == code


def test_watching_ends_in_time(run: Run, fraud: Callable[..., Raw], namespace: str) -> None:
    fraud(PROGRESSING)
    result = run("status", "fraud", "--watch", "--timeout", "1s")
    assert result.returncode == 124
    assert f"ModelRollout {namespace}/fraud is still Progressing" in result.stderr


def test_watching_what_is_deleted(
    start: Callable[..., Any], fraud: Callable[..., Raw], api: Kube, namespace: str
) -> None:
    fraud(PROGRESSING)
    with start("status", "fraud", "--watch", "--timeout", "30s") as command:
        command.stdout.readline()
        api.delete("ModelRollout", "fraud", api=API, namespace=namespace)
        _, stderr = command.communicate(timeout=20)
    assert command.returncode == 4
    assert "deleted" in stderr or "does not exist" in stderr


def edited(api: Kube, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = yaml.safe_load(api.kubeconfig.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    return path


def test_no_right_to_look(run: Run, api: Kube, tmp_path: Path) -> None:
    nobody = edited(api, tmp_path / "nobody", lambda content: content["users"][0].update(user={"token": "guessed"}))
    result = run("list", kubeconfig=nobody)
    assert result.returncode == 3
    assert "the cluster refuses your credentials" in result.stderr
    assert "guessed" not in result.stderr


def test_a_cluster_that_does_not_answer(run: Run, api: Kube, tmp_path: Path) -> None:
    def unplug(content: dict[str, Any]) -> None:
        content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"

    result = run("status", "fraud", kubeconfig=edited(api, tmp_path / "down", unplug))
    assert result.returncode == 3
    assert result.stderr.startswith("error: the cluster at 127.0.0.1:1 does not answer")
    assert result.stderr.count("\n") == 1


def strategy(api: Kube, namespace: str, **fields: Any) -> None:
    api.patch("ModelRollout", "fraud", {"spec": {"strategy": fields}}, api=API, namespace=namespace)


def test_approve_is_refused_unless_a_gate_waits_for_a_person(
    run: Run, fraud: Callable[..., Raw], api: Kube, namespace: str
) -> None:
    fraud(None)
    strategy(api, namespace, steps=SHADOW_STEPS)
    step = {**AT_APPROVAL["step"], "index": 2, "name": "gate evaluation"}
    fraud({**AT_APPROVAL, "step": step, "gate": GATE})
    refused = run("approve", "fraud")
    assert refused.returncode == 2
    assert "gate evaluation waits for its job, not for a person" in refused.stderr
    fraud(AT_APPROVAL)
    asking = run("approve", "fraud", "--no-wait")
    assert (asking.returncode, asking.stdout) == (0, f"{namespace}/fraud: approve is asked for\n")
    assert asked(api, namespace)["action"] == "approve"


def test_report_of_a_shadow_that_is_over(run: Run, fraud: Callable[..., Raw], api: Kube, namespace: str) -> None:
    fraud(PROGRESSING)
    assert run("report", "fraud").returncode == 2
    strategy(api, namespace, type="Shadow")
    fraud(REPORTED)
    shown = run("report", "fraud")
    assert shown.returncode == 0, shown.stderr
    assert "the shadow is over, nothing was promoted" in shown.stdout
    data = json.loads(run("report", "fraud", "-o", "json").stdout)
    assert (data["passed"], data["pairs"]) == (True, 9843)


def own_address() -> str:
    """Return an address of this machine that is no loopback one: the API server proxies to none of those."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a way
        return str(probe.getsockname()[0])


def addressed(api: Kube, namespace: str, addresses: list[str], port: int) -> None:
    """Say where the Service of the comparer leads, as a kubelet and controllers do that do not run here."""
    pods = []
    for address in addresses:
        spec = {"containers": [{"name": "comparer", "image": "c:1"}], "automountServiceAccountToken": False}
        pod = {"metadata": {"name": "fraud-comparer", "namespace": namespace}, "spec": spec}
        api.create({"apiVersion": "v1", "kind": "Pod", **pod})
        status = {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}
        api.patch("Pod", "fraud-comparer", {"status": status}, api="v1", namespace=namespace, sub="status")
        reference = {"kind": "Pod", "name": "fraud-comparer", "namespace": namespace}
        pods.append({"ip": address, "targetRef": reference})
    ports = [{"name": "metrics", "port": port, "protocol": "TCP"}]
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "fraud-comparer", "namespace": namespace},
            "subsets": [{"addresses": [pod], "ports": ports} for pod in pods],
        }
    )


@contextmanager
def comparer(api: Kube, namespace: str) -> Iterator[list[str]]:
    """Serve a comparer's answer behind a Service as the operator makes it; gives the paths that were asked for."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer((own_address(), 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        addressed(api, namespace, [own_address()], port)
        try:
            yield paths
        finally:
            server.shutdown()
            thread.join()


def test_disagreements_are_read_through_the_api_server(
    run: Run, fraud: Callable[..., Raw], api: Kube, namespace: str
) -> None:
    fraud(PROGRESSING)
    nobody = run("disagreements", "fraud")
    assert nobody.returncode == 2
    assert f"the comparer of ModelRollout {namespace}/fraud does not run" in nobody.stderr
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "fraud-comparer", "namespace": namespace},
            "spec": {"ports": [{"name": "metrics", "port": 8081, "targetPort": "metrics"}]},
        }
    )
    addressed(api, namespace, [], 1)
    starting = run("disagreements", "fraud")
    assert starting.returncode == 3
    assert "its pod is not ready" in starting.stderr
    with comparer(api, namespace) as paths:
        shown = run("disagreements", "fraud", "--limit", "1")
        assert shown.returncode == 0, shown.stderr
        data = json.loads(run("disagreements", "fraud", "--limit", "1", "-o", "json").stdout)
    assert set(paths) == {"/disagreements"}
    assert "9812 of 9843 pairs agree (99.7%)" in shown.stdout
    assert "1 of 2 kept" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert [one["difference"]["kind"] for one in data["disagreements"]] == ["value"]
