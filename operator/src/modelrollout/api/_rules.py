"""What the API server is told beyond types: rules (CEL), list kinds, and the few parts of a pod template that count.

Paths are those of the resource, `[]` for the items of a list. The models of `spec` refuse the same input, for
`lint` and for clusters whose definition is older than the operator; a table of tests holds both sides together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelrollout.api.gates import KINDS as GATES
from modelrollout.api.metrics import QUERIED, QUERIED_ALONE, RESERVED, TAKES, wire
from modelrollout.api.patterns import COOKIE_VALUE, WORDS
from modelrollout.api.spec import UNPAIRED
from modelrollout.api.strategy import KINDS, MOVING, STICKY
from modelrollout.api.traffic import ROUTERS
from modelrollout.api.units import DURATION_PATTERN, PERCENT_PATTERN


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must hold, and what the user reads where it does not."""

    rule: str
    message: str


def pattern(text: str) -> Rule:
    """Return the rule for a text that must match; unlike a schema's `pattern` it says what to write instead."""
    return Rule(f'self.matches(r"{text}")', WORDS[text])


def _number(field: str) -> str:
    return f"double({field}.replace('%', ''))"


def _percent(name: str, below: str, bounds: str) -> Rule:
    return Rule(
        f"!{_well_formed('self')} || ({_number('self')} > 0.0 && {_number('self')} {below})",
        f"{name} must be {bounds}, for instance 1%",
    )


def _well_formed(field: str) -> str:
    return f'{field}.matches(r"{PERCENT_PATTERN}")'


_DURATION: Final = f'self.matches(r"{DURATION_PATTERN}")'
_FIELDS: Final = ("maxIncrease", "maxDistance", "minAgreement", "maxDrop", "maxErrorRate", "slices", *QUERIED_ALONE)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_BUILT_IN: Final = f"[{_quoted(TAKES)}]"


def _takes() -> Iterator[Rule]:
    """Yield a rule for each field of a metric: which metrics take it."""
    for field in _FIELDS:
        names = [name for name, fields in TAKES.items() if field in map(wire, fields)]
        queries = field in map(wire, QUERIED)
        who = " || ".join([f"self.name == '{name}'" for name in names] + [f"!(self.name in {_BUILT_IN})"] * queries)
        whom = ", ".join([*names, *["a metric with a query"] * queries])
        yield Rule(f"!has(self.{field}) || {who}", f"{field} is taken by {whom} only; remove it or rename the metric")


_COMPARED: Final = "(self.query.contains('{service}') || self.query.contains('{revision}'))"
_LIMITS: Final = "(has(self.max) || has(self.min))"
_QUERY_RULES: Final = (
    Rule(
        f"!(self.name in [{_quoted(RESERVED)}])",
        f"{' and '.join(RESERVED)} are names of the operator's own verdicts; choose another one",
    ),
    Rule(
        f"self.name in {_BUILT_IN} || has(self.query)",
        f"a metric that is none of {', '.join(TAKES)} needs query",
    ),
    Rule("!has(self.query) || !has(self.preset)", "a query has no preset; it names its series itself"),
    Rule(
        f"!has(self.query) || !{_COMPARED} || !({_LIMITS} || has(self.failures))",
        "a query with {service} or {revision} is compared; it takes maxIncrease, not max, min or failures",
    ),
    Rule(
        f"!has(self.query) || {_COMPARED} || ({_LIMITS} && !has(self.maxIncrease))",
        "a query without {service} or {revision} needs max or min, and takes no maxIncrease",
    ),
    Rule("!has(self.max) || !has(self.min) || self.min <= self.max", "min must not be above max"),
    Rule("self.name != 'slo' || has(self.maxErrorRate)", "slo needs maxErrorRate, for instance 5%"),
    Rule(
        "self.name != 'latency' || !has(self.maxIncrease) || !has(self.maxIncrease.absolute)",
        "latency does not take maxIncrease.absolute; a factor on the time is maxIncrease.relative",
    ),
)


def _any(kinds: Iterable[str]) -> str:
    """Return the expression that a step `s` is of one of these kinds."""
    return " || ".join(f"has(s.{kind})" for kind in kinds)


_PODS: Final = Rule(
    "type(self) == int ? self >= 0 && self <= 10000 : self.matches('^(100|[1-9]?[0-9])%$')",
    "must be a number of pods from 0 to 10000, or a share from 0% to 100%",
)

RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "": (
        Rule(
            "self.metadata.name.size() <= 52",
            "metadata.name must have at most 52 characters: revisions append a hash to it and must fit into 63",
        ),
        Rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must begin with a letter and hold only a-z, 0-9 and '-', for it names Services",
        ),
    ),
    "spec": (
        Rule(
            "!self.analysis.metrics.exists(m, m.name == 'agreement' && !has(m.preset)) || (has(self.strategy.steps)"
            " ? self.strategy.steps.exists(s, has(s.shadow) && s.shadow.comparer.enabled)"
            " : self.strategy.type == 'Shadow')",
            f"analysis.metrics: {UNPAIRED}",
        ),
    ),
    "spec.progressDeadline": (
        Rule(
            f"!{_DURATION} || duration(self) >= duration('1s')",
            "progressDeadline must be at least 1s, for instance 10m",
        ),
    ),
    "spec.traffic.port": (
        Rule(
            "type(self) == int ? self >= 1 && self <= 65535"
            " : self.size() <= 15 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "port must be a number from 1 to 65535, or the name of a port of the container in at most 15 characters",
        ),
    ),
    "spec.traffic": (
        Rule(
            " || ".join(f"has(self.{router})" for router in ROUTERS),
            f"name at least one router: {', '.join(ROUTERS)}",
        ),
    ),
    "spec.traffic.gatewayAPI": (
        Rule(
            "has(self.route) != (has(self.parentRefs) && size(self.parentRefs) > 0)",
            "give parentRefs for a route of our own, or route for a rule of somebody else's; not both",
        ),
        Rule(
            "!has(self.route) || ((!has(self.hostnames) || size(self.hostnames) == 0) && self.pathPrefix == '/')",
            "hostnames and pathPrefix belong to a route of our own; with route its owner decides them",
        ),
        Rule("self.kind == 'HTTPRoute' || self.pathPrefix == '/'", "a GRPCRoute takes no pathPrefix; remove it"),
    ),
    "spec.traffic.istio": (
        Rule(
            "has(self.virtualService) != (has(self.hosts) && size(self.hosts) > 0)",
            "give hosts for a VirtualService of our own, or virtualService for one route of another's",
        ),
    ),
    "spec.traffic.traefik": (
        Rule(
            "has(self.match) || !has(self.entryPoints) || size(self.entryPoints) == 0",
            "entryPoints belong to the IngressRoute that match asks for; add match or remove them",
        ),
    ),
    "spec.traffic.gatewayAPI.pathPrefix": (
        Rule("!self.contains('//')", "pathPrefix must not contain '//'; write one slash"),
    ),
    "spec.strategy": (
        Rule(
            "self.type != 'Canary' || !has(self.steps) || self.steps.exists(s, MOVES)".replace("MOVES", _any(MOVING)),
            "steps must have at least one weight, match or switch: a candidate without requests gives no evidence;"
            " for a report without promotion write type: Shadow",
        ),
        Rule(
            "self.type != 'Shadow' || !has(self.steps) || self.steps.exists(s, has(s.shadow))",
            "steps of type Shadow must have at least one shadow",
        ),
        Rule(
            "!has(self.steps) || self.steps.all(s, !has(s.maxDuration) || has(s.gate) || duration(s.maxDuration) >="
            " duration(has(s.minDuration) ? s.minDuration : self.minStepDuration))",
            "steps: maxDuration must be at least the step's minDuration (or strategy.minStepDuration);"
            " raise one or lower the other",
        ),
    ),
    "spec.strategy.sticky": (
        Rule(
            f"[{', '.join(f'has(self.{one})' for one in STICKY)}].filter(k, k).size() == 1",
            "sticky needs exactly one of header, cookie (a key that clients send) and issued (a cookie of the"
            " gateway's)",
        ),
        Rule(
            "!has(self.issued) || !has(self.endings)",
            "endings belongs to header or cookie; a cookie that the gateway issues has none",
        ),
    ),
    "spec.strategy.surge": (_PODS,),
    "spec.strategy.floor": (_PODS,),
    "spec.disruptionBudget": (
        Rule(
            "has(self.maxUnavailable) != has(self.minAvailable)", "give exactly one of maxUnavailable and minAvailable"
        ),
    ),
    "spec.disruptionBudget.maxUnavailable": (_PODS,),
    "spec.disruptionBudget.minAvailable": (_PODS,),
    "spec.strategy.steps": (
        Rule(
            "self.filter(s, has(s.weight)).map(s, s.weight).isSorted()",
            "steps must have rising weights: the way back is a rollback, in one move",
        ),
        Rule(
            "self.map(s, has(s.switch) || (has(s.weight) && s.weight == 100) ? 1 : 0).isSorted() &&"
            " self.filter(s, has(s.switch) || (has(s.weight) && s.weight == 100)).size() <= 1",
            "a switch or a weight of 100 must be the last step: with it the candidate is promoted, the guard begins",
        ),
        Rule(
            "!self.exists(s, has(s.weight)) || self.map(s, has(s.weight) ? 1 : (has(s.shadow) || has(s.match) ? 0 : 2))"
            ".filter(k, k < 2).isSorted()",
            "shadow and match must come before the first weight: their requests are a part of its own",
        ),
    ),
    "spec.strategy.steps[]": (
        Rule(
            f"[{', '.join(f'has(self.{kind})' for kind in KINDS)}].filter(k, k).size() == 1",
            f"a step is exactly one of {', '.join(KINDS)}; split it into two",
        ),
        Rule(
            "!(has(self.pause) || has(self.switch) || (has(self.weight) && self.weight == 100))"
            " || !(has(self.minDuration) || has(self.maxDuration) || has(self.onTimeout))",
            "minDuration, maxDuration and onTimeout do not belong to a pause, a switch or a weight of 100;"
            " a pause takes pause.duration",
        ),
        Rule(
            "!has(self.automation) || !(has(self.switch) || (has(self.weight) && self.weight == 100))",
            "automation does not belong to a switch or a weight of 100, which last no time;"
            " give it to the step before, or to strategy",
        ),
        Rule(
            "!has(self.gate) || !has(self.minDuration)",
            "minDuration does not belong to a gate; add a pause for a wait",
        ),
        Rule(
            "!has(self.onTimeout) || has(self.maxDuration)",
            "onTimeout needs maxDuration: without one the step waits for evidence for as long as it takes",
        ),
    ),
    "spec.strategy.steps[].shadow.comparer.noise": (
        Rule(f"!{_well_formed('self')} || {_number('self')} <= 100.0", "must be at most 100%, for instance 5%"),
    ),
    "spec.strategy.steps[].shadow.comparer.timeout": (
        Rule(f"!{_DURATION} || duration(self) > duration('0s')", "must be above 0s, for instance 5s"),
    ),
    "spec.strategy.steps[].match": (
        Rule(
            "(has(self.headers) && size(self.headers) > 0) || (has(self.cookies) && size(self.cookies) > 0)",
            "match needs headers or cookies; for a share of all requests use weight",
        ),
    ),
    "spec.strategy.steps[].match.cookies": (
        Rule(
            f'self.all(name, self[name].matches(r"{COOKIE_VALUE}"))',
            "the value of a cookie has no spaces, quotes, commas or ';'",
        ),
    ),
    "spec.strategy.steps[].gate": (
        Rule(
            f"[{', '.join(f'has(self.{kind})' for kind in GATES)}].filter(k, k).size() == 1",
            f"a gate is exactly one of {', '.join(GATES)}; make another step of the other",
        ),
    ),
    "spec.analysis.falseRollback": (_percent("falseRollback", "< 50.0", "above 0% and below 50%"),),
    "spec.analysis.falsePromotion": (_percent("falsePromotion", "< 50.0", "above 0% and below 50%"),),
    "spec.analysis.harmBudget": (_percent("harmBudget", "<= 100.0", "above 0% and at most 100%"),),
    "spec.analysis.metrics": (
        Rule(
            "self.exists(m, m.name != 'inputs')",
            "inputs alone decides nothing; add errors or another metric to metrics",
        ),
    ),
    "spec.analysis.metrics[]": (*_takes(), *_QUERY_RULES),
    "spec.analysis.metrics[].minAgreement": (_percent("minAgreement", "< 100.0", "above 0% and below 100%"),),
    "spec.analysis.metrics[].maxDrop": (_percent("maxDrop", "< 100.0", "above 0% and below 100%"),),
    "spec.analysis.metrics[].maxErrorRate": (_percent("maxErrorRate", "< 100.0", "above 0% and below 100%"),),
    "spec.analysis.metrics[].maxDistance": (
        Rule("self > 0.0 && self < 1.0", "maxDistance must be above 0 and below 1, for instance 0.05"),
    ),
}

