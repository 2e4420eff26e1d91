"""Requests that schemathesis makes of the server's own description: no fault, and no answer that is not described."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.model_server.process import Start

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.timeout(300)  # the first time schemathesis is installed, in an environment of its own
def test_every_answer_is_one_that_the_description_knows(start: Start, tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not installed")
    tool = [uv, "tool", "run", "--quiet", "--from", "schemathesis>=4.3,<5", "schemathesis"]
    if subprocess.run([*tool, "--version"], check=False, capture_output=True).returncode:
        pytest.skip("schemathesis cannot be installed here")
    server = start(DRAIN_S="0")
    address = server.listening()
    server.wait_for("is ready")
    options = ["--seed=1", "--max-examples=20", "--phases=coverage,fuzzing", f"--checks={CHECKS}", "--no-color"]
    done = subprocess.run(
        [*tool, "run", f"http://{address}/openapi.json", *options],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
