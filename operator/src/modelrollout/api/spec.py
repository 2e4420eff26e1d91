"""What a user writes under `spec`."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.metrics import Metric
from modelrollout.api.patterns import DNS_LABEL, HTTP_URL
from modelrollout.api.strategy import Strategy, pods
from modelrollout.api.template import PodTemplate
from modelrollout.api.traffic import Traffic
from modelrollout.api.units import Duration, Percent, parse_duration, percent_between

UNPAIRED: Final = (
    "agreement needs a shadow step with its comparer: nothing else makes pairs of answers, and without any it never"
    " passes; add {shadow: {percent: 10}} as the first step, or remove the metric (one whose pairs come from elsewhere"
    " names the preset that reads them)"
)


class Analysis(ApiModel):
    """What evidence decides, and how sure it must be."""

    preset: str = Field(
        min_length=1,
        max_length=63,
        pattern=DNS_LABEL,
        description="Where request metrics come from, for instance traefik.",
    )
    false_rollback: Annotated[Percent, percent_between(0, 50)] = Field(
        "1%", description="Chance that a good candidate is rolled back, over the whole rollout."
    )
    false_promotion: Annotated[Percent, percent_between(0, 50)] = Field(
        "5%", description="Chance that a candidate at the step's margin passes the step."
    )
    harm_budget: Annotated[Percent, percent_between(0, 100, inclusive=True)] = Field(
        "0.5%", description="Extra failed requests, as a share of all traffic, that a step may risk unseen."
    )
    metrics: list[Metric] = Field(
        [Metric(name="errors"), Metric(name="latency")],
        min_length=1,
        max_length=8,
        description="Signals that must all pass; any that fails rolls back.",
    )
    prometheus: str | None = Field(
        None,
        max_length=200,
        pattern=HTTP_URL,
        description="Another Prometheus than the operator's own; the operator must allow it (--prometheus-allow).",
    )


class DisruptionBudget(ApiModel):
    """A PodDisruptionBudget over the pods of all revisions; exactly one of the two."""

    max_unavailable: int | str | None = Field(None, description="Pods that a drain may take at a time, or a share.")
    min_available: int | str | None = Field(None, description="Pods that a drain must leave, or a share.")

    @field_validator("max_unavailable", "min_available")
    @classmethod
    def _pods(cls, value: int | str | None) -> int | str | None:
        return None if value is None else pods(value)

    @model_validator(mode="after")
    def _one(self) -> "DisruptionBudget":
        if (self.max_unavailable is None) == (self.min_available is None):
            raise ValueError("give exactly one of maxUnavailable and minAvailable")
        return self


class Spec(ApiModel):
    """Desired state of a model server and of the way to change it."""

    replicas: int = Field(1, ge=0, le=10000, description="Pods of the serving revision.")
    template: PodTemplate = Field(description="The pod template, as in a Deployment.")
    traffic: Traffic = Field(description="How requests reach the revisions.")
    strategy: Strategy = Field(Strategy(), description="How traffic moves to a new revision.")
    analysis: Analysis = Field(description="What evidence decides.")
    track_config: bool = Field(
        False, description="A change of a ConfigMap or Secret that the template names makes a new revision."
    )
    progress_deadline: Duration = Field("10m", description="A revision not ready by then is given up.")
    revision_history_limit: int = Field(3, ge=0, le=20, description="Old revisions kept, without pods, for undo.")
    disruption_budget: DisruptionBudget | None = Field(
        None, description="Keep drains of nodes from taking too many pods at a time."
    )
    deletion_policy: Literal["Orphan", "Delete"] = Field(
        "Orphan", description="Orphan: deleting the rollout leaves pods and route serving. Delete: takes them along."
    )

    @model_validator(mode="after")
    def _metrics_once(self) -> "Spec":
        names = [metric.name for metric in self.analysis.metrics]
        if len(set(names)) != len(names):
            raise ValueError("analysis.metrics: each metric name may stand once")
        if all(name == "inputs" for name in names):
            raise ValueError("analysis.metrics: inputs alone decides nothing; add errors or another metric")
        return self

    @model_validator(mode="after")
    def _paired(self) -> "Spec":
        steps, here = self.strategy.steps, [one for one in self.analysis.metrics if one.preset is None]
        shadows = [step.shadow for step in steps or () if step.shadow is not None]
        compares = any(one.comparer.enabled for one in shadows) if steps is not None else self.strategy.type == "Shadow"
        if not compares and any(metric.name == "agreement" for metric in here):
            raise ValueError(f"analysis.metrics: {UNPAIRED}")
        return self

    @field_validator("progress_deadline")
    @classmethod
    def _at_least_a_second(cls, deadline: str) -> str:
        if parse_duration(deadline) < timedelta(seconds=1):
            raise ValueError("progressDeadline must be at least 1s, for instance 10m")
        return deadline
