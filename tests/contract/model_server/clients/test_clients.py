"""The protocol as clients of others understand it: NVIDIA's tritonclient and MLServer's own types and codecs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.contract.model_server.clients.conftest import Served

CLIENT = Path(__file__).with_name("mlserver_client.py")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", ["", "7"])
def test_triton_over_http(served: Served, binary: bool, version: str) -> None:
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(served.http)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(served.name, version)
    assert client.get_server_metadata()["name"] == "model-server"
    described = client.get_model_metadata(served.name, version)
    assert described["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, 20]}]
    tensor = triton.InferInput("features", list(served.rows.shape), "FP64")
    tensor.set_data_from_numpy(served.rows, binary_data=binary)
    wanted = triton.InferRequestedOutput("probability", binary_data=binary)
    answer = client.infer(served.name, [tensor], version, [wanted], request_id="mine")
    assert answer.get_response()["id"] == "mine"
    np.testing.assert_array_equal(answer.as_numpy("probability"), served.answers)
    client.close()


def test_triton_over_http_is_told_what_is_wrong(served: Served) -> None:
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(served.http)
    tensor = triton.InferInput("wrong", [1, 1], "FP64")
    tensor.set_data_from_numpy(np.zeros((1, 1)))
    with pytest.raises(triton.InferenceServerException, match="must be 'features'"):
        client.infer(served.name, [tensor])
    assert not client.is_model_ready("other")
    client.close()


def test_triton_over_grpc(served: Served) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    client = triton.InferenceServerClient(served.grpc)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(served.name, "7")
    assert client.get_server_metadata().name == "model-server"
    described = client.get_model_metadata(served.name)
    assert [(each.name, each.datatype, list(each.shape)) for each in described.inputs] == [
        ("features", "FP64", [-1, 20])
    ]
    tensor = triton.InferInput("features", list(served.rows.shape), "FP64")
    tensor.set_data_from_numpy(served.rows)
    answer = client.infer(served.name, [tensor], request_id="mine")
    assert answer.get_response().id == "mine"
    np.testing.assert_array_equal(answer.as_numpy("probability"), served.answers)
    for name, version, status in (("other", "", "NOT_FOUND"), (served.name, "8", "NOT_FOUND")):
        with pytest.raises(triton.InferenceServerException) as caught:
            client.infer(name, [tensor], version)
        assert status in str(caught.value.status())
    wrong = triton.InferInput("features", [1, 2], "FP64")
    wrong.set_data_from_numpy(np.zeros((1, 2)))
    with pytest.raises(triton.InferenceServerException, match="shape must be"):
        client.infer(served.name, [wrong])
    client.close()
    metrics = httpx.get(f"http://{served.http}/metrics").text
    assert 'model_server_requests_total{code="404"} 2.0' in metrics


def test_grpc_with_typed_contents_and_a_tensor_for_each_feature(served: Served) -> None:
    grpc = pytest.importorskip("grpc")
    from model_server.grpc_messages import message  # noqa: PLC0415
    from model_server.training.synthetic import CHANNELS, COUNTRIES  # noqa: PLC0415

    names = httpx.get(f"http://{served.http}/v2/models/fraud").json()["parameters"]["features"]
    request = message("ModelInferRequest")(model_name=served.name)
    for name, column in zip(names, served.rows.T, strict=True):
        tensor = request.inputs.add(name=name, shape=[len(column)])
        words = {"country": COUNTRIES, "channel": CHANNELS}.get(name)
        if words:
            tensor.datatype = "BYTES"
            tensor.contents.bytes_contents.extend(words[int(code)].encode() for code in column)
        else:
            tensor.datatype = "FP64"
            tensor.contents.fp64_contents.extend(column)
    with grpc.insecure_channel(served.grpc) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=message("ModelInferRequest").SerializeToString,
            response_deserializer=message("ModelInferResponse").FromString,
        )
        answer = call(request)
    np.testing.assert_array_equal(answer.outputs[0].contents.fp64_contents, served.answers)


@pytest.mark.timeout(300)  # the first time MLServer is installed, in an environment of its own
def test_mlservers_types_and_codecs(served: Served) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not installed")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    python = [uv, "tool", "run", "--quiet", "--python", version, "--with", "mlserver>=1.7,<2", "python"]
    if subprocess.run([*python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("mlserver cannot be installed here")
    done = subprocess.run(
        [*python, str(CLIENT), f"http://{served.http}", served.name],
        input=json.dumps(served.rows.tolist()),
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert (found["server"], found["inputs"]) == ("model-server", ["features"])
    np.testing.assert_array_equal(found["answers"], served.answers)
