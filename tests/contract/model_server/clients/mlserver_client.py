"""A request as MLServer's own codecs write it, and the answer as its own types read it: `mlserver_client.py URL NAME`.

It runs in an environment of its own, as what MLServer needs does not go together with what the operator needs. Rows are
read from its input as JSON, and what was understood of the answers is written as JSON.
"""

import json
import sys
import urllib.request

import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataServerResponse


def ask(url: str, content: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        read: bytes = answer.read()
    return read


def main() -> None:
    url, name = sys.argv[1:]
    tensor = NumpyCodec.encode_input("features", np.array(json.load(sys.stdin)))
    request = InferenceRequest(inputs=[tensor]).model_dump_json(exclude_none=True)
    answer = InferenceResponse.model_validate_json(ask(f"{url}/v2/models/{name}/infer", request.encode()))
    model = MetadataModelResponse.model_validate_json(ask(f"{url}/v2/models/{name}"))
    server = MetadataServerResponse.model_validate_json(ask(f"{url}/v2"))
    found = {
        "server": server.name,
        "inputs": [each.name for each in model.inputs or []],
        "answers": NumpyCodec.decode_output(answer.outputs[0]).ravel().tolist(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
