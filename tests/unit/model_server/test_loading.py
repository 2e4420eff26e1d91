"""Where models come from, and what is refused before it can serve."""

import datetime
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from model_server import metadata, model, sources
from model_server.metadata import ModelError

TREES = {"bias": 0.0, "trees": [{"feature": "x", "at": 1, "below": -1, "above": 1}]}
GOOD: dict[str, Any] = {
    "format": "trees",
    "file": "trees.json",
    "features": [{"name": "x", "bins": [0, 1]}],
    "golden": [{"row": [0], "answer": [0.2689414]}],
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a model, its metadata changed as told."""

    def write(**changes: Any) -> Path:
        (tmp_path / "trees.json").write_text(json.dumps(TREES))
        (tmp_path / "metadata.json").write_text(json.dumps(GOOD | changes))
        return tmp_path

    return write


@pytest.fixture
def served(folder: Callable[..., Path]) -> Iterator[str]:
    """Serve the folder over HTTP."""
    handler = partial(Quiet, directory=str(folder()))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_folder_a_metadata_file_and_a_file_address_mean_the_same(folder: Callable[..., Path]) -> None:
    path = folder()
    wanted = hashlib.sha256((path / "trees.json").read_bytes()).hexdigest()
    for uri in (str(path), f"{path}/", f"{path}/metadata.json", f"file://{path}"):
        assert model.load(uri, wanted).sha256 == wanted


def test_http(served: str) -> None:
    assert model.load(served).metadata.names == ("x",)
    with pytest.raises(ModelError, match="answered 404"):
        model.load(f"{served}/elsewhere")


def test_s3_asks_the_endpoint_of_the_environment(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", served)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(ModelError, match=r"s3://models/fraud/metadata\.json: answered 404"):
        model.load("s3://models/fraud")


def test_s3_requests_are_signed() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    request = sources.s3_request("s3://models/a b/m.txt", keys | {"AWS_REGION": "eu-west-1"}, now)
    assert request.full_url == "https://models.s3.eu-west-1.amazonaws.com/a%20b/m.txt"
    headers = {name.lower(): value for name, value in request.header_items()}
    assert headers["x-amz-date"] == "20260102T030405Z"
    assert headers["x-amz-security-token"] == "token"
    scope = "Credential=id/20260102/eu-west-1/s3/aws4_request"
    names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    assert headers["authorization"].startswith(f"AWS4-HMAC-SHA256 {scope}, {names}, Signature=")
    assert "secret" not in str(headers)
    assert not sources.s3_request("s3://models/m", {}).header_items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"golden": [{"row": [0], "answer": [0.5]}]}, r"golden\[0\] must give \[0.5\], the model gives \[0.26"),
        ({"golden": [{"row": [0, 1], "answer": [0.5]}]}, r"golden\[0\].row: must hold 1 values"),
        ({"features": []}, "name every feature once"),
        ({"features": [{"name": "x"}, {"name": "x"}]}, "name every feature once"),
        ({"features": [{"name": "x", "bins": [2, 1]}]}, r"features\[x\].bins: bounds must ascend"),
        ({"features": [{"name": "x", "bin": 1}]}, "unknown field `bin`"),
        ({"prediction_bounds": []}, "prediction_bounds"),
        ({"slice_feature": "y"}, "'y' is no feature"),
        ({"format": "pickle"}, "Invalid enum value 'pickle'"),
        ({"file": "../trees.json"}, "must be the name of a file"),
        ({"file": "other.json"}, "No such file"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Callable[..., Path], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        model.load(str(folder(**changes)))


def test_a_checksum_of_the_settings_must_match(folder: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="MODEL_SHA256 ask for"):
        model.load(str(folder()), "f" * 64)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="use a path, file://"):
        model.load("ftp://models/fraud")


def test_metadata_survive_writing_and_reading() -> None:
    known = model.built_in().metadata
    text = metadata.encode(known)
    assert metadata.decode(text, "x") == known
    assert metadata.encode(metadata.decode(text, "x")) == text
