"""A rollout as people look at it: the resource, its Deployments and the time, put together once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from modelrollout.api.base import REQUEST_ANNOTATION, REVISION_LABEL
from modelrollout.api.resource import InvalidRollout, parse
from modelrollout.api.spec import Spec
from modelrollout.api.status import AT_REST, Phase, Status
from modelrollout.api.strategy import Step
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.core.automation import mode_of
from modelrollout.core.evidence.stages import Stage
from modelrollout.core.observed import Request
from modelrollout.core.request import parse_request
from modelrollout.core.revision import image_of
from modelrollout.core.schedule import frozen_until
from modelrollout.core.strategies import reports_only, stage_at, steps_of


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision: what it does, and its pods."""

    name: str
    role: str
    """stable, candidate, previous, reported (shadowed and not promoted) or old."""
    weight: int | None
    """Per cent of live requests; None for one that has none and is not to get any."""
    ready: int | None
    """Ready pods; None where its Deployment is not known."""
    desired: int | None
    image: str | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a command shows of one rollout."""

    namespace: str
    name: str
    created: datetime | None
    status: Status
    spec: Spec | None
    """None where the spec cannot be read; the conditions say why."""
    revisions: tuple[Revision, ...]
    request: Request | None
    """What somebody asked for and the operator has not carried out yet."""
    current: bool
    """Whether the status speaks of the spec as it is now."""
    now: datetime

    @property
    def title(self) -> str:
        """The rollout in one word for messages."""
        return f"{self.namespace}/{self.name}"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the strategy."""
        if self.spec is None:
            return ()
        return steps_of(self.spec)

    @property
    def active(self) -> bool:
        """Whether a candidate is on trial."""
        return self.status.phase in (Phase.PROGRESSING, Phase.PAUSED) and self.status.candidate is not None

    @property
    def step(self) -> Step | None:
        """The step in progress."""
        current = self.status.step
        if not self.active or current is None or current.index >= len(self.steps):
            return None
        return self.steps[current.index]

    @property
    def stage(self) -> Stage | None:
        """Which tests look at the step in progress; a report has been looked at by those of the shadow."""
        if self.spec is None:
            return None
        if self.status.phase is Phase.REPORTED:
            return stage_at(self.spec, next((step for step in reversed(self.steps) if step.shadow is not None), None))
        return stage_at(self.spec, self.step)

    @property
    def reports(self) -> bool:
        """Whether the rollout ends with a report, without promotion."""
        return self.spec is not None and reports_only(self.spec)

    @property
    def frozen(self) -> datetime | None:
        """Until when the schedule lets nothing move forward; None where it does, or nothing is on its way."""
        schedule = self.spec.strategy.schedule if self.spec is not None else None
        return frozen_until(schedule, self.now) if schedule is not None and self.active else None

    def mode(self, direction: str) -> str:
        """Return who makes the next move, `promotion` or `rollback`: auto, notify or manual."""
        return "auto" if self.spec is None else mode_of(self.spec.strategy, self.step, direction)

    @property
    def stalled(self) -> str | None:
        """Why nothing goes on, if so."""
        found = next((c for c in self.status.conditions if c.type == "Stalled" and c.status == "True"), None)
        return None if found is None else found.message or found.reason

    @property
    def at_rest(self) -> bool:
        """Whether nothing more will happen by itself."""
        if not self.current or self.request is not None:
            return False
        return self.stalled is not None or self.status.phase in AT_REST

    @property
    def healthy(self) -> bool:
        """Whether neither the last rollout failed nor the spec is refused."""
        return self.stalled is None and self.status.phase is not Phase.ROLLED_BACK

    def image(self, revision: str | None) -> str | None:
        """Return the image of a revision, from its Deployment or else from the history."""
        for known in self.revisions:
            if known.name == revision and known.image:
                return known.image
        moves = (move.image for move in reversed(self.status.history) if move.revision == revision and move.image)
        return next(moves, None)


def view_of(raw: Mapping[str, Any], deployments: Iterable[Mapping[str, Any]], now: datetime) -> View:
    """Put a rollout together. Raises CliError for a status that this version cannot read."""
    metadata = raw["metadata"]
    status = status_of(raw)
    try:
        spec: Spec | None = parse({**raw, "status": {}}).spec
    except InvalidRollout:
        spec = None
    request = parse_request((metadata.get("annotations") or {}).get(REQUEST_ANNOTATION))
    if request is not None and status.request is not None and status.request.id == request.id:
        request = None
    return View(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        created=time_of(metadata.get("creationTimestamp")),
        status=status,
        spec=spec,
        revisions=tuple(_revisions(status, list(deployments))),
        request=request,
        current=status.observed_generation >= metadata.get("generation", 0),
        now=now,
    )


def status_of(raw: Mapping[str, Any]) -> Status:
    """Read the status. Raises CliError for one that this version cannot read."""
    try:
        return Status.model_validate(raw.get("status") or {})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in ("status", *fault["loc"]))
        raise CliError(
            ExitCode.USAGE,
            f"ModelRollout {raw['metadata'].get('namespace')}/{raw['metadata']['name']}: {field}: {fault['msg']}; "
            "the operator is newer or older than this command: install the same version",
        ) from None


def time_of(text: str | None) -> datetime | None:
    """Read a Kubernetes time."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _revisions(status: Status, deployments: list[Mapping[str, Any]]) -> Iterable[Revision]:
    by_name = {raw["metadata"].get("labels", {}).get(REVISION_LABEL): raw for raw in deployments}
    by_name.pop(None, None)
    shadowed = status.target if status.phase is Phase.REPORTED else None
    roles = {shadowed: "reported", status.previous: "previous", status.candidate: "candidate", status.stable: "stable"}
    roles.pop(None, None)
    known = dict.fromkeys(one for one in (status.stable, status.candidate, status.previous, *status.revisions) if one)
    for name in [*known, *(one for one in by_name if one not in known)]:
        yield _revision(name, roles.get(name, "old"), status, by_name.get(name))


def _revision(name: str, role: str, status: Status, raw: Mapping[str, Any] | None) -> Revision:
    weights = {"stable": status.weights.stable, "candidate": status.weights.candidate, "previous": 0}
    if raw is None:
        return Revision(name, role, weights.get(role), None, None, None)
    spec = raw.get("spec") or {}
    return Revision(
        name=name,
        role=role,
        weight=weights.get(role),
        ready=(raw.get("status") or {}).get("readyReplicas") or 0,
        desired=spec.get("replicas", 1),
        image=image_of(spec.get("template") or {}),
    )
