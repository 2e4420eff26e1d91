"""A handler written for speed by hand, without checks and signals: `fastapi_app.py MODEL PORT`."""

import importlib
import sys
from typing import Any

# Their packages are in an environment of their own.
fastapi: Any = importlib.import_module("fastapi")
lightgbm: Any = importlib.import_module("lightgbm")
numpy: Any = importlib.import_module("numpy")
orjson: Any = importlib.import_module("orjson")
uvicorn: Any = importlib.import_module("uvicorn")

app = fastapi.FastAPI()
booster: Any = lightgbm.Booster(model_file=sys.argv[1])


async def infer(request: Any) -> Any:
    """Answer a request."""
    tensor = orjson.loads(await request.body())["inputs"][0]
    rows = numpy.array(tensor["data"], dtype=numpy.float64).reshape(tensor["shape"])
    found = booster.predict(rows, num_threads=1)
    output = {"name": "probability", "shape": list(found.shape), "datatype": "FP64", "data": found.tolist()}
    return fastapi.Response(orjson.dumps({"model_name": "fraud", "outputs": [output]}), media_type="application/json")


async def ready() -> Any:
    """Tell that the model is loaded."""
    return fastapi.Response(b"{}")


infer.__annotations__["request"] = fastapi.Request
app.post("/v2/models/fraud/infer")(infer)
app.get("/v2/health/ready")(ready)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
