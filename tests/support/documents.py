"""ModelRollouts that must be refused, for the API server and for `parse` alike."""

import copy
import re
from typing import Any

Document = dict[str, Any]

GOOD: Document = {
    "apiVersion": "modelrollout.dev/v1alpha1",
    "kind": "ModelRollout",
    "metadata": {"name": "fraud"},
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "model", "image": "fraud:1", "ports": [{"containerPort": 8080}]}]}
        },
        "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public", "namespace": "gateway"}]}},
        "analysis": {"preset": "traefik"},
    },
}

ABSENT = object()


def edited(path: str, value: object, base: Document = GOOD) -> Document:
    """Return a copy of `base` with the value put at a path such as `spec.strategy.steps[0].weight`, or taken out."""
    document = copy.deepcopy(base)
    parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    *parents, last = parts
    node: Any = document
    for part in parents:
        node = node[part] if isinstance(part, int) else node.setdefault(part, {})
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return document


CONTAINER = "spec.template.spec.containers"
GATEWAY = "spec.traffic.gatewayAPI"
STEPS = "spec.strategy.steps"
TEN = {"weight": 10}

REFUSED: list[tuple[str, object, str, str]] = [
    # path, value, what the API server says, what `parse` says
    ("spec.startegy", {}, 'unknown field "spec.startegy"', "spec.startegy: unknown field"),
    ("spec.strategy.setps", [], 'unknown field "spec.strategy.setps"', "spec.strategy.setps: unknown field"),
    ("spec.analysis", {}, "spec.analysis.preset: Required value", "spec.analysis.preset: is required"),
    (
        "spec.analysis.preset",
        "No Such",
        'spec.analysis.preset: Invalid value: "No Such": must be a name',
        "preset: must be a name",
    ),
    ("spec.template", ABSENT, "spec.template: Required value", "spec.template: is required"),
    ("spec.template", {}, "spec.template.spec: Required value", "spec.containers must list at least one"),
    (CONTAINER, [], "spec.template.spec.containers", "spec.containers must list at least one"),
    (CONTAINER, [{"name": "m"}], "containers[0].image: Required value", "spec.containers[0] must have name and image"),
    (CONTAINER, [{"image": "m"}], "containers[0].name: Required value", "spec.containers[0] must have name and image"),
    ("spec.traffic", {}, "name at least one router", "spec.traffic: name at least one router"),
    (f"{GATEWAY}.parentRefs", [], "give parentRefs", "spec.traffic.gatewayAPI: give parentRefs"),
    (f"{GATEWAY}.parentRefs", [{"name": "A b"}], "must be a name of a-z", "parentRefs[0].name: must be a name"),
    (
        f"{GATEWAY}.hostnames",
        ["http://x.example"],
        "must be a host name without scheme",
        "hostnames[0]: must be a host name",
    ),
    (f"{GATEWAY}.hostnames", ["a.example", "a.example"], "hostnames[1]: Duplicate value", "may stand once"),
    (f"{GATEWAY}.pathPrefix", "v1", "begins with '/'", "pathPrefix: must be a path that begins"),
    (f"{GATEWAY}.pathPrefix", "/a//b", "pathPrefix must not contain '//'", "pathPrefix must not contain '//'"),
    ("spec.traffic.port", 0, "port must be a number from 1 to 65535", "must be a number from 1 to 65535"),
    ("spec.traffic.port", "Http", "port must be a number from 1 to 65535", "must be a number from 1 to 65535"),
    ("spec.replicas", -1, "spec.replicas in body should be greater than or equal to 0", "spec.replicas: "),
    ("spec.replicas", "two", "spec.replicas in body must be of type integer", "spec.replicas: "),
    ("spec.strategy.type", "Rainbow", 'spec.strategy.type: Unsupported value: "Rainbow"', "spec.strategy.type: "),
    (STEPS, [], "spec.strategy.steps", "spec.strategy.steps: "),
    (STEPS, [TEN] * 21, "spec.strategy.steps: Too many: 21", "spec.strategy.steps: "),
    (STEPS, [{"weight": 0}], "weight in body should be greater than or equal to 1", "steps[0].weight: "),
    (STEPS, [{"weight": 101}], "weight in body should be less than or equal to 100", "steps[0].weight: "),
    (STEPS, [TEN, {}], "exactly one of shadow, weight", "steps[1]: a step is exactly one of shadow, weight"),
    (STEPS, [TEN, {**TEN, "pause": {}}], "exactly one of shadow, weight", "exactly one of shadow, weight"),
    (STEPS, [{"pause": {}}], "steps must have at least one weight", "steps must have at least one weight"),
    (STEPS, [{"weight": 50}, {"weight": 20}], "steps must have rising weights", "steps must have rising weights"),
    (STEPS, [TEN, {"pause": {}, "minDuration": "1m"}], "a pause takes pause.duration", "a pause takes pause.duration"),
    (STEPS, [{**TEN, "onTimeout": "Rollback"}], "onTimeout needs maxDuration", "onTimeout needs maxDuration"),
    (STEPS, [{**TEN, "onTimeout": "Stop", "maxDuration": "1h"}], "Unsupported value", "steps[0].onTimeout: "),
    (STEPS, [{**TEN, "minDuration": "2h", "maxDuration": "90m"}], "maxDuration must be", "maxDuration must be"),
    (STEPS, [{**TEN, "maxDuration": "59s"}], "maxDuration must be at least", "maxDuration must be at least"),
    (STEPS, [{**TEN, "minDuration": "soon"}], "must be a duration, for instance 30s", "write for instance 30s"),
    (
        "spec.strategy.guard",
        {"duration": "9999999999h"},
        'guard.duration: Invalid value: "9999999999h": must be a duration',
        "guard.duration: ",
    ),
    ("spec.progressDeadline", "500ms", "progressDeadline must be at least 1s", "progressDeadline must be at least 1s"),
    ("spec.analysis.falseRollback", "0%", "above 0% and below 50%", "falseRollback: must be above 0% and below 50%"),
    ("spec.analysis.falseRollback", "50%", "above 0% and below 50%", "falseRollback: must be above 0% and below 50%"),
    ("spec.analysis.falsePromotion", "60%", "above 0% and below 50%", "falsePromotion: must be above 0% and below"),
    ("spec.analysis.falseRollback", "0.01", "must be a percentage, for instance 1%", "write for instance 1%"),
    ("spec.analysis.falseRollback", "low", "must be a percentage, for instance 1%", "write for instance 1%"),
    ("spec.analysis.harmBudget", "0.0%", "above 0% and at most 100%", "harmBudget: must be above 0% and at most 100%"),
    ("spec.analysis.metrics", [], "spec.analysis.metrics", "spec.analysis.metrics: "),
    ("spec.analysis.metrics", [{"name": "Mood"}], "must be a name of a-z", "spec.analysis.metrics[0].name: "),
    ("spec.analysis.metrics", [{"name": "errors"}] * 2, "metrics[1]: Duplicate value", "may stand once"),
    (
        "spec.analysis.metrics",
        [{"name": "traffic", "query": "max(depth)", "max": 1}],
        "names of the operator's own verdicts",
        "is the name of a verdict of the operator's own",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "queue"}],
        "needs query",
        "needs query",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "errors", "maxDistance": 0.1}],
        "maxDistance is taken by predictions, inputs only",
        "errors does not take maxDistance",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "latency", "maxIncrease": {"absolute": "1%"}}],
        "latency does not take maxIncrease.absolute",
        "latency does not take maxIncrease.absolute",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "slo"}],
        "slo needs maxErrorRate",
        "slo needs maxErrorRate",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "inputs"}],
        "inputs alone decides nothing",
        "inputs alone decides nothing",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "predictions", "maxDistance": 1.5}],
        "maxDistance must be above 0 and below 1",
        "maxDistance",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "queue", "query": "max(depth)"}],
        "needs max or min",
        "needs max or min",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "queue", "query": "max(depth)", "max": 1, "min": 2}],
        "min must not be above max",
        "min must not be above max",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "queue", "query": "max(depth)", "max": 1, "preset": "istio"}],
        "a query has no preset",
        "a query has no preset",
    ),
    (
        "spec.analysis.metrics",
        [{"name": "cost", "query": "sum(c{pod=~'{service}-.*'})", "max": 1}],
        "is compared",
        "is compared",
    ),
    ("spec.deletionPolicy", "Keep", 'spec.deletionPolicy: Unsupported value: "Keep"', "spec.deletionPolicy: "),
    ("metadata.name", "f" * 53, "metadata.name must have at most 52 characters", "at most 52 characters"),
    ("metadata.name", "1fraud", "metadata.name must begin with a letter", "metadata.name: must begin with a letter"),
    ("metadata.name", "fraud.v2", "metadata.name must begin with a letter", "metadata.name: must begin with a letter"),
]

IDS = [f"{path}-{index}" for index, (path, *_) in enumerate(REFUSED)]
