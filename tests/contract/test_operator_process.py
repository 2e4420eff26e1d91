"""The operator as a process: its options, probes, logs, and how it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.kube import Kube

PROGRAM = (sys.executable, "-c", "from modelrollout.cli.main import main; main()", "operator")


@dataclass
class Process:
    """A running operator."""

    popen: "subprocess.Popen[str]"
    port: int

    def get(self, path: str) -> tuple[int, str]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5.0, trust_env=False)
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    def until(self, what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if self.popen.poll() is not None or time.monotonic() > end:
                pytest.fail(f"not seen: {what}; exit code {self.popen.poll()}")
            time.sleep(0.05)


@contextlib.contextmanager
def started(kubeconfig: Path, namespace: str, *options: str) -> Iterator[Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    arguments = [f"--listen=127.0.0.1:{port}", f"--kubeconfig={kubeconfig}", f"--lease-namespace={namespace}"]
    command = [*PROGRAM, *arguments, f"--namespace={namespace}", "--log-format=json", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as popen:
        try:
            yield Process(popen, port)
        finally:
            popen.kill()


def test_sigterm_releases_the_lease_and_ends_with_0(api: Kube, namespace: str) -> None:
    with started(api.kubeconfig, namespace) as process:
        process.until("readiness", lambda: process.get("/readyz") == (200, "ok\n"))
        assert process.get("/healthz") == (200, "ok\n")
        assert "modelrollout_leader 1.0" in process.get("/metrics")[1]
        process.popen.send_signal(signal.SIGTERM)
        _, errors = process.popen.communicate(timeout=20)
        assert process.popen.returncode == 0, errors
    lines = [json.loads(line) for line in errors.splitlines()]
    assert "SIGTERM: stopping" in [line["message"] for line in lines]
    assert not [line for line in lines if line["level"] in ("WARNING", "ERROR", "CRITICAL")], errors
    lease = api.get("Lease", "modelrollout", api="coordination.k8s.io/v1", namespace=namespace)
    assert not lease["spec"].get("holderIdentity")


def test_a_standby_is_ready_and_leads_when_the_leader_leaves(api: Kube, namespace: str) -> None:
    leads, looks = "modelrollout_leader 1.0", 'code="200",resource="leases",verb="get"'
    with started(api.kubeconfig, namespace) as one, started(api.kubeconfig, namespace) as two:
        one.until("a leader", lambda: any(leads in process.get("/metrics")[1] for process in (one, two)))
        leader, standby = (one, two) if leads in one.get("/metrics")[1] else (two, one)
        standby.until("a look at the lease", lambda: looks in standby.get("/metrics")[1])
        assert standby.get("/readyz") == (200, "ok\n")
        assert leads not in standby.get("/metrics")[1]
        leader.popen.terminate()
        assert leader.popen.wait(timeout=20) == 0
        standby.until("it leads", lambda: leads in standby.get("/metrics")[1])


def test_without_rights_it_waits_and_says_so(api: Kube, namespace: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(api.kubeconfig.read_text().replace(api.token, "stranger"))
    with started(kubeconfig, namespace) as process:
        process.until("an explanation", lambda: "modelrollouts" in process.get("/readyz")[1].lower())
        assert process.get("/readyz")[0] == 503
        assert process.get("/healthz")[0] == 200
        process.popen.send_signal(signal.SIGTERM)
        _, errors = process.popen.communicate(timeout=20)
    assert process.popen.returncode == 0
    assert "stranger" not in errors


@pytest.mark.parametrize(
    "option",
    ["--listen=nowhere", "--scrape-interval=1500ms", "--settle=soon", "--log-format=xml", "--prometheus-url=ftp://x"],
)
def test_a_bad_option_is_named(option: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    result = subprocess.run([*PROGRAM, option], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert option.split("=", maxsplit=1)[0] in result.stderr
    assert "Traceback" not in result.stderr
