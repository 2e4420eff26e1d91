"""What the operator reports under `status`, and its only memory."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, PlainSerializer

from modelrollout.api.base import ApiModel


def _rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""UTC; written to the second, as every Kubernetes time is."""


class Phase(StrEnum):
    """Where a rollout stands."""

    INITIALIZING = "Initializing"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    GUARDING = "Guarding"
    PROMOTED = "Promoted"
    REPORTED = "Reported"
    ROLLED_BACK = "RolledBack"


AT_REST: Final = frozenset({Phase.PROMOTED, Phase.REPORTED, Phase.ROLLED_BACK})
"""Phases in which nothing more happens by itself."""


class VerdictKind(StrEnum):
    """What the evidence of one metric says."""

    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    NO_DATA = "NoData"
    PROVIDER_ERROR = "ProviderError"


class Reason(StrEnum):
    """Why a metric has its verdict, in a word for machines."""

    WAITING = "Waiting"
    COUNTING = "Counting"
    NO_TRAFFIC = "NoTraffic"
    DOUBTFUL = "Doubtful"
    NO_VALUE = "NoValue"
    UNLABELLED = "Unlabelled"
    UNREADABLE = "Unreadable"
    PROVIDER_ERROR = "ProviderError"
    TRAFFIC_SPLIT = "TrafficSplit"
    DRIFTED = "Drifted"
    SAFE = "Safe"
    HARMFUL = "Harmful"


class Weights(ApiModel):
    """Per cent of live requests; the two sum to 100."""

    stable: int = Field(100, ge=0, le=100, description="For the stable revision.")
    candidate: int = Field(0, ge=0, le=100, description="For the candidate.")


class StepStatus(ApiModel):
    """The step in progress."""

    index: int = Field(ge=0, description="Position among the steps, from 0.")
    name: str = Field(description="The step in words.")
    since: Time = Field(description="When the step was entered.")
    verified: Time | None = Field(None, description="When the gateway was seen to route as the step says.")
    awaiting: Time | None = Field(None, description="Since when it is over and a person is asked to move on.")


class GateState(StrEnum):
    """How far a gate's check is."""

    WAITING = "Waiting"
    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"
    ERROR = "Error"


class GateStatus(ApiModel):
    """The check that the rollout waits for, or the last one."""

    id: str = Field(description="Identity of this run of the check.")
    name: str = Field(description="What people call it.")
    state: GateState = Field(GateState.WAITING, description="Waiting, Running, Passed, Failed or Error.")
    message: str = Field("", description="What came of it, in one sentence.")
    numbers: dict[str, float] = Field({}, description="What it measured.")
    since: Time = Field(description="When it was asked for.")
    by: str | None = Field(None, description="Who approved it.")


class Tally(ApiModel):
    """Requests counted for one revision since the candidate first took traffic."""

    requests: int = Field(0, description="Requests seen.")
    bad: int = Field(0, description="Failed ones (errors) or slow ones (latency).")


class Verdict(ApiModel):
    """What one metric says, with its numbers."""

    name: str = Field(description="The metric.")
    verdict: VerdictKind = Field(description="Pass, Fail, NoData or ProviderError.")
    reason: Reason = Field(Reason.WAITING, description="The verdict's reason in one word.")
    message: str = Field(description="The verdict in one sentence.")
    stable: Tally = Field(Tally(), description="Counts of the stable revision.")
    candidate: Tally = Field(Tally(), description="Counts of the candidate.")
    effect: str = Field("", description="Candidate less stable, in percentage points, with its 95% interval.")
    harm: str = Field("0.00", description="e-value against 'no worse than tolerated', as a natural logarithm.")
    safety: str = Field("0.00", description="e-value for 'safe at the next weight', as a natural logarithm.")
    evidence: str = Field("", description="State of the e-processes; opaque.", max_length=300)


class Move(ApiModel):
    """One move of a rollout, and why."""

    at: Time = Field(description="When.")
    move: str = Field(description="What happened, one word: Started, Weight, Promoted, RolledBack, ...")
    revision: str = Field(description="The revision that it happened to.")
    weight: int = Field(0, description="The candidate's weight after it.")
    message: str = Field(description="Why, with the numbers.")
    by: str | None = Field(None, description="Who asked for it, where a person did.")
    image: str | None = Field(None, description="Image of the revision.")


class RequestStatus(ApiModel):
    """The last thing that people asked for, so that it is carried out once."""

    id: str = Field(description="Identity of the request.")
    action: str = Field(description="promote, approve, abort, pause, resume, retry or undo.")
    by: str = Field("", description="Who asked.")
    at: Time = Field(description="When it was carried out.")
    outcome: str = Field(description="What came of it.")
    refused: bool = Field(False, description="Whether it made no sense then; outcome says why.")


class Pin(ApiModel):
    """An undo: serve this revision until the template changes."""

    revision: str = Field(description="The revision to serve.")
    instead_of: str = Field(description="The template's own revision, which the undo overrides.")


class Condition(ApiModel):
    """A standard Kubernetes condition."""

    type: Literal["Ready", "Reconciling", "Stalled", "Promoted", "InputDrift"] = Field(description="The condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word for machines.")
    message: str = Field("", description="One sentence for people.")
    last_transition_time: Time = Field(description="When status last changed.")
    observed_generation: int = Field(0, description="The generation that it speaks of.")


class Status(ApiModel):
    """Observed state of a rollout."""

    observed_generation: int = Field(0, description="The generation that this status speaks of.")
    phase: Phase = Field(Phase.INITIALIZING, description="Where the rollout stands.")
    message: str = Field("", description="One plain sentence: what happens and what it waits for.")
    stable: str | None = Field(None, description="Revision that serves.")
    candidate: str | None = Field(None, description="Revision on trial.")
    previous: str | None = Field(None, description="Revision that the guard can go back to.")
    target: str | None = Field(None, description="Revision of the template last acted on.")
    attempt: int = Field(0, description="Rollouts begun so far; each has a false-rollback budget of its own.")
    weights: Weights = Field(Weights(), description="The split of live requests.")
    step: StepStatus | None = Field(None, description="The step in progress.")
    verdict: VerdictKind | None = Field(None, description="The worst of the verdicts.")
    verdicts: list[Verdict] = Field([], max_length=32, description="One for each metric or slice.")
    gate: GateStatus | None = Field(None, description="The gate in progress, or the last one of this rollout.")
    window_end: int | None = Field(None, description="Evidence is counted up to here; Unix seconds.")
    guard_until: Time | None = Field(None, description="When the guard ends.")
    queued: str | None = Field(None, description="Revision that waits for the end of this rollout.")
    paused: str | None = Field(None, description="Why the rollout is paused; unset when it is not.")
    skip_to: int | None = Field(None, description="Step that a person asked to go to without further evidence.")
    reported: Time | None = Field(None, description="When this status was written.")
    unsaved: bool = Field(False, exclude=True, description="In memory only: some of this was not written yet.")
    pin: Pin | None = Field(None, description="An undo in force.")
    request: RequestStatus | None = Field(None, description="The last request carried out.")
    replicas: int = Field(0, description="Pods of all revisions.")
    ready_replicas: int = Field(0, description="Ready pods of the stable revision.")
    selector: str = Field("", description="Selects the pods of all revisions, for autoscalers.")
    revisions: list[str] = Field([], max_length=32, description="Known revisions, newest first.")
    history: list[Move] = Field([], max_length=30, description="The last moves, newest last.")
    conditions: list[Condition] = Field(
        [], max_length=8, description="Ready, Reconciling, Stalled, Promoted; with inputs: InputDrift."
    )
