"""Models from an S3 server that checks signatures, over HTTP."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from model_server import model
from model_server.metadata import ModelError

SERVER = Path(__file__).with_name("s3_server.py")
URI = "s3://models/fraud/a model"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Serve the built-in model's files; return the variables that a model server needs to read them."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not installed")
    python = [uv, "run", "--quiet", "--no-project", "--with", "moto[server]>=5.2,<6", "python"]
    if subprocess.run([*python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("moto cannot be installed here")
    folder = tmp_path_factory.mktemp("model")
    for each in resources.files("model_server").joinpath("data").iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    command = [*python, str(SERVER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.stdin.close()


@pytest.fixture
def variables(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set them, and nothing else of AWS."""
    for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.timeout(300)  # the first time the server is installed
def test_a_model_is_read_with_the_keys_of_the_environment(variables: pytest.MonkeyPatch) -> None:
    wanted = model.built_in()
    found = model.load(URI, wanted.sha256)
    assert (found.metadata, found.sha256) == (wanted.metadata, wanted.sha256)
    with pytest.raises(ModelError, match=r"s3://models/none/metadata\.json: answered 404"):
        model.load("s3://models/none")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "changes", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_ACCESS_KEY_ID": ""}]
)
def test_other_keys_are_refused_and_not_told(variables: pytest.MonkeyPatch, changes: dict[str, str]) -> None:
    for name, value in changes.items():
        variables.setenv(name, value)
    with pytest.raises(ModelError, match="answered 403") as caught:
        model.load(URI)
    assert "wrong" not in str(caught.value)
