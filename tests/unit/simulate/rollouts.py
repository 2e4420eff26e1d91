"""Rollouts and recordings for tests of `simulate` and `backtest`."""

import json
from pathlib import Path
from typing import Any

import yaml

from modelrollout.api.resource import ModelRollout, parse
from modelrollout.simulate.run import Run
from modelrollout.simulate.scenario import Scenario, load
from modelrollout.simulate.stage import prepare

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
SCENARIOS = EXAMPLES / "scenarios"


def raw(**spec: Any) -> dict[str, Any]:
    """Return the canary of the examples, with other parts of its spec where given."""
    document = yaml.safe_load((EXAMPLES / "canary.yaml").read_text(encoding="utf-8"))
    document["spec"].update(spec)
    return document


def rollout(**spec: Any) -> ModelRollout:
    return parse(raw(**spec))


def scenario(text: str) -> Scenario:
    return load(text, "test")


def write(path: Path, document: object) -> Path:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def recording(text: str, *, seed: int = 0, **spec: Any) -> str:
    """Play a scenario, and return what Prometheus holds afterwards, as the preset model-server would read it.

    The rollout that is recorded tolerates nearly everything, so that the candidate keeps its traffic for a while.
    """
    lenient = [{"name": "errors", "maxIncrease": {"absolute": "90%"}}, {"name": "latency"}]
    strategy = {"minStepDuration": "3m", **spec.pop("strategy", {})}
    analysis = {"preset": "model-server", "metrics": lenient, "harmBudget": "90%"}
    stage = prepare(rollout(analysis=analysis, strategy=strategy, **spec), scenario(text))
    run = Run(stage, seed, 0)
    run.play()
    end = run.grid.row(run.cluster.now) - 2
    metrics: dict[str, list[Any]] = {"errors": [], "latency": []}
    for revision in run.cluster.fleets:
        for name, entries in metrics.items():
            for series in run.prometheus._side(name, revision, range(end)):
                labels = {"namespace": "default", "pod": series.source}
                if name == "errors":
                    labels["code"] = "503" if series.bad else "200"
                else:
                    labels["le"] = "+Inf" if series.le == float("inf") else f"{series.le:g}"
                values = [
                    [stage.base + row * run.grid.window, f"{value:.0f}"]
                    for row, value in enumerate(series.values)
                    if value is not None
                ]
                entries.append({"metric": labels, "values": values})
    return json.dumps(
        {
            "stable": stage.stable,
            "candidate": stage.templates[-1][1],
            "metrics": {
                name: {"status": "success", "data": {"resultType": "matrix", "result": entries}}
                for name, entries in metrics.items()
            },
        }
    )
