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


def comparer(**settings: object) -> Document:
    """Return a shadow step whose comparer has these settings."""
    return {"shadow": {"comparer": settings}}


AGREEMENT: Document = {"analysis": {"preset": "traefik", "metrics": [{"name": "agreement"}, {"name": "errors"}]}}

PAIRED: tuple[Document, ...] = (
    {**AGREEMENT, "strategy": {"type": "Shadow"}},
    {**AGREEMENT, "strategy": {"steps": [{"shadow": {}}, TEN]}},
    {**AGREEMENT, "strategy": {"steps": [comparer(tolerance=0.1), TEN]}},
    {"analysis": {"preset": "traefik", "metrics": [{"name": "agreement", "preset": "recorder"}]}},
)
"""Parts of a spec in which something makes pairs of answers."""


def job(**settings: object) -> Document:
    """Return a step with a gate that runs a Job."""
    return {"gate": {"job": {"template": GOOD["spec"]["template"], **settings}}}


def hook(**settings: object) -> Document:
    """Return a step with a gate that asks a hook."""
    return {"gate": {"webhook": {"url": "https://x.example", **settings}}}


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
    ("spec.progressDeadline", "late", "must be a duration", "spec.progressDeadline: "),
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
        [{"name": "errors"}, {"name": "agreement"}],
        "analysis.metrics: agreement needs a shadow step with its comparer",
        "analysis.metrics: agreement needs a shadow step with its comparer",
    ),
    (
        "spec",
        {**GOOD["spec"], **AGREEMENT, "strategy": {"steps": [TEN]}},
        "agreement needs a shadow step with its comparer",
        "agreement needs a shadow step with its comparer",
    ),
    (
        "spec",
        {**GOOD["spec"], **AGREEMENT, "strategy": {"steps": [comparer(enabled=False), TEN]}},
        "add {shadow: {percent: 10}} as the first step, or remove the metric",
        "add {shadow: {percent: 10}} as the first step, or remove the metric",
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
    # traffic
    (f"{GATEWAY}.kind", "TCPRoute", 'kind: Unsupported value: "TCPRoute"', "gatewayAPI.kind: "),
    (f"{GATEWAY}.route", {"name": "shared", "rule": "model"}, "not both", "spec.traffic.gatewayAPI: give parentRefs"),
    (
        GATEWAY,
        {"route": {"name": "shared", "rule": "model"}, "hostnames": ["a.example"]},
        "with route its owner decides them",
        "with route its owner decides them",
    ),
    (
        GATEWAY,
        {"route": {"name": "shared", "rule": "model"}, "pathPrefix": "/v2"},
        "with route its owner decides them",
        "with route its owner decides them",
    ),
    (GATEWAY, {"route": {"name": "shared"}}, "route.rule: Required value", "gatewayAPI.route.rule: is required"),
    (
        GATEWAY,
        {"kind": "GRPCRoute", "parentRefs": [{"name": "public"}], "pathPrefix": "/v2"},
        "a GRPCRoute takes no pathPrefix",
        "a GRPCRoute takes no pathPrefix",
    ),
    ("spec.traffic.istio", {}, "give hosts for a VirtualService", "spec.traffic.istio: give hosts"),
    (
        "spec.traffic.istio",
        {"hosts": ["a.example"], "virtualService": {"name": "shared", "rule": "model"}},
        "give hosts for a VirtualService",
        "spec.traffic.istio: give hosts",
    ),
    ("spec.traffic.istio", {"hosts": ["A b"]}, "must be a host name", "istio.hosts[0]: must be a host name"),
    ("spec.traffic.traefik", {"entryPoints": ["web"]}, "add match or remove them", "add match or remove them"),
    ("spec.traffic.service", {"name": "A"}, "must be a name of a-z", "service.name: must be a name of a-z"),
    ("spec.traffic.service", {"port": 0}, "greater than or equal to 1", "service.port: "),
    ("spec.traffic.plugin", {}, "plugin.name: Required value", "plugin.name: is required"),
    ("spec.traffic.preview", {"hostnames": ["x:80"]}, "must be a host name", "preview.hostnames[0]: must be a host"),
    # steps
    (STEPS, [{"shadow": {"percent": 0}}, TEN], "greater than or equal to 1", "steps[0].shadow.percent: "),
    (STEPS, [{"shadow": {"percent": 101}}, TEN], "less than or equal to 100", "steps[0].shadow.percent: "),
    (STEPS, [comparer(tolerance=-1.0), TEN], "greater than or equal to 0", "comparer.tolerance: "),
    (STEPS, [comparer(relativeTolerance=2.0), TEN], "less than or equal to 1", "comparer.relativeTolerance: "),
    (STEPS, [comparer(noise="101%"), TEN], "must be at most 100%", "comparer.noise: must be at most 100%"),
    (STEPS, [comparer(timeout="0s"), TEN], "must be above 0s", "comparer.timeout: must be above 0s"),
    (STEPS, [comparer(noise="some"), TEN], "must be a percentage", "comparer.noise: "),
    (STEPS, [comparer(timeout="soon"), TEN], "must be a duration", "comparer.timeout: "),
    (STEPS, [comparer(samples=1001), TEN], "less than or equal to 1000", "comparer.samples: "),
    (STEPS, [comparer(ignore=["id"] * 17), TEN], "Too many: 17", "comparer.ignore: "),
    (STEPS, [comparer(redact=[""]), TEN], "redact[0]", "comparer.redact[0]: "),
    (STEPS, [{"match": {}}, TEN], "match needs headers or cookies", "steps[0].match: match needs headers or cookies"),
    (STEPS, [{"match": {"headers": {"X Y": "1"}}}, TEN], "must be the name of a header", "match.headers"),
    (STEPS, [{"match": {"headers": {"X": ""}}}, TEN], "headers.X", "match.headers.X: "),
    (STEPS, [{"match": {"cookies": {"a b": "1"}}}, TEN], "must be the name of a cookie", "match.cookies"),
    (
        STEPS,
        [{"match": {"cookies": {"a": "1; b"}}}, TEN],
        "the value of a cookie has no",
        "the value of a cookie has no",
    ),
    (STEPS, [{"match": {"headers": {"X": "1"}, "share": 0}}, TEN], "greater than or equal to 1", "match.share: "),
    (STEPS, [{"match": {"headers": {"X": "1"}, "minRequests": -1}}, TEN], "minRequests", "match.minRequests: "),
    (STEPS, [{"switch": {}}, TEN], "must be the last step", "must be the last step"),
    (STEPS, [{"switch": {}}, {"switch": {}}], "must be the last step", "must be the last step"),
    (STEPS, [{"weight": 100}, {"pause": {}}], "must be the last step", "must be the last step"),
    (STEPS, [TEN, {"shadow": {}}], "must come before the first weight", "must come before the first weight"),
    (
        STEPS,
        [TEN, {"match": {"headers": {"X": "1"}}}],
        "must come before the first weight",
        "must come before the first weight",
    ),
    (STEPS, [{"shadow": {}}], "write type: Shadow", "write type: Shadow"),
    ("spec.strategy", {"type": "Shadow", "steps": [TEN]}, "at least one shadow", "at least one shadow"),
    (STEPS, [{"switch": {}, "maxDuration": "1h"}], "do not belong to a pause, a switch", "do not belong to a pause"),
    (STEPS, [{"weight": 100, "minDuration": "1h"}], "or a weight of 100", "or a weight of 100"),
    (
        STEPS,
        [{"switch": {}, "automation": {"promotion": "manual"}}],
        "automation does not belong to a switch",
        "automation does not belong to a switch",
    ),
    (STEPS, [{**TEN, "automation": {"promotion": "never"}}], "Unsupported value", "automation.promotion: "),
    # gates
    (STEPS, [{"gate": {}}, TEN], "a gate is exactly one of job", "steps[0].gate: a gate is exactly one of job"),
    (STEPS, [{"gate": {"approval": {}, "requests": {"configMap": "x"}}}, TEN], "exactly one of", "exactly one of"),
    (STEPS, [{"gate": {"approval": {}, "name": "A b"}}, TEN], "must be a name of a-z", "gate.name: must be a name"),
    (STEPS, [{"gate": {"approval": {}}, "minDuration": "1m"}, TEN], "add a pause for a wait", "add a pause for a wait"),
    (STEPS, [{"gate": {"approval": {"message": "x" * 501}}}, TEN], "Too long", "approval.message: "),
    (STEPS, [{"gate": {"job": {}}}, TEN], "job.template: Required value", "gate.job.template: is required"),
    (
        STEPS,
        [{"gate": {"job": {"template": {"spec": {"containers": []}}}}}, TEN],
        "containers",
        "at least one container",
    ),
    (STEPS, [job(backoffLimit=11), TEN], "less than or equal to 10", "job.backoffLimit: "),
    (STEPS, [job(deadline="late"), TEN], "must be a duration", "job.deadline: "),
    (STEPS, [{"gate": {"webhook": {"url": "ftp://x.example"}}}, TEN], "must be a URL", "webhook.url: must be a URL"),
    (STEPS, [hook(url="https://me:secret@x.example"), TEN], "without credentials", "without credentials"),
    (STEPS, [hook(retries=21), TEN], "less than or equal to 20", "webhook.retries: "),
    (STEPS, [hook(timeout="-1s"), TEN], "must be a duration", "webhook.timeout: "),
    (STEPS, [hook(secret={"name": "s"}), TEN], "secret.key: Required value", "webhook.secret.key: is required"),
    (STEPS, [{"gate": {"requests": {"configMap": "A"}}}, TEN], "must be a name of a-z", "requests.configMap: must be"),
    (STEPS, [{"gate": {"requests": {"configMap": "x", "repeat": 0}}}, TEN], "repeat", "requests.repeat: "),
    (
        STEPS,
        [{"gate": {"requests": {"configMap": "x", "path": "v2"}}}, TEN],
        "begins with '/'",
        "requests.path: must be",
    ),
    # strategy
    ("spec.strategy.surge", -1, "must be a number of pods from 0", "strategy.surge: must be a number of pods"),
    ("spec.strategy.surge", "101%", "must be a number of pods from 0", "strategy.surge: must be a number of pods"),
    ("spec.strategy.surge", "half", "must be a number of pods from 0", "strategy.surge: must be a number of pods"),
    ("spec.strategy.floor", 10001, "must be a number of pods from 0", "strategy.floor: must be a number of pods"),
    ("spec.strategy.floor", "-5%", "must be a number of pods from 0", "strategy.floor: must be a number of pods"),
    ("spec.strategy.sticky", {"cookie": "a b"}, "must be the name of a cookie", "sticky.cookie: must be the name of"),
    ("spec.strategy.sticky", {"header": "a b"}, "must be the name of a header", "sticky.header: must be the name of"),
    ("spec.strategy.sticky", {"issued": "a b"}, "must be the name of a cookie", "sticky.issued: must be the name of"),
    ("spec.strategy.sticky", {}, "exactly one of header, cookie", "exactly one of header, cookie"),
    ("spec.strategy.sticky", {"header": "x", "cookie": "x"}, "exactly one of header", "exactly one of header"),
    (
        "spec.strategy.sticky",
        {"header": "x", "endings": "Octal"},
        "sticky.endings: Unsupported value",
        "sticky.endings: ",
    ),
    (
        "spec.strategy.sticky",
        {"issued": "x", "endings": "Hex"},
        "endings belongs to header or cookie",
        "endings belongs to header or cookie",
    ),
    ("spec.strategy.onNewTemplate", "Ignore", "onNewTemplate: Unsupported value", "onNewTemplate: "),
    ("spec.strategy.automation", {"promotion": "yes"}, "automation.promotion: Unsupported", "automation.promotion: "),
    ("spec.strategy.automation", {"rollback": "no"}, "automation.rollback: Unsupported", "automation.rollback: "),
    ("spec.strategy.schedule", {"timeZone": "Moon!"}, "must be the name of a time zone", "timeZone: "),
    ("spec.strategy.schedule", {"freeze": [{"days": ["Friday"]}]}, "Unsupported value", "freeze[0].days[0]: "),
    (
        "spec.strategy.schedule",
        {"freeze": [{"from": "24:00"}]},
        "from 00:00 to 23:59",
        "freeze[0].from: must be a time",
    ),
    ("spec.strategy.schedule", {"allow": [{"to": "6 pm"}]}, "must be a time of day", "allow[0].to: must be a time"),
    ("spec.strategy.schedule", {"allow": [{}] * 17}, "Too many: 17", "schedule.allow: "),
    # pods
    ("spec.disruptionBudget", {}, "exactly one of maxUnavailable", "exactly one of maxUnavailable"),
    (
        "spec.disruptionBudget",
        {"maxUnavailable": 1, "minAvailable": "50%"},
        "exactly one of maxUnavailable",
        "exactly one of maxUnavailable",
    ),
    (
        "spec.disruptionBudget",
        {"maxUnavailable": "few"},
        "must be a number of pods",
        "maxUnavailable: must be a number",
    ),
]

IDS = [f"{path}-{index}" for index, (path, *_) in enumerate(REFUSED)]
