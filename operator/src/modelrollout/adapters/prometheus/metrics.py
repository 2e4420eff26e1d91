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
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from modelrollout.adapters.prometheus.answers import Garbage
from modelrollout.adapters.prometheus.client import PrometheusClient, QueryError
from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.adapters.prometheus.presets import Errors, Latency, Preset, PresetError, Presets
from modelrollout.adapters.prometheus.queries import Ask, RangeQuery, plan_queries
from modelrollout.adapters.prometheus.readings import read_answer
from modelrollout.api.resource import ModelRollout
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Key

THREADS: Final = 2

Job = tuple[str, RangeQuery, Callable[[float], Mapping[Key, Reading]]]
"""Metric, query, and what carries it out by a deadline."""

_log = logging.getLogger(__name__)


def _uncounted(result: str) -> None:
    """Count nothing."""


class PrometheusMetrics:
    """Reads request counters of active rollouts; implements ports.Metrics.

    `window` is the length of a window in seconds. `count` is told the result of each query: success, timeout,
    unreachable, refused, failed or garbage; it is called from other threads. Raises ValueError for a bad URL.
    """

    def __init__(  # noqa: PLR0913
        self,
        url: str,
        *,
        window: int,
        count: Callable[[str], None] = _uncounted,
        presets: Presets | None = None,
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        token_file: Path | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._window = window
        self._presets = presets or Presets.installed()
        self._client = PrometheusClient(
            url, timeout=timeout, headers=headers, token_file=token_file, ca_file=ca_file, count=count
        )
        self._patience = max(timeout, float(window))
        """Seconds for all queries of a window together: the next window must not wait for this one."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")
        self._forms: dict[tuple[str, Subject], tuple[re.Pattern[str], ...]] = {}

    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        """Read every metric of every rollout up to `until`; see ports.Metrics. Never raises."""
        readings: dict[Key, dict[str, Reading]] = {key: {} for key in watches}
        groups: dict[tuple[str, str], list[Ask]] = defaultdict(list)
        for key, (rollout, watch) in watches.items():
            for metric in watch.metrics:
                readings[key][metric] = Reading()
                groups[rollout.spec.analysis.preset, metric].append(_ask(key, watch))
        self._forget_but({one for asks in groups.values() for ask in asks for one in (ask.stable, ask.candidate)})
        jobs: list[Job] = []
        for (name, metric), asks in groups.items():
            try:
                preset = self._presets[name]
                source = preset.source_of(metric)
            except PresetError as error:
                for ask in asks:
                    readings[ask.key][metric] = Reading(error=str(error))
                continue
            for query in plan_queries(asks, until, self._window, source.heft):
                jobs.append((metric, query, partial(self._carry_out, preset, source, query)))
        for (metric, _, _), answer in zip(jobs, await self._all(jobs), strict=True):
            for key, reading in answer.items():
                readings[key][metric] = reading
        return readings

    def close(self) -> None:
        """Close connections, without waiting for answers."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _all(self, jobs: list[Job]) -> list[Mapping[Key, Reading]]:
        """Carry out queries in the pool; a thread that hangs past all time limits costs its own query only."""
        deadline = time.monotonic() + self._patience
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._pool, job, deadline) for _, _, job in jobs]
        if futures:
            await asyncio.wait(futures, timeout=self._patience + 1.0)
        answers: list[Mapping[Key, Reading]] = []
        for (_, query, _), future in zip(jobs, futures, strict=True):
            if future.done():
                answers.append(future.result())
            else:
                future.cancel()
                answers.append(_failed(query.asks, f"Prometheus at {self._client.shown}: no answer in time"))
        return answers

    def _carry_out(
        self, preset: Preset, source: Errors | Latency, query: RangeQuery, deadline: float
    ) -> Mapping[Key, Reading]:
        try:
            text = query.text(source, preset.patterns)
            entries = self._client.query_range(text, query.start, query.end, query.step, deadline=deadline)
            return read_answer(query, entries, preset, source, self._forms_of)
        except QueryError as error:
            return _failed(query.asks, str(error))
        except Garbage as error:
            return _failed(query.asks, f"Prometheus at {self._client.shown} returned {error}")
        except Exception as error:
            _log.exception("reading %s for preset %s", source.series, preset.name)
            return _failed(query.asks, f"internal error: {type(error).__name__}")

    def _forms_of(self, preset: Preset, subject: Subject) -> tuple[re.Pattern[str], ...]:
        forms = self._forms.get((preset.name, subject))
        if forms is None:
            forms = tuple(re.compile(pattern.of(subject)) for pattern in preset.patterns.values())
            self._forms[preset.name, subject] = forms
        return forms

    def _forget_but(self, active: set[Subject]) -> None:
        self._forms = {key: forms for key, forms in self._forms.items() if key[1] in active}


def _ask(key: Key, watch: Watch) -> Ask:
    stable, candidate = (Subject(key.namespace, key.name, revision) for revision in (watch.stable, watch.candidate))
    return Ask(key, watch.since, stable, candidate)


def _failed(asks: Iterable[Ask], fault: str) -> dict[Key, Reading]:
    return {ask.key: Reading(error=fault) for ask in asks}
