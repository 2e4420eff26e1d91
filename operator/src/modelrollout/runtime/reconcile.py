"""One rollout, once: observe, plan, carry out, remember."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from modelrollout.api.resource import InvalidRollout, Metadata, ModelRollout, parse
from modelrollout.api.spec import Spec
from modelrollout.api.status import Status
from modelrollout.core.actions import (
    Action,
    Announce,
    CloseGate,
    DeleteComparer,
    DeleteRevision,
    EnsureBudget,
    EnsureComparer,
    EnsureRevision,
    OpenGate,
    Plan,
    SaveStatus,
    ScaleRevision,
    SetPreview,
    SetRoute,
)
from modelrollout.core.plan import plan, refused
from modelrollout.core.settings import Settings
from modelrollout.ports import (
    AsideError,
    Clock,
    Cluster,
    Gates,
    Key,
    Notifier,
    TerminalError,
    TrafficRouter,
    TransientError,
)
from modelrollout.runtime.collector import Collector, Readings
from modelrollout.runtime.lease import LeaseLostError
from modelrollout.runtime.logs import ObjectLog
from modelrollout.runtime.memory import Memories, Memory
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.observe import Observer
from modelrollout.runtime.store import RolloutStore

_log = logging.getLogger(__name__)

_NOTHING: Final = Spec.model_construct()  # type: ignore[call-arg]
"""Stands for a spec that cannot be read; a status is written without looking at it."""
LATER: Final = timedelta(seconds=10)
"""Before an event that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Carries out plans; holds no state but what `memories` keeps."""

    store: RolloutStore
    observer: Observer
    cluster: Cluster
    router_for: Callable[[ModelRollout], TrafficRouter]
    gates: Gates
    notifier: Notifier
    collector: Collector
    clock: Clock
    settings: Settings
    metrics: OperatorMetrics
    memories: Memories
    may_write: Callable[[], bool]
    """Whether we hold the lease for certain; asked before every write."""
    leave: Callable[[Key], Awaitable[None]]
    """Takes what has no use any more out of objects of others, after a rollout that is gone."""

    async def reconcile(self, key: Key) -> timedelta | None:
        """Bring one rollout a step further; returns when to look again, None: when something changes.

        Raises TransientError (ConflictError among them) when it has to be tried again, LeaseLostError when somebody
        else may write.
        """
        raw = self.store.raw(key)
        if raw is None:
            await self._leave(key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            self.forget(key)
            return None
        try:
            rollout, unreadable = self._read(key, raw)
        except InvalidRollout as error:
            await self._refuse(key, raw, str(error))
            return None
        memory = self.memories.of(key)
        rollout = rollout.model_copy(update={"status": memory.status(rollout.status)})
        try:
            return await self._reconcile(key, rollout, memory, unreadable)
        finally:
            self.memories.tidy(key)
            if key not in self.store:
                self.forget(key)

    def forget(self, key: Key) -> None:
        """Drop everything that is kept of a rollout that is gone."""
        self.memories.forget(key)
        self.collector.forget(key)
        self.observer.forget(key)
        self.gates.forget(key)

    async def _leave(self, key: Key) -> None:
        if not self.may_write():
            return
        try:
            await self.leave(key)
        except TerminalError as error:
            ObjectLog(_log, key).warning("not tidied up after its deletion: %s", error)

    def _read(self, key: Key, raw: dict[str, Any]) -> tuple[ModelRollout, str | None]:
        """Return a rollout and, where its newest spec cannot be read, why; it then has the last one that could be.

        So a rollout in progress goes on, and can be aborted. Raises InvalidRollout where there is no such spec.
        """
        try:
            rollout = parse(raw)
        except InvalidRollout as error:
            spec = self.store.readable_spec(key)
            if spec is None:
                raise
            return parse({**raw, "spec": spec}), str(error)
        self.store.was_read(key)
        return rollout, None

    async def _reconcile(
        self, key: Key, rollout: ModelRollout, memory: Memory, unreadable: str | None
    ) -> timedelta | None:
        readings, now = self.collector.peek(key), self.clock.now()
        await self._announce(rollout, memory)
        observed = await self.observer.observe(key, rollout, memory, readings, now)
        if unreadable is not None:
            observed = replace(observed, terminal=unreadable)
            if all(condition.message != unreadable[:1000] for condition in rollout.status.conditions):
                ObjectLog(_log, key).warning("refused: %s", unreadable)
        step = plan(rollout, observed, now, self.settings)
        # What is refused already is not asked about anew by each event; when its time is over, it is.
        known = memory.terminal(rollout.metadata.generation, now) is not None
        try:
            await self._carry_out(key, rollout, step, memory, readings, refusable=known)
        except AsideError as error:
            ObjectLog(_log, key).warning("left out: %s", error)
            self.metrics.reconcile_errors.labels("terminal").inc()
            memory.refused(rollout.metadata.generation, str(error), now, aside=True)
            # Nothing was saved yet, and the plan that knows of it does not ask for it again.
            return await self._reconcile(key, rollout, memory, unreadable)
        except TerminalError as error:
            return await self._refused(key, rollout, memory, str(error))
        if memory.refusal is not None and observed.terminal is None:
            memory.refusal = None
        if memory.aside is not None and observed.terminal is None and observed.aside is None:
            memory.aside = None
        memory.planned(step, read=bool(readings))
        self.collector.consume(key, readings)
        self.collector.watch(key, rollout, step.watch)
        return self._next_look(step, memory, now)

    async def _refused(self, key: Key, rollout: ModelRollout, memory: Memory, reason: str) -> timedelta | None:
        """Plan once more, knowing what the API server refuses; the rollout goes on as far as it can without."""
        ObjectLog(_log, key).warning("refused: %s", reason)
        self.metrics.reconcile_errors.labels("terminal").inc()
        now = self.clock.now()
        memory.refused(rollout.metadata.generation, reason, now)
        raw = self.store.raw(key)
        if raw is None:
            return None
        fresh, unreadable = self._read(key, raw)
        fresh = fresh.model_copy(update={"status": memory.status(fresh.status)})
        readings = self.collector.peek(key)
        observed = await self.observer.observe(key, fresh, memory, readings, now)
        if unreadable is not None:
            observed = replace(observed, terminal=unreadable)
        step = plan(fresh, observed, now, self.settings)
        await self._carry_out(key, fresh, step, memory, readings, refusable=True)
        memory.planned(step, read=bool(readings))
        self.collector.consume(key, readings)
        self.collector.watch(key, fresh, step.watch)
        return self._next_look(step, memory, now)

    async def _carry_out(  # noqa: PLR0913
        self,
        key: Key,
        rollout: ModelRollout,
        step: Plan,
        memory: Memory,
        readings: Readings,
        *,
        refusable: bool = False,
    ) -> None:
        """Carry out the actions in order; stop at the first that fails.

        Moves whose status was saved are announced later if the announcement is what could not be reached.
        """
        saved = False
        for index, action in enumerate(step.actions):
            try:
                await self._act(key, rollout, step, action, memory)
            except TerminalError as error:
                if not refusable:
                    self._keep_announcements(step.actions[index:], memory, saved=saved)
                    raise
                ObjectLog(_log, key).warning("refused: %s", error)
            except TransientError:
                self._keep_announcements(step.actions[index:], memory, saved=saved)
                raise
            if isinstance(action, SaveStatus):
                saved = True
                self.collector.consume(key, readings)

    async def _act(self, key: Key, rollout: ModelRollout, step: Plan, action: Action, memory: Memory) -> None:
        if not self.may_write():
            raise LeaseLostError(f"the lease ran out before a write for {key}")
        match action:
            case SetRoute(split, latch):
                await self.router_for(rollout).set(rollout, split, latch)
            case OpenGate():
                await self.gates.open(rollout, action)
            case CloseGate(ident):
                await self.gates.close(rollout, ident)
            case SaveStatus():
                await self._save(key, rollout, step.status, memory)
            case Announce():
                memory.announcements.append(action)
                await self._announce(rollout, memory)
            case _:
                await self._change(rollout, action)

    async def _change(self, rollout: ModelRollout, action: Action) -> None:
        """Carry out what changes Deployments and Services."""
        match action:
            case EnsureRevision(revision, replicas):
                await self.cluster.apply_revision(rollout, revision, rollout.spec.template, replicas)
            case ScaleRevision(revision, replicas):
                await self.cluster.scale_revision(rollout, revision, replicas)
            case DeleteRevision(revision):
                await self.cluster.delete_revision(rollout, revision)
            case SetPreview(revision):
                await self.cluster.apply_preview(rollout, revision)
            case EnsureBudget():
                await self.cluster.apply_budget(rollout)
            case EnsureComparer(stable, candidate, settings):
                await self.cluster.apply_comparer(rollout, stable, candidate, settings)
            case DeleteComparer():
                await self.cluster.delete_comparer(rollout)

    async def _save(self, key: Key, rollout: ModelRollout, status: Status, memory: Memory) -> None:
        version = await self.cluster.save_status(rollout, status)
        self.store.wrote_status(key, status, version)
        memory.saved(status)

    async def _announce(self, rollout: ModelRollout, memory: Memory) -> None:
        """Announce what waits to be announced; an event that cannot be written holds nothing up."""
        log = ObjectLog(_log, f"{rollout.metadata.namespace}/{rollout.metadata.name}")
        while memory.announcements:
            if not self.may_write():
                raise LeaseLostError("the lease ran out before an event was written")
            first = memory.announcements[0]
            move, warning = first.move, first.warning
            try:
                await self.cluster.announce(rollout, move, warning)
            except TransientError as error:
                log.warning("event of %s not written yet: %s", move.move, error)
                return
            except TerminalError as error:
                log.warning("event of %s refused: %s", move.move, error)
            memory.announcements.pop(0)
            if first.notify:
                self.notifier.notify(rollout, move)
            self.metrics.decisions.labels(move.move).inc()
            step = memory.working.step if memory.working else None
            extra = {"decision": move.move, "revision": move.revision, "step": step.name if step else None}
            log.info(move.message, extra=extra)

    def _keep_announcements(self, rest: tuple[Action, ...], memory: Memory, *, saved: bool) -> None:
        if saved:
            memory.announcements.extend(action for action in rest if isinstance(action, Announce))

    async def _refuse(self, key: Key, raw: dict[str, Any], message: str) -> None:
        """Say in the status what is wrong with a resource that cannot be read; nothing else is touched."""
        self.collector.forget(key)
        metadata = Metadata.model_validate(raw["metadata"])
        status = refused(raw["status"], metadata.generation, message, self.clock.now())
        try:
            unchanged = Status.model_validate(raw["status"]) == status
        except ValueError:
            unchanged = False
        if unchanged:
            return
        if not self.may_write():
            raise LeaseLostError(f"the lease ran out before a write for {key}")
        ObjectLog(_log, key).warning("refused: %s", message)
        carrier = ModelRollout.model_construct(metadata=metadata, spec=_NOTHING)
        version = await self.cluster.save_status(carrier, status)
        self.store.wrote_status(key, status, version)

    def _next_look(self, step: Plan, memory: Memory, now: datetime) -> timedelta | None:
        looks = [] if step.requeue_after is None else [step.requeue_after]
        if memory.announcements:
            looks.append(LATER)
        looks += [trouble.look_at - now for trouble in memory.troubles.values()]
        looks += [refusal.until - now for refusal in (memory.refusal, memory.aside) if refusal is not None]
        return max(min(looks), timedelta(0)) if looks else None
