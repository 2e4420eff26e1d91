"""What the shell keeps of a rollout between two plans; an idle rollout needs none of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelrollout.api.status import Status
from modelrollout.core.actions import Announce, Plan
from modelrollout.core.observed import Workload
from modelrollout.ports import Key

FIRST_LOOK: timedelta = timedelta(seconds=10)
LONGEST_LOOK: timedelta = timedelta(minutes=2)
SHORTEST_REFUSAL: timedelta = timedelta(seconds=30)
LONGEST_REFUSAL: timedelta = timedelta(minutes=5)


@dataclass
class Trouble:
    """Pods of one revision that are not ready, and what was found out about them."""

    look_at: datetime
    """When to ask for the pods; at first some time after they were seen to be missing."""
    pause: timedelta = FIRST_LOOK
    reason: str | None = None
    crash_loop: bool = False

    def looked(self, now: datetime, reason: str | None, crash_loop: bool) -> None:
        """Take an answer, and wait longer for the next one."""
        self.reason, self.crash_loop = reason, crash_loop
        self.look_at = now + self.pause
        self.pause = min(LONGEST_LOOK, self.pause * 1.5)


@dataclass
class Refusal:
    """Why the API server refused what the spec asks for, until when that is believed."""

    generation: int
    reason: str
    until: datetime
    pause: timedelta = SHORTEST_REFUSAL

    def in_force(self, generation: int, now: datetime) -> str | None:
        """Return the reason until the spec changes, or it is time to see whether somebody mended it."""
        return self.reason if self.generation == generation and now < self.until else None


@dataclass
class Memory:
    """Working state of one rollout."""

    base: Status | None = None
    """The status in the resource that `working` continues."""
    working: Status | None = None
    """The last plan's status, with evidence that is not saved yet."""
    refusal: Refusal | None = None
    aside: Refusal | None = None
    """Of something that the rollout goes on without."""
    troubles: dict[str, Trouble] = field(default_factory=dict)
    """By revision."""
    announcements: list[Announce] = field(default_factory=list)
    """Moves that are saved, and of which the event could not be written yet."""
    idle: bool = True
    caught_up: bool = False
    """Evidence was read since this operator took the rollout over."""

    def status(self, saved: Status) -> Status:
        """Return the status to plan from: our own continuation of what is saved, unless somebody wrote another one."""
        if self.working is not None and self.base == saved:
            return self.working
        self.base, self.working = saved, None
        return saved

    def planned(self, plan: Plan, *, read: bool = False) -> None:
        """Remember a plan that was carried out in full; `read`: it had fresh evidence."""
        self.caught_up = self.caught_up or read
        # Hundreds of rollouts may be on their way at once; what the resource says as well is kept only there.
        self.base, self.working = (None, None) if plan.status == self.base else (self.base, plan.status)
        self.idle = plan.watch is None and plan.requeue_after is None

    def saved(self, status: Status) -> None:
        """Remember a status that was written, as it reads when it comes back."""
        self.base = Status.model_validate(status.model_dump(mode="json"))
        self.working = status

    def refused(self, generation: int, reason: str, now: datetime, *, aside: bool = False) -> None:
        """Remember a refusal; when it is tried again and refused again, believe it for longer."""
        before, pause = self.aside if aside else self.refusal, SHORTEST_REFUSAL
        if before is not None and before.generation == generation:
            pause = min(LONGEST_REFUSAL, before.pause * 2)
        refusal = Refusal(generation, reason, now + pause, pause)
        if aside:
            self.aside = refusal
        else:
            self.refusal = refusal

    def terminal(self, generation: int, now: datetime) -> str | None:
        """Return the refusal in force, if there is one."""
        return self.refusal.in_force(generation, now) if self.refusal else None

    def left_out(self, generation: int, now: datetime) -> str | None:
        """Return the refusal in force of what the rollout goes on without."""
        return self.aside.in_force(generation, now) if self.aside else None

    def unready(self, workload: Workload, now: datetime) -> Trouble:
        """Return what is known about a revision whose pods are missing."""
        return self.troubles.setdefault(workload.revision, Trouble(now + FIRST_LOOK))

    @property
    def disposable(self) -> bool:
        """Whether nothing would be lost without this object."""
        refused = self.refusal is not None or self.aside is not None
        return self.idle and not refused and not self.troubles and not self.announcements


class Memories:
    """The memories of the rollouts that are not idle."""

    def __init__(self) -> None:
        self._memories: dict[Key, Memory] = {}

    def of(self, key: Key) -> Memory:
        """Return the memory of a rollout, a fresh one where there was none."""
        return self._memories.setdefault(key, Memory())

    def tidy(self, key: Key) -> None:
        """Forget the memory of a rollout that went idle."""
        memory = self._memories.get(key)
        if memory is not None and memory.disposable:
            del self._memories[key]

    def forget(self, key: Key) -> None:
        """Forget a rollout."""
        self._memories.pop(key, None)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._memories)
