"""The command line as a whole: options, exit codes for wrong input, and an answer at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelrollout import __version__
from modelrollout.cli.cluster import no_comparer, refusal
from modelrollout.cli.main import app

COMMANDS = [
    *("list", "status", "explain", "history", "report", "disagreements"),
    *("promote", "approve", "abort", "pause", "resume", "retry", "undo", "version"),
]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no way to a cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_help_imports_nothing_slow() -> None:
    """Otherwise every help text, completion and typo would take a second."""
    program = (
        "import sys, modelrollout.cli.main\n"
        "print([m for m in ('kubernetes', 'pydantic', 'kopf', 'aiohttp', 'yaml', 'requests') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_tells_the_exit_codes() -> None:
    output = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output.split())
    for part in ("0 fine", "1 the rollout was rolled back", "2 wrong arguments", "3 the cluster", "4 no such", "124"):
        assert part in output


def test_version() -> None:
    result = CliRunner().invoke(app, ["version"])
    assert (result.exit_code, result.output) == (0, f"modelrollout {__version__}\n")


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["status"], 2, "Missing argument"),
        (["status", "Fraud"], 2, "is not a name"),
        (["status", "pod/fraud"], 2, "is not a rollout"),
        (["status", "fraud", "-n", "../secrets"], 2, "is not a name"),
        (["status", "fraud", "--watch", "--timeout", "soon"], 2, "--timeout: 'soon' is not a duration"),
        (["promote", "fraud", "--wait-timeout", "1"], 2, "--wait-timeout: '1' is not a duration"),
        (["list", "-o", "xml"], 2, "'xml' is not one of"),
        (["disagreements", "fraud", "--limit", "0"], 2, "--limit"),
        (["report", "fraud"], 3, "error: kubeconfig"),
        (["dance"], 2, "No such command"),
        (["list"], 3, "error: kubeconfig"),
        (["status", "fraud"], 3, "set KUBECONFIG or pass --kubeconfig and --context"),
        (["abort", "mr/fraud"], 3, "error: kubeconfig"),
    ],
)
def test_wrong_input(arguments: list[str], code: int, text: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == code
    assert text in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (404, b'{"message": "x", "details": {"name": "fraud"}}', 4, "ModelRollout prod/fraud does not exist"),
        (404, b"404 page not found", 3, "the cluster does not know ModelRollout"),
        (401, b"{}", 3, "refuses your credentials"),
        (403, b'{"message": "cannot get"}', 3, "cannot get; ask for that right"),
        (422, b'{"message": "metadata.annotations: too long"}', 2, "too long"),
        (500, b"<html>", 3, "HTTP 500"),
        (503, b"[]", 3, "HTTP 503"),
    ],
)
def test_refusals_of_the_api_server(status: int, body: bytes, code: int, text: str) -> None:
    error = refusal("ModelRollout prod/fraud", status, body)
    assert error.code == code
    assert text in str(error)


def test_options_of_the_operator_can_come_from_its_environment() -> None:
    program = "import sys; sys.argv[1:] = ['operator']; from modelrollout.cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": "200", "MODELROLLOUT_PROMETHEUS_KEY_FILE": "tls.key"}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "a client key needs its certificate" in result.stderr


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (404, 2, "the comparer of x does not run: it does only while a shadow step compares"),
        (503, 3, "its pod is not ready"),
        (403, 3, "ask for that right"),
    ],
)
def test_refusals_on_the_way_to_a_comparer(status: int, code: int, text: str) -> None:
    error = no_comparer("the comparer of x", status, b"{}")
    assert error.code == code
    assert text in str(error)
