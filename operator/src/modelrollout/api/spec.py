"""What a user writes under `spec`."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.metrics import Metric
from modelrollout.api.patterns import DNS_LABEL, DNS_NAME, HOST_NAME, HTTP_URL, PATH
from modelrollout.api.units import Duration, Percent, parse_duration, percent_between

HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_NAME)]


class ParentRef(ApiModel):
    """A Gateway, or one listener of it, that the route attaches to."""

    name: str = Field(min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the Gateway.")
    namespace: str | None = Field(
        None, max_length=63, pattern=DNS_LABEL, description="Its namespace; the rollout's own when left out."
    )
    section_name: str | None = Field(
        None, max_length=253, pattern=DNS_NAME, description="One listener of the Gateway; all when left out."
    )
    port: int | None = Field(None, ge=1, le=65535, description="Only listeners on this port.")


class GatewayAPI(ApiModel):
    """Traffic over an HTTPRoute of the rollout's own name, written and owned by the operator."""

    parent_refs: list[ParentRef] = Field(min_length=1, max_length=8, description="Gateways that the route attaches to.")
    hostnames: list[HostName] = Field(
        [], max_length=16, description="Host names that the route answers to; all when left out."
    )
    path_prefix: str = Field("/", max_length=256, pattern=PATH, description="Only requests below this path.")

    @field_validator("hostnames")
    @classmethod
    def _once(cls, hostnames: list[str]) -> list[str]:
        if len(set(hostnames)) != len(hostnames):
            raise ValueError("each host name may stand once")
        return hostnames

    @field_validator("path_prefix")
    @classmethod
    def _single_slashes(cls, path: str) -> str:
        if "//" in path:
            raise ValueError("pathPrefix must not contain '//'; write one slash")
        return path


class Traffic(ApiModel):
    """How requests reach the revisions."""

    port: int | str | None = Field(
        None, description="Container port, by number or name. Left out: the port named http, else the first one."
    )
    gateway_api: GatewayAPI = Field(alias="gatewayAPI", description="Split requests with a Gateway API HTTPRoute.")

    @field_validator("port")
    @classmethod
    def _number_or_name(cls, port: int | str | None) -> int | str | None:
        named = isinstance(port, str) and len(port) <= 15 and re.fullmatch(DNS_LABEL, port)
        if port is not None and not named and not (isinstance(port, int) and 1 <= port <= 65535):
            raise ValueError("must be a number from 1 to 65535, or the name of a port in at most 15 characters")
        return port


class Pause(ApiModel):
    """A wait for a duration, or for a person."""

    duration: Duration | None = Field(None, description="How long; left out: until somebody runs promote or resume.")


class Step(ApiModel):
    """One step of a strategy: exactly one of weight and pause."""

    weight: int | None = Field(None, ge=1, le=100, description="Per cent of live requests for the candidate.")
    pause: Pause | None = Field(None, description="Wait for a duration, or for a person.")
    min_duration: Duration | None = Field(
        None, description="Least time at this weight; strategy.minStepDuration when left out."
    )
    max_duration: Duration | None = Field(
        None, description="Longest time to wait for evidence at this weight; then onTimeout."
    )
    on_timeout: Literal["Pause", "Rollback", "Promote"] = Field(
        "Pause", description="What to do when maxDuration is over without a verdict."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if (self.weight is None) == (self.pause is None):
            raise ValueError("a step is exactly one of weight and pause; split it into two")
        timed = self.model_fields_set & {"min_duration", "max_duration", "on_timeout"}
        if self.weight is None and timed:
            raise ValueError("minDuration, maxDuration and onTimeout belong to a weight; a pause takes pause.duration")
        if "on_timeout" in timed and self.max_duration is None:
            raise ValueError(
                "onTimeout needs maxDuration: without one the step waits for evidence for as long as it takes"
            )
        return self

    @property
    def name(self) -> str:
        """The step as people name it: `weight 20` or `pause`."""
        return "pause" if self.weight is None else f"weight {self.weight}"


class Guard(ApiModel):
    """The watch after promotion, with the previous revision still at full size."""

    duration: Duration = Field("10m", description="How long the previous revision stays ready to take over.")


class Strategy(ApiModel):
    """How traffic moves from the stable revision to the candidate."""

    type: Literal["Canary"] = Field("Canary", description="Canary: weight by weight, on evidence.")
    steps: list[Step] | None = Field(
        None, min_length=1, max_length=20, description="Replaces the default steps: weights 5, 10, 25, 50."
    )
    min_step_duration: Duration = Field("60s", description="Least time at each weight, whatever the evidence.")
    guard: Guard = Field(Guard(), description="The watch after promotion.")

    @model_validator(mode="after")
    def _steps_fit(self) -> "Strategy":
        if self.steps is not None and all(step.weight is None for step in self.steps):
            raise ValueError("steps must have at least one weight: a candidate without requests gives no evidence")
        weights = [step.weight for step in self.steps or () if step.weight is not None]
        if weights != sorted(weights):
            raise ValueError("steps must have rising weights: the way back is a rollback, in one move")
        for index, step in enumerate(self.steps or ()):
            least = step.min_duration or self.min_step_duration
            if step.max_duration is not None and parse_duration(step.max_duration) < parse_duration(least):
                raise ValueError(
                    f"steps[{index}]: maxDuration must be at least the step's minDuration"
                    f" (or strategy.minStepDuration), {least}; raise one or lower the other"
                )
        return self


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


class Spec(ApiModel):
    """Desired state of a model server and of the way to change it."""

    replicas: int = Field(1, ge=0, le=10000, description="Pods of the serving revision.")
    template: dict[str, Any] = Field(description="The pod template, as in a Deployment.")
    traffic: Traffic = Field(description="How requests reach the revisions.")
    strategy: Strategy = Field(Strategy(), description="How traffic moves to a new revision.")
    analysis: Analysis = Field(description="What evidence decides.")
    track_config: bool = Field(
        False, description="A change of a ConfigMap or Secret that the template names makes a new revision."
    )
    progress_deadline: Duration = Field("10m", description="A revision not ready by then is given up.")
    revision_history_limit: int = Field(3, ge=0, le=20, description="Old revisions kept, without pods, for undo.")
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

    @field_validator("progress_deadline")
    @classmethod
    def _at_least_a_second(cls, deadline: str) -> str:
        if parse_duration(deadline) < timedelta(seconds=1):
            raise ValueError("progressDeadline must be at least 1s, for instance 10m")
        return deadline

    @field_validator("template")
    @classmethod
    def _has_containers(cls, template: dict[str, Any]) -> dict[str, Any]:
        pod = template.get("spec")
        containers = pod.get("containers") if isinstance(pod, dict) else None
        if not isinstance(containers, list) or not containers:
            raise ValueError("spec.containers must list at least one container with name and image")
        for index, container in enumerate(containers):
            if not isinstance(container, dict) or not container.get("name") or not container.get("image"):
                raise ValueError(f"spec.containers[{index}] must have name and image")
        return template
