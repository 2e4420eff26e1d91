"""The parts of a leading operator, put together."""

import asyncio
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from modelrollout.adapters.gates import GateKeeper
from modelrollout.adapters.kubernetes.budget import budget_fits
from modelrollout.adapters.kubernetes.cache import Routes, Workloads
from modelrollout.adapters.kubernetes.client import Api
from modelrollout.adapters.kubernetes.cluster import KubernetesCluster
from modelrollout.adapters.kubernetes.comparer import Shape
from modelrollout.adapters.kubernetes.configs import Configs
from modelrollout.adapters.kubernetes.own_image import OwnImage
from modelrollout.adapters.kubernetes.preview import preview_of
from modelrollout.adapters.kubernetes.resources import BUDGETS, CONFIG_MAPS, DEPLOYMENTS, SECRETS, SERVICES
from modelrollout.adapters.kubernetes.watch import Reflector
from modelrollout.adapters.notify import Notices, Silent, installed
from modelrollout.adapters.routers import Routers
from modelrollout.api.base import NAME_LABEL, REVISION_LABEL
from modelrollout.ports import Clock, Key, Metrics
from modelrollout.runtime.collector import Collector
from modelrollout.runtime.health import Health
from modelrollout.runtime.lease import Lease
from modelrollout.runtime.memory import Memories
from modelrollout.runtime.metrics import OperatorMetrics
from modelrollout.runtime.observe import Observer
from modelrollout.runtime.options import Options
from modelrollout.runtime.queue import DelayQueue
from modelrollout.runtime.reconcile import Reconciler
from modelrollout.runtime.rollouts import RolloutWatch
from modelrollout.runtime.scopes import reflectors
from modelrollout.runtime.store import RolloutStore
from modelrollout.runtime.workers import work


@dataclass
class Shell:
    """Everything between the API server and `plan`; made for one term of leadership."""

    options: Options
    api: Api
    provider: Metrics
    clock: Clock
    health: Health
    metrics: OperatorMetrics
    lease: Lease | None
    queue: DelayQueue[Key] = field(default_factory=DelayQueue)
    store: RolloutStore = field(default_factory=RolloutStore)

    def __post_init__(self) -> None:
        options = self.options
        self._opened: dict[str, float] = {}
        self.api.count = self._counted
        workloads, routes = Workloads(self._changed), Routes(self._changed)
        configs = Configs(self._changed) if options.track_config else None
        routers = Routers(self.api, routes, options.routers)
        self.gates = GateKeeper(self.api, self._changed, allow=options.gate_allow)
        self.notices = _notices(options, self.metrics)
        # A pod's host name is its own.
        image = OwnImage(self.api, options.lease_namespace, socket.gethostname(), options.comparer_image)
        shape = Shape(pull_secrets=options.pull_secrets)
        cluster = KubernetesCluster(self.api, workloads, routes, image, shape)
        window = options.settings.window
        # A scrape takes its time: what was seen before the window's end must be in store when we ask.
        lag = min(1.5, max(0.3, 0.1 * window))
        self.collector = Collector(self.provider, self.clock, window=window, enqueue=self.queue.add, lag=lag)
        self.reconciler = Reconciler(
            store=self.store,
            observer=Observer(
                workloads, preview_of(routes), budget_fits(routes), configs, routers.router_for, cluster, self.gates
            ),
            cluster=cluster,
            router_for=routers.router_for,
            gates=self.gates,
            notifier=self.notices or Silent(),
            collector=self.collector,
            clock=self.clock,
            settings=options.settings,
            metrics=self.metrics,
            memories=Memories(),
            may_write=lambda: self.lease is None or self.lease.held,
            leave=routers.leave,
        )
        self.reflectors: dict[str, Reflector] = {}
        self._reflect(workloads, routes, configs, routers)
        self.rollouts = RolloutWatch(self.api, self.store, options.namespaces, changed=self.queue.add, gone=self._gone)
        self.health.queue = self.queue.due
        self.health.watches = self._heard
        self.health.unsynced = self._unsynced
        self.metrics.observe(
            self.store,
            queue=self.queue.due,
            leads=lambda: self.health.leading,
            active=lambda: self.collector.active,
        )

    def watches(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what has to run for the caches, by name."""
        return {f"watch of {name}": reflector.run() for name, reflector in self.reflectors.items()}

    def helpers(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs beside the workers, by name."""
        notices = {"notices": self.notices.run()} if self.notices else {}
        return {"collector": self.collector.run(), "gates": self.gates.run(), **notices}

    async def synced(self) -> None:
        """Wait until the caches that a plan needs are complete; a plan on half a cache would undo things."""
        for reflector in self.reflectors.values():
            await reflector.synced.wait()

    def crew(self) -> list[Coroutine[Any, Any, None]]:
        """Return the workers."""
        return [work(self.queue, self.reconciler, self.health, self.metrics) for _ in range(self.options.workers)]

    def _reflect(self, workloads: Workloads, routes: Routes, configs: Configs | None, routers: Routers) -> None:
        spaces = self.options.namespaces
        self.reflectors |= reflectors(self.api, DEPLOYMENTS, workloads, spaces, NAME_LABEL)
        for resource in dict.fromkeys((*routers.resources, SERVICES, BUDGETS)):
            # Each revision has a Service too, of which nobody needs to know more than that it was written.
            selector = f"{NAME_LABEL},!{REVISION_LABEL}" if resource == SERVICES else NAME_LABEL
            self.reflectors |= reflectors(self.api, resource, routes.sink(resource), spaces, selector)
        if configs is not None:
            self.reflectors |= reflectors(self.api, CONFIG_MAPS, configs.sink("configmap"), spaces)
            self.reflectors |= reflectors(self.api, SECRETS, configs.sink("secret"), spaces)

    def _changed(self, key: Key) -> None:
        """Look at a rollout of which an object changed; objects of no rollout are nobody's business."""
        if key in self.store:
            self.queue.add(key)

    def _gone(self, key: Key) -> None:
        self.queue.forget(key)
        self.reconciler.forget(key)
        # Once more, to leave nothing behind in objects of others.
        self.queue.add(key)

    def _heard(self) -> Mapping[str, float]:
        """Return when each watch was last heard; one that is opened anew lives, though nothing ever changes there."""
        heard = {
            name: max(reflector.last_activity, self._opened.get(name.partition(" ")[0], 0.0))
            for name, reflector in self.reflectors.items()
        }
        return {**heard, **self.rollouts.heard}

    def _counted(self, verb: str, plural: str, code: int) -> None:
        self.metrics.counts_request(verb, plural, code)
        if verb == "watch" and code == HTTPStatus.OK:
            self._opened[plural] = asyncio.get_running_loop().time()

    def _unsynced(self) -> list[str]:
        missing = [name for name, reflector in self.reflectors.items() if not reflector.synced.is_set()]
        return missing if self.rollouts.synced else [*missing, "modelrollouts"]


def _notices(options: Options, metrics: OperatorMetrics) -> Notices | None:
    """Return who tells people of moves; None where nobody wants to know."""
    listeners = installed()
    if options.notify_url is not None:
        # With its first use: most operators tell nobody, and httpx is large.
        from modelrollout.adapters.notify.webhook import sender  # noqa: PLC0415

        listeners["webhook"] = sender(options.notify_url, options.notify_token_file)
    return Notices(listeners, metrics.counts_notification) if listeners else None