LISTS: Final[dict[str, dict[str, Any]]] = {
    "spec.analysis.metrics": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "spec.traffic.gatewayAPI.hostnames": {"x-kubernetes-list-type": "set"},
    "status.conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
}

WITHOUT_DEFAULT: Final = frozenset(
    {
        "spec.strategy.steps[].onTimeout",
        "spec.strategy.sticky.endings",
        "spec.strategy.steps[].shadow.comparer.tolerance",
        "spec.strategy.steps[].gate.requests.tolerance",
    }
)
"""Defaults that the API server must not write: they would show where the field is of no use, or are numbers
such as 1e-06, which not every reader of YAML takes for one."""

_OPEN: Final[dict[str, Any]] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

TEMPLATE: Final[dict[str, Any]] = {
    **_OPEN,
    "description": "The pod template, as in a Deployment. Its parts are checked with the Deployment that it becomes.",
    "required": ["spec"],
    "properties": {
        "metadata": {**_OPEN, "description": "Labels and annotations of the pods."},
        "spec": {
            **_OPEN,
            "description": "The pod; `kubectl explain deployment.spec.template.spec` tells all of its fields.",
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "description": "The model server, first, and what runs beside it.",
                    "minItems": 1,
                    "maxItems": 64,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        **_OPEN,
                        "required": ["name", "image"],
                        "properties": {
                            "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Its name."},
                            "image": {
                                "type": "string",
                                "minLength": 1,
                                "maxLength": 1024,
                                "description": "Its image; another one makes a new revision.",
                            },
                        },
                    },
                }
            },
        },
    },
}
TEMPLATES: Final = {
    "spec.template": TEMPLATE,
    "spec.strategy.steps[].gate.job.template": {
        **TEMPLATE,
        "description": "The pod template of the Job; unknown fields in it are kept.",
    },
}
"""A whole pod template would make the definition half a megabyte; unknown fields in it are kept, not pruned."""
