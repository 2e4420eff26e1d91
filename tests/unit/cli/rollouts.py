"""Rollouts in every state, as the API server would hold them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.cli.view import View, view_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STABLE, CANDIDATE = "bbbbbbbbbb", "cccccccccc"
OLD_IMAGE, NEW_IMAGE = "registry.example/fraud:1.4", "registry.example/fraud:1.5"

Raw = dict[str, Any]


def at(seconds: float) -> str:
    """Write a time before (negative) or after now."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rollout(status: Raw | None = None, *, name: str = "fraud", **spec: Any) -> Raw:
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {
            "name": name,
            "namespace": "prod",
            "generation": 1,
            "creationTimestamp": at(-7200),
            "annotations": {},
        },
        "spec": {
            "replicas": 4,
            "template": {"spec": {"containers": [{"name": "model", "image": NEW_IMAGE}]}},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "analysis": {"preset": "traefik"},
            **spec,
        },
        **({"status": status} if status is not None else {}),
    }


def move(seconds: float, kind: str, message: str, **more: Any) -> Raw:
    return {"at": at(seconds), "move": kind, "revision": CANDIDATE, "message": message, "image": NEW_IMAGE, **more}


def conditions(ready: str, reason: str, stalled: str = "False", message: str = "") -> list[Raw]:
    rows = (("Ready", ready), ("Stalled", stalled))
    return [
        {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": at(-60)}
        for kind, value in rows
    ]


ERRORS: Raw = {
    "name": "errors",
    "verdict": "NoData",
    "reason": "Counting",
    "message": "needs about 900 more candidate requests (about 1m30s at 10%) to go to 25%",
    "candidate": {"requests": 240, "bad": 12},
    "stable": {"requests": 4560, "bad": 3},
    "harm": "0.74",
    "safety": "-1.20",
}
PROGRESSING: Raw = {
    "observedGeneration": 1,
    "phase": "Progressing",
    "message": "holding 10%: needs about 900 more candidate requests",
    "stable": STABLE,
    "candidate": CANDIDATE,
    "target": CANDIDATE,
    "attempt": 1,
    "weights": {"stable": 90, "candidate": 10},
    "step": {"index": 1, "name": "weight 10", "since": at(-42), "verified": at(-40)},
    "verdict": "NoData",
    "verdicts": [ERRORS],
    "readyReplicas": 4,
    "revisions": [CANDIDATE, STABLE],
    "history": [move(-300, "Started", "new revision"), move(-42, "Weight", "5% -> 10% (step 2 of 4)", weight=10)],
    "conditions": conditions("False", "Progressing"),
}
PAUSED: Raw = {**PROGRESSING, "phase": "Paused", "paused": "by sara@example.com", "message": "paused at 10%"}
GUARDING: Raw = {
    **{key: value for key, value in PROGRESSING.items() if key not in ("candidate", "step")},
    "phase": "Guarding",
    "stable": CANDIDATE,
    "previous": STABLE,
    "weights": {"stable": 100, "candidate": 0},
    "guardUntil": at(240),
    "verdict": "Pass",
    "verdicts": [
        {
            "name": "guard",
            "verdict": "Pass",
            "reason": "Safe",
            "message": "3/900 requests failed",
            "candidate": {"requests": 900, "bad": 3},
            "harm": "-90.00",
        }
    ],
    "conditions": conditions("True", "Guarding"),
}
PROMOTED: Raw = {
    **{key: value for key, value in GUARDING.items() if key not in ("previous", "guardUntil", "verdicts", "verdict")},
    "phase": "Promoted",
    "message": "guard is over",
    "conditions": conditions("True", "Promoted"),
}
ROLLED_BACK: Raw = {
    **{key: value for key, value in PROGRESSING.items() if key not in ("candidate", "step")},
    "phase": "RolledBack",
    "message": "errors worse than the tolerated increase",
    "weights": {"stable": 100, "candidate": 0},
    "conditions": conditions("False", "RolledBack", "True", "errors worse than the tolerated increase"),
}
SHADOW_STEPS = [
    {"shadow": {"percent": 10}},
    {"match": {"headers": {"x-canary": "1"}}},
    {"gate": {"name": "evaluation", "job": {"template": {"spec": {"containers": [{"name": "e", "image": "e:1"}]}}}}},
    {"gate": {"approval": {"message": "look at the report"}}},
    {"weight": 20},
    {"switch": {}},
]
"""Every kind of step but a pause."""
AGREEMENT: Raw = {
    "name": "agreement",
    "verdict": "Pass",
    "reason": "Safe",
    "message": "at least 98%: 31 of 9843 pairs of answers disagree (e-value 1e60)",
    "candidate": {"requests": 9843, "bad": 31},
    "effect": "0.315% disagree (0.215% to 0.447%)",
    "harm": "-120.00",
    "safety": "99.00",
}
SHADOW_ERRORS: Raw = {**ERRORS, "name": "shadow errors", "verdict": "Pass", "reason": "Safe"}
SHADOWING: Raw = {
    **PROGRESSING,
    "message": "holding shadow 10%",
    "weights": {"stable": 100, "candidate": 0},
    "step": {"index": 0, "name": "shadow 10%", "since": at(-42), "verified": at(-40)},
    "verdicts": [SHADOW_ERRORS, AGREEMENT],
}
GATE: Raw = {
    "id": f"{CANDIDATE}-1-2",
    "name": "evaluation",
    "state": "Running",
    "message": "its pod runs",
    "numbers": {"auc": 0.9123456, "auc_stable": 0.91},
    "since": at(-120),
}
AT_GATE: Raw = {**SHADOWING, "step": {"index": 2, "name": "gate evaluation", "since": at(-120)}, "gate": GATE}
APPROVAL: Raw = {"id": f"{CANDIDATE}-1-3", "name": "approval", "state": "Waiting", "since": at(-60)}
AT_APPROVAL: Raw = {**SHADOWING, "step": {"index": 3, "name": "gate approval", "since": at(-60)}, "gate": APPROVAL}
AWAITING: Raw = {
    **PROGRESSING,
    "phase": "Paused",
    "step": {"index": 1, "name": "weight 10", "since": at(-300), "awaiting": at(-90)},
    "message": "weight 10 is over and promotion is manual",
}
REPORTED: Raw = {
    **{key: value for key, value in SHADOWING.items() if key not in ("candidate", "step")},
    "phase": "Reported",
    "message": "shadowed, not promoted",
    "history": [move(-900, "Started", "new revision"), move(-300, "Reported", "shadowed, not promoted: errors fine")],
    "conditions": conditions("True", "Reported"),
}


def deployment(revision: str, image: str, ready: int, desired: int) -> Raw:
    return {
        "metadata": {"name": f"fraud-{revision}", "labels": {"modelrollout.dev/revision": revision}},
        "spec": {"replicas": desired, "template": {"spec": {"containers": [{"name": "model", "image": image}]}}},
        "status": {"readyReplicas": ready},
    }


DEPLOYMENTS = [deployment(STABLE, OLD_IMAGE, 4, 4), deployment(CANDIDATE, NEW_IMAGE, 0, 1)]


def view(status: Raw | None = None, deployments: list[Raw] | None = None, **spec: Any) -> View:
    return view_of(rollout(status, **spec), DEPLOYMENTS if deployments is None else deployments, NOW)
