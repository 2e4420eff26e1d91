"""What the Job of a gate runs, in the model server's image: old model against new on labelled rows made here.

The new one is the built-in model with another bias, `BIAS`: 0 is the same model.
"""

import json
import os
import random
import sys
from array import array
from importlib import resources
from pathlib import Path

from model_server import cli
from model_server.model import built_in

ROWS = 3000
data = resources.files("model_server").joinpath("data")
metadata = json.loads(data.joinpath("metadata.json").read_text())
trees = json.loads(data.joinpath("trees.json").read_text())
folder = Path("/tmp")  # noqa: S108 - in a container of its own
for name, bias in (("stable", 0.0), ("candidate", float(os.environ["BIAS"]))):
    (folder / name).mkdir()
    (folder / name / "metadata.json").write_text(json.dumps({**metadata, "golden": []}))
    (folder / name / "trees.json").write_text(json.dumps({**trees, "bias": trees["bias"] + bias}))

model = built_in().evaluator
draw = random.Random(1)  # noqa: S311 - no secret
columns = [feature["name"] for feature in metadata["features"]]
lines = [",".join([*columns, "fraud"])]
for _ in range(ROWS):
    row = [round(draw.uniform(20, 1170), 2), draw.randrange(24), draw.randrange(730), draw.randint(1, 7)]
    (probability,) = model.predict(array("d", row), 1)
    lines.append(",".join(map(str, [*row, int(draw.random() < probability)])))
(folder / "holdout.csv").write_text("\n".join(lines) + "\n")

models = [f"--stable={folder}/stable", f"--candidate={folder}/candidate"]
sys.exit(cli.run(["evaluate", *models, f"--holdout={folder}/holdout.csv", "--gate=/dev/termination-log"]))
