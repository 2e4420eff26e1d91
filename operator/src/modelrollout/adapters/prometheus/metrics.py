"""The port `Metrics` over Prometheus: one range query a metric and batch of rollouts.

Raw counters are asked for at aligned instants, never rates or sums: a rate extrapolates, and a sum hides the birth
and the reset of its parts. At an instant Prometheus returns the newest sample of the last five minutes; a series
whose target is gone, or failed to be scraped, ends at once (Prometheus marks it stale). So a value may be one scrape
interval old; what it lacks is counted in the next window, nothing twice.
"""

import asyncio
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.answers import Garbage
from modelrollout.adapters.prometheus.client import QueryError
from modelrollout.adapters.prometheus.custom import QueryTextError, read_own
from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.adapters.prometheus.presets import PresetError, Presets, Shape
from modelrollout.adapters.prometheus.queries import Ask, RangeQuery, plan_past, plan_queries
from modelrollout.adapters.prometheus.readings import read_answer
from modelrollout.adapters.prometheus.servers import NotAllowed, Servers
from modelrollout.adapters.prometheus.signals import Signal, metric_of, signal_of
from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Past, Reading
from modelrollout.ports import Key

THREADS: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A query, or two of one metric, and what carries it out by a deadline."""

    keys: tuple[Key, ...]
    metric: Signal | str
    run: Callable[[float], Mapping[Key, Reading]]
    past: bool = False


Answers = Mapping[tuple[Key, Signal | str], Reading]


def _uncounted(result: str) -> None:
    """Count nothing."""


class PrometheusMetrics:
    """Reads counters of active rollouts; implements ports.Metrics.

    `url` and `access` are the operator's own Prometheus and how to log in to it; `allow` lists the URLs of others
    that a rollout may name. `window` is the length of a window in seconds. `count` is told the result of each query:
    success, timeout, unreachable, refused, failed or garbage; it is called from other threads. Raises ValueError for
    a bad URL.
    """

    def __init__(  # noqa: PLR0913
        self,
        url: str,
        *,
        window: int,
        count: Callable[[str], None] = _uncounted,
        presets: Presets | None = None,
        timeout: float = 5.0,
        access: Access | None = None,
        allow: Sequence[str] = (),
    ) -> None:
        self._window = window
        self._presets = presets or Presets.installed()
        self._servers = Servers(url, timeout=timeout, access=access or Access(), allow=allow, count=count)
        self._patience = max(timeout, float(window))
        """Seconds for all queries of a window together: the next window must not wait for this one."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")
        self._forms: dict[tuple[int, Subject], tuple[re.Pattern[str], ...]] = {}

    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        """Read every metric of every rollout up to `until`; see ports.Metrics. Never raises."""
        readings: dict[Key, dict[str, Reading]] = {key: {} for key in watches}
        wanted: dict[Key, dict[str, Signal | str]] = {key: {} for key in watches}
        for key, (rollout, watch) in watches.items():
            for name in watch.metrics:
                readings[key][name] = Reading()
                try:
                    self._servers.of(rollout.spec.analysis.prometheus)
                    wanted[key][name] = self._wanted(rollout, name, watch.presets.get(name))
                except (PresetError, NotAllowed) as error:
                    readings[key][name] = Reading(error=str(error))
        self._forget_but({subject for key, (_, watch) in watches.items() for subject in _ask(key, watch).subjects})
        now, before = await self._all([*self._built_in(watches, wanted, until), *self._own(watches, wanted, until)])
        for key, names in wanted.items():
            for name, metric in names.items():
                past = before.get((key, metric)) if name in watches[key][1].past else None
                readings[key][name] = _with_past(now.get((key, metric), Reading()), past)
        return readings

    def close(self) -> None:
        """Close connections, without waiting for answers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._servers.close()

    def _wanted(self, rollout: ModelRollout, name: str, preset: str | None) -> Signal | str:
        metric = metric_of(rollout.spec.analysis, name)
        return name if metric is not None and metric.query else signal_of(self._presets, rollout.spec, name, preset)

    def _built_in(
        self,
        watches: Mapping[Key, tuple[ModelRollout, Watch]],
        wanted: Mapping[Key, Mapping[str, Signal | str]],
        until: int,
    ) -> Iterable[Job]:
        """Plan the queries of all rollouts about metrics of presets."""
        now: dict[Signal, dict[Key, Ask]] = defaultdict(dict)
        past: dict[Signal, dict[Key, Ask]] = defaultdict(dict)
        for key, names in wanted.items():
            for name, signal in names.items():
                if isinstance(signal, Signal):
                    ask = _ask(key, watches[key][1])
                    now[signal][key] = ask if signal.source.compared else replace(ask, stable=None)
                    if name in watches[key][1].past and signal.source.compared:
                        past[signal][key] = ask
        for signal, asks in now.items():
            for query in plan_queries(asks.values(), until, self._window, signal.source.heft):
                yield self._job(signal, query)
        for signal, asks in past.items():
            for query in plan_past(asks.values(), self._window, signal.source.heft):
                yield self._job(signal, query, past=True)

    def _job(self, signal: Signal, query: RangeQuery, *, past: bool = False) -> Job:
        return Job(tuple(ask.key for ask in query.asks), signal, partial(self._carry_out, signal, query, past), past)

    def _own(
        self,
        watches: Mapping[Key, tuple[ModelRollout, Watch]],
        wanted: Mapping[Key, Mapping[str, Signal | str]],
        until: int,
    ) -> Iterable[Job]:
        """Plan the queries that users wrote: one each, or one a side."""
        for key, names in wanted.items():
            rollout, watch = watches[key]
            for query in plan_queries([_ask(key, watch)], until, self._window):
                for name, metric in names.items():
                    if isinstance(metric, str):
                        yield Job((key,), name, partial(self._ask_own, rollout, name, query))

    async def _all(self, jobs: list[Job]) -> tuple[Answers, Answers]:
        """Carry out queries in the pool; a thread that hangs past all time limits costs its own query only.

        Returns the answers about the windows and those about the past.
        """
        deadline = time.monotonic() + self._patience
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._pool, job.run, deadline) for job in jobs]
        if futures:
            await asyncio.wait(futures, timeout=self._patience + 1.0)
        answers: tuple[dict[tuple[Key, Signal | str], Reading], ...] = ({}, {})
        for job, future in zip(jobs, futures, strict=True):
            if future.done():
                found = future.result()
            else:
                future.cancel()
                found = _failed(job.keys, f"Prometheus at {self._servers.shown}: no answer in time")
            answers[job.past].update({(key, job.metric): reading for key, reading in found.items()})
        return answers[False], answers[True]

    def _carry_out(self, signal: Signal, query: RangeQuery, past: bool, deadline: float) -> Mapping[Key, Reading]:
        keys = [ask.key for ask in query.asks]
        try:
            client = self._servers.of(signal.url)
            text = query.text(signal.source, signal.preset.shapes, signal.conditions)
            entries = client.query_range(text, query.start, query.end, query.step, deadline=deadline)
            found = read_answer(query, entries, signal, self._forms_of)
            return {key: Reading() if past and found[key].error else found[key] for key in keys}
        except QueryError as error:
            # A past that will never be answered must not stop the present.
            lost = past and error.result in ("failed", "garbage") and not error.retry
            return dict.fromkeys(keys, Reading()) if lost else _failed(keys, str(error))
        except Garbage as error:
            return _failed(keys, f"Prometheus at {client.shown} returned {error}")
        except Exception as error:
            _log.exception("reading %s for preset %s", signal.source.series, signal.name)
            return _failed(keys, f"internal error: {type(error).__name__}")

    def _ask_own(self, rollout: ModelRollout, name: str, query: RangeQuery, deadline: float) -> Mapping[Key, Reading]:
        (ask,) = query.asks
        try:
            metric, client = metric_of(rollout.spec.analysis, name), self._servers.of(rollout.spec.analysis.prometheus)
            return {ask.key: read_own(client, metric, query, deadline)} if metric is not None else {}
        except (QueryError, QueryTextError) as error:
            return _failed([ask.key], str(error))
        except Garbage as error:
            return _failed([ask.key], f"spec.analysis.metrics: the query of {name!r} returned {error}")
        except Exception as error:
            _log.exception("asking the query of %s", name)
            return _failed([ask.key], f"internal error: {type(error).__name__}")

    def _forms_of(self, shape: Shape, subject: Subject) -> tuple[re.Pattern[str], ...]:
        forms = self._forms.get((id(shape), subject))
        if forms is None:
            forms = tuple(re.compile(pattern.of(subject)) for pattern in shape.values())
            self._forms[id(shape), subject] = forms
        return forms

    def _forget_but(self, active: set[Subject]) -> None:
        self._forms = {key: forms for key, forms in self._forms.items() if key[1] in active}


def _ask(key: Key, watch: Watch) -> Ask:
    stable, candidate = (Subject(key.namespace, key.name, revision) for revision in (watch.stable, watch.candidate))
    return Ask(key, watch.since, stable, candidate)


def _with_past(reading: Reading, past: Reading | None) -> Reading:
    """Join the past to a reading; a past that did not come makes it an error, so that it is asked for again."""
    if past is None or reading.error is not None:
        return reading
    if past.error is not None:
        return Reading(error=past.error)
    return replace(reading, past=Past(past.instants, past.stable))


def _failed(keys: Iterable[Key], fault: str) -> dict[Key, Reading]:
    return {key: Reading(error=fault) for key in keys}
