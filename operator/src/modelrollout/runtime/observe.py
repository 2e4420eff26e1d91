"""From caches to `Observed`: what `plan` may look at, as plain values."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from modelrollout.api.base import REQUEST_ANNOTATION
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import AT_REST
from modelrollout.core.evidence.windows import Reading
from modelrollout.core.observed import ComparerState, Observed, Workload
from modelrollout.core.request import parse_request
from modelrollout.core.revision import image_of, revision_of
from modelrollout.ports import Cluster, Gates, Key, TerminalError, TrafficRouter, TransientError
from modelrollout.runtime.memory import Memory

_log = logging.getLogger(__name__)

UNTRACKED: Final = (
    "spec.trackConfig is true, but the operator does not watch ConfigMaps and Secrets; "
    "start it with --track-config or set spec.trackConfig to false"
)


class Workloads(Protocol):
    """The Deployments, as last watched or written."""

    def of(self, key: Key) -> Mapping[str, Workload]:
        """Return a rollout's by revision."""

    def comparer(self, key: Key) -> ComparerState | None:
        """Return a rollout's comparer."""


class Tracked(Protocol):
    """The configuration that a template names."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Name to digest."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Named, needed and not there."""


class Configs(Protocol):
    """Digests of ConfigMaps and Secrets."""

    def tracked(self, key: Key, template: Mapping[str, Any]) -> Tracked:
        """Return what a template names, and tell of changes to it from now on."""

    def forget(self, key: Key) -> None:
        """Tell of changes no more."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the caches; asks the API server for pods only where some are missing for long."""

    workloads: Workloads
    preview: Callable[[ModelRollout], str | None]
    """The revision that a rollout's preview Service points at; '' for one that has to be written anew."""
    budget_fits: Callable[[ModelRollout], bool]
    """Whether the PodDisruptionBudget is what the spec asks for."""
    configs: Configs | None
    """None: the operator does not track configuration."""
    router_for: Callable[[ModelRollout], TrafficRouter]
    cluster: Cluster
    gates: Gates

    async def observe(
        self, key: Key, rollout: ModelRollout, memory: Memory, readings: Mapping[str, Reading], now: datetime
    ) -> Observed:
        """Gather everything outside the resource that the decision may look at."""
        digests, terminal = self._config(key, rollout)
        route = None
        try:
            router = self.router_for(rollout)
            route = router.read(rollout)
            if not _at_rest(rollout):
                await router.learn(rollout)
            router.check(rollout)
        except TerminalError as error:
            terminal = str(error)
        template = rollout.spec.template
        return Observed(
            desired=revision_of(key.namespace, key.name, template, digests),
            image=image_of(template),
            workloads=await self._workloads(key, rollout, memory, now),
            route=route,
            readings=readings,
            caught_up=memory.caught_up or bool(readings),
            gate=self.gates.result(key),
            comparer=self.workloads.comparer(key),
            preview=self.preview(rollout),
            budget_fits=self.budget_fits(rollout),
            request=parse_request(rollout.metadata.annotations.get(REQUEST_ANNOTATION)),
            terminal=memory.terminal(rollout.metadata.generation, now) or terminal,
            aside=memory.left_out(rollout.metadata.generation, now),
        )

    def forget(self, key: Key) -> None:
        """Forget a rollout that is gone."""
        if self.configs is not None:
            self.configs.forget(key)

    def _config(self, key: Key, rollout: ModelRollout) -> tuple[Mapping[str, str], str | None]:
        if not rollout.spec.track_config:
            self.forget(key)
            return {}, None
        if self.configs is None:
            return {}, UNTRACKED
        tracked = self.configs.tracked(key, rollout.spec.template)
        if tracked.missing:
            names = ", ".join(tracked.missing)
            return (
                {},
                f"spec.template names {names}, absent in namespace {key.namespace}; create it or make it optional",
            )
        return tracked.digests, None

    async def _workloads(
        self, key: Key, rollout: ModelRollout, memory: Memory, now: datetime
    ) -> Mapping[str, Workload]:
        found, status = dict(self.workloads.of(key)), rollout.status
        awaited = set() if status.phase in AT_REST else {status.candidate, status.stable, status.target}
        short = {revision for revision, workload in found.items() if workload.ready < workload.desired}
        for revision in memory.troubles.keys() - (short & awaited):
            del memory.troubles[revision]
        for revision in short & awaited:
            found[revision] = await self._with_trouble(rollout, found[revision], memory, now)
        return found

    async def _with_trouble(self, rollout: ModelRollout, workload: Workload, memory: Memory, now: datetime) -> Workload:
        trouble = memory.unready(workload, now)
        if now >= trouble.look_at:
            try:
                trouble.looked(now, *await self.cluster.pod_trouble(rollout, workload.revision))
            except (TransientError, TerminalError) as error:
                # Not knowing why pods are missing is no reason to hold up, say, a rollback.
                trouble.looked(now, trouble.reason, trouble.crash_loop)
                _log.warning("pods of revision %s: %s", workload.revision, error)
        return replace(
            workload, trouble=trouble.reason or workload.trouble, crash_loop=trouble.crash_loop or workload.crash_loop
        )


def _at_rest(rollout: ModelRollout) -> bool:
    status = rollout.status
    return status.phase in AT_REST and status.observed_generation == rollout.metadata.generation
