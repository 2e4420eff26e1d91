"""What every check is given, and what each says of itself."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.preview import preview_name
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.core.revision import object_name


@dataclass(frozen=True, slots=True)
class Pace:
    """How often checks look again; seconds."""

    first: float = 0.5
    """After a first failure; doubled after each further one, up to `longest`."""
    longest: float = 30.0
    job: float = 5.0
    """At a Job that runs, after the first looks."""
    wait: float = 10.0
    """At a hook that says Wait and not for how long."""
    longest_wait: float = 300.0
    """At a hook that says for how long."""
    pods: float = 3.0
    """At pods that are not ready."""
    error: float = 30.0
    """At what a person has to mend."""

    def after(self, failures: int) -> float:
        """Return the wait after so many failures in a row, some of it left to chance."""
        wait = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return wait * random.uniform(0.5, 1.0)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a check found, and after how many seconds to look again where it is not over."""

    state: GateState
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    again: float = 0.0


class Check(Protocol):
    """One check, carried out look by look."""

    async def begin(self) -> None:
        """Begin it, or find the one that was begun. TerminalError where it can never be carried out as written."""

    async def look(self) -> Look:
        """Return how far it is; any error means that it could not be asked."""

    async def stop(self) -> None:
        """Stop what is left of it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A check to be carried out: for which rollout, between which revisions, and by which connection."""

    api: Api
    rollout: ModelRollout
    gate: OpenGate
    pace: Pace

    @property
    def namespace(self) -> str:
        """The rollout's namespace."""
        return self.rollout.metadata.namespace

    @property
    def name(self) -> str:
        """The rollout's name."""
        return self.rollout.metadata.name

    @property
    def ident(self) -> str:
        """Identity of this run in the whole world: another rollout that gets this one's name has another uid."""
        return f"{self.rollout.metadata.uid}-{self.gate.id}"

    @property
    def field(self) -> str:
        """Where in the spec the check is written."""
        return f"spec.strategy.steps[{self.gate.step}].gate.{self.gate.gate.kind}"

    def wrong(self, field: str, what: str) -> str:
        """Return the words for a fault in a field of the check."""
        return f"ModelRollout {self.namespace}/{self.name}: {self.field}{'.' if field else ''}{field}: {what}"

    def host(self, revision: str) -> str:
        """Return the host name of a revision's Service."""
        return f"{object_name(self.name, revision)}.{self.namespace}.svc"

    @property
    def urls(self) -> dict[str, str]:
        """Where stable and candidate answer and, where there is one, the preview."""
        spec, gate = self.rollout.spec, self.gate
        urls = {"stable": f"http://{self.host(gate.stable)}", "candidate": f"http://{self.host(gate.candidate)}"}
        if spec.traffic.preview is not None or spec.strategy.type == "BlueGreen":
            urls["preview"] = f"http://{preview_name(self.name)}.{self.namespace}.svc"
        return urls
