"""What the API server is told beyond types: rules (CEL), list kinds, and the few parts of a pod template that count.

Paths are those of the resource, `[]` for the items of a list. The models of `spec` refuse the same input, for
`lint` and for clusters whose definition is older than the operator; a table of tests holds both sides together.
"""

from dataclasses import dataclass
from typing import Any, Final

from modelrollout.api.patterns import WORDS
from modelrollout.api.units import PERCENT_PATTERN


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
    "spec.progressDeadline": (
        Rule("duration(self) >= duration('1s')", "progressDeadline must be at least 1s, for instance 10m"),
    ),
    "spec.traffic.port": (
        Rule(
            "type(self) == int ? self >= 1 && self <= 65535"
            " : self.size() <= 15 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "port must be a number from 1 to 65535, or the name of a port of the container in at most 15 characters",
        ),
    ),
    "spec.traffic.gatewayAPI.pathPrefix": (
        Rule("!self.contains('//')", "pathPrefix must not contain '//'; write one slash"),
    ),
    "spec.strategy": (
        Rule(
            "!has(self.steps) || self.steps.all(s, !has(s.maxDuration) || duration(s.maxDuration) >="
            " duration(has(s.minDuration) ? s.minDuration : self.minStepDuration))",
            "steps: maxDuration must be at least the step's minDuration (or strategy.minStepDuration);"
            " raise one or lower the other",
        ),
    ),
    "spec.strategy.steps": (
        Rule(
            "self.exists(s, has(s.weight))",
            "steps must have at least one weight: a candidate without requests gives no evidence",
        ),
        Rule(
            "self.filter(s, has(s.weight)).map(s, s.weight).isSorted()",
            "steps must have rising weights: the way back is a rollback, in one move",
        ),
    ),
    "spec.strategy.steps[]": (
        Rule("has(self.weight) != has(self.pause)", "a step is exactly one of weight and pause; split it into two"),
        Rule(
            "has(self.weight) || !(has(self.minDuration) || has(self.maxDuration) || has(self.onTimeout))",
            "minDuration, maxDuration and onTimeout belong to a weight; a pause takes pause.duration",
        ),
        Rule(
            "!has(self.onTimeout) || has(self.maxDuration)",
            "onTimeout needs maxDuration: without one the step waits for evidence for as long as it takes",
        ),
    ),
    "spec.analysis.falseRollback": (_percent("falseRollback", "< 50.0", "above 0% and below 50%"),),
    "spec.analysis.falsePromotion": (_percent("falsePromotion", "< 50.0", "above 0% and below 50%"),),
    "spec.analysis.harmBudget": (_percent("harmBudget", "<= 100.0", "above 0% and at most 100%"),),
    "spec.analysis.metrics[].maxIncrease": (
        Rule(
            f"!{_well_formed('self.absolute')} || !{_well_formed('self.relative')}"
            f" || {_number('self.absolute')} + {_number('self.relative')} > 0.0",
            "maxIncrease must tolerate something: no number of requests proves that two versions are exactly alike;"
            " set absolute or relative above 0%",
        ),
    ),
}

LISTS: Final[dict[str, dict[str, Any]]] = {
    "spec.analysis.metrics": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    "spec.traffic.gatewayAPI.hostnames": {"x-kubernetes-list-type": "set"},
    "status.conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
}

WITHOUT_DEFAULT: Final = frozenset({"spec.strategy.steps[].onTimeout"})
"""Defaults that the API server must not write: they would show on steps that have no use for the field."""

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
"""A whole pod template would make the definition half a megabyte; unknown fields in it are kept, not pruned."""
