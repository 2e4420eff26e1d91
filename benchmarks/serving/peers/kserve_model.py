"""KServe's Python server with a LightGBM model, as its documentation does it: `kserve_model.py MODEL PORT`."""

import importlib
import sys
from typing import Any

# Their packages are in an environment of their own.
kserve: Any = importlib.import_module("kserve")
lightgbm: Any = importlib.import_module("lightgbm")


class Fraud(kserve.Model):  # type: ignore[misc]
    """The model."""

    def __init__(self, file: str) -> None:
        super().__init__("fraud")
        self.booster = lightgbm.Booster(model_file=file)
        self.ready = True

    def predict(self, payload: Any, *_: Any, **__: Any) -> Any:
        """Answer a request."""
        found = self.booster.predict(payload.inputs[0].as_numpy(), num_threads=1)
        output = kserve.InferOutput("probability", list(found.shape), "FP64", data=found.tolist())
        return kserve.InferResponse("fraud-request", "fraud", [output])


if __name__ == "__main__":
    server = kserve.ModelServer(
        http_port=int(sys.argv[2]), enable_grpc=False, workers=1, access_log_format=None, enable_docs_url=False
    )
    server.start([Fraud(sys.argv[1])])
