"""Gates: checks outside of live traffic that a rollout waits for, as a user writes them in a step."""

from typing import Annotated

from pydantic import Field, model_validator

from modelrollout.api.base import ApiModel
from modelrollout.api.patterns import DNS_LABEL, DNS_NAME, GATE_URL, PATH
from modelrollout.api.template import PodTemplate
from modelrollout.api.units import Duration

KINDS = ("job", "webhook", "approval", "requests")
"""The kinds of gates, as their fields are spelled."""


class JobGate(ApiModel):
    """A Kubernetes Job, for instance an offline evaluation of both models on a holdout set."""

    template: PodTemplate = Field(description="The pod template of the Job; unknown fields in it are kept.")
    backoff_limit: int = Field(0, ge=0, le=10, description="Pods that may fail before the Job has failed.")
    deadline: Duration = Field("1h", description="Longest time that the Job may run.")


class SecretKey(ApiModel):
    """One key of a Secret in the rollout's namespace."""

    name: str = Field(min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the Secret.")
    key: str = Field(min_length=1, max_length=253, description="Key in it.")


class WebhookGate(ApiModel):
    """An HTTP hook that is asked whether to go on."""

    url: str = Field(min_length=8, max_length=1000, pattern=GATE_URL, description="Where to POST the question.")
    timeout: Duration = Field("10s", description="Longest wait for one answer.")
    retries: int = Field(3, ge=0, le=20, description="Further tries after no answer or a 5xx one, with back-off.")
    secret: SecretKey | None = Field(
        None, description="Key that signs the body (HMAC-SHA256, header X-Modelrollout-Signature)."
    )


class ApprovalGate(ApiModel):
    """A person, who answers with `kubectl modelrollout approve` or an annotation."""

    message: str = Field("", max_length=500, description="What the person should look at.")


class RequestsGate(ApiModel):
    """Golden requests: asked of the candidate alone, with answers that are known; repeated, they warm it up."""

    config_map: str = Field(
        min_length=1, max_length=253, pattern=DNS_NAME, description="ConfigMap that holds requests and answers."
    )
    key: str = Field("requests.json", min_length=1, max_length=253, description="Key in it.")
    path: str | None = Field(
        None, max_length=512, pattern=PATH, description="Path for requests that name none of their own."
    )
    repeat: int = Field(1, ge=1, le=1000, description="Times that each request is sent to every pod: the warm-up.")
    tolerance: float = Field(1e-6, ge=0.0, description="Numbers may differ from the known answer by so much.")
    timeout: Duration = Field("10s", description="Longest wait for one answer.")


class Gate(ApiModel):
    """Exactly one check."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=DNS_LABEL)] | None = Field(
        None, description="What people call it; the kind when left out."
    )
    job: JobGate | None = Field(None, description="Run a Job; it passes when the Job succeeds.")
    webhook: WebhookGate | None = Field(None, description="Ask an HTTP hook.")
    approval: ApprovalGate | None = Field(None, description="Ask a person.")
    requests: RequestsGate | None = Field(None, description="Send golden requests to the candidate.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Gate":
        if len([one for one in KINDS if getattr(self, one) is not None]) != 1:
            raise ValueError(f"a gate is exactly one of {', '.join(KINDS)}; make another step of the other")
        return self

    @property
    def kind(self) -> str:
        """The kind of check."""
        return next(one for one in KINDS if getattr(self, one) is not None)

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.kind
