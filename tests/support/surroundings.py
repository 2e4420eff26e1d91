"""What stands around the operator in a small world: pods on nodes, a gateway with its clients, gates' checks."""

import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from modelrollout.api.status import GateState
from modelrollout.core.actions import OpenGate
from modelrollout.core.evidence.windows import Reading, Series
from modelrollout.core.observed import ComparerState, GateResult
from modelrollout.core.split import COMPARER, Split
from tests.support.clients import pairs, population, taken

CLIENTS = pairs(
    [
        *(
            {"x-user-id": user, "cookie": f"theme=dark; uid={number}"}
            for user, number in zip(population(300, "Hex"), population(300, "Decimal"), strict=True)
        ),
        *({"cookie": f"theme={theme}"} for theme in ("dark", "light", "00", "50")),
        {},
        {"x-user-id": "me", "cookie": "uid="},
    ]
)
"""What each of the clients sends with every request; all ask for as much."""
KEYLESS = frozenset(range(300, len(CLIENTS)))
"""The places of those that send no key that could be told from another."""
BOUNDS = (0.01, 0.02, 0.025, 0.03125, 0.04, 0.08, float("inf"))
Key = tuple[str, str, str, bool]
"""Who counts, the revision, what (`code`, `le0`, ..., `pair`), and whether it is bad."""


@dataclass
class Model:
    """How a revision answers."""

    error_rate: float = 0.001
    slow: float = 1.0
    """Factor on its latency."""
    starts: bool = True
    disagrees: float = 0.001
    """Share of questions that it answers unlike stable."""


@dataclass
class Pods:
    """A Deployment: when each of its pods got a place on a node, None for one that has none."""

    placed: list[datetime | None] = field(default_factory=list)
    made: datetime | None = None

    @property
    def desired(self) -> int:
        """Pods asked for."""
        return len(self.placed)

    @property
    def since(self) -> datetime | None:
        """When the youngest of its pods was placed."""
        return max((at for at in self.placed if at is not None), default=None)

    def scale(self, replicas: int, now: datetime) -> None:
        """Ask for other pods; those without a place go first, then the youngest."""
        self.made = self.made or now
        waiting = [at for at in self.placed if at is None]
        running = sorted(at for at in self.placed if at is not None)
        kept: list[datetime | None] = [*running, *waiting]
        self.placed = kept[:replicas] + [None] * (replicas - len(kept))

    def place(self, slots: int, now: datetime) -> None:
        """Give pods without a place one, as far as there are any."""
        for index, at in enumerate(self.placed):
            if at is None and slots > 0:
                self.placed[index], slots = now, slots - 1

    def running(self) -> int:
        """Return the pods that have a place."""
        return sum(at is not None for at in self.placed)

    def ready(self, now: datetime, start: float) -> int:
        """Return the pods that have had a place for long enough."""
        return sum(at is not None and now - at >= timedelta(seconds=start) for at in self.placed)


@dataclass
class ComparerPod:
    """The comparer."""

    stable: str
    candidate: str
    settings: str
    since: datetime
    up: bool = True


@dataclass
class Checks:
    """The checks of gates, as the cluster and the hooks hold them; `plan` says for each title what comes of it."""

    plan: dict[str, str] = field(default_factory=dict)
    """By title: pass, fail, error (asked again and again), slow (never ends) or flaky (errors first, then passes)."""
    begun: dict[str, datetime] = field(default_factory=dict)
    opened: list[OpenGate] = field(default_factory=list)
    known: OpenGate | None = None
    """What the operator looks after."""

    def open(self, gate: OpenGate, now: datetime) -> None:
        """Begin a check, or look after one that was begun."""
        if gate.id not in self.begun:
            self.opened.append(gate)
        self.begun.setdefault(gate.id, now)
        self.known = gate

    def close(self, ident: str) -> None:
        """Stop looking after a check."""
        if self.known is not None and self.known.id == ident:
            self.known = None

    def result(self, now: datetime) -> GateResult | None:
        """Return how far the check is."""
        if self.known is None:
            return None
        ident, age = self.known.id, now - self.begun[self.known.id]
        outcome = self.plan.get(self.known.gate.title, "pass")
        early = age < timedelta(seconds=3)
        if outcome == "error" or (outcome == "flaky" and early):
            return GateResult(ident, GateState.ERROR, "connection refused")
        if outcome == "slow" or early:
            return GateResult(ident, GateState.RUNNING, "20 of 100 rows")
        if outcome == "fail":
            return GateResult(ident, GateState.FAILED, "accuracy fell from 0.91 to 0.80", {"accuracy": 0.8})
        return GateResult(ident, GateState.PASSED, "no worse on the holdout set", {"accuracy": 0.92})


@dataclass
class Tally:
    """Requests of a revision that somebody counted: how many were good and bad, and by the bucket of their latency."""

    good: int = 0
    bad: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))


@dataclass
class Gateway:
    """Serves clients by the split that it has applied, and counts."""

    random: random.Random
    serving: Split = field(default_factory=Split)
    matching: float = 0.1
    """Share of requests that carry what a match asks for."""
    keyed: float = 1.0
    """Share of requests that come from one of CLIENTS; all others send no key."""
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    """By who counts and revision."""
    pairs: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """Pairs of answers by candidate, and whether they disagree."""
    answered: Counter[str] = field(default_factory=Counter)
    """Requests of users by the revision that answered."""
    lost: int = 0
    """Copies sent to a comparer that was not ready."""

    def serve(self, requests: float, models: dict[str, Model], ready: dict[str, int], *, comparer: bool) -> None:
        """Let a second's requests come."""
        split, unmatched = self.serving, requests
        if split.matched is not None:
            clients = len(taken(split.matched, CLIENTS)) / len(CLIENTS)
            share = self.keyed * clients if split.matched.patterns else self.matching
            unmatched = requests * (1.0 - share)
            self._serve(split.matched.revision, requests * share, models, ready, comparer=comparer)
        for revision, weight in split.weights.items():
            self._serve(revision, unmatched * weight / 100.0, models, ready, comparer=comparer)

    def _serve(
        self, revision: str, requests: float, models: dict[str, Model], ready: dict[str, int], *, comparer: bool
    ) -> None:
        mirror, coming = self.serving.mirror, self._about(requests)
        self.answered[revision] += coming
        if mirror is None:
            self._count("gateway", revision, models, ready, coming)
            return
        for _ in range(coming):
            self._count("gateway", revision, models, ready)
            if self.random.random() * 100.0 < mirror.percent:
                self.lost += mirror.to == COMPARER and not comparer
                if comparer:
                    self._pair(models, ready)

    pair: tuple[str, str] = ("", "")
    """What the comparer compares."""

    def _pair(self, models: dict[str, Model], ready: dict[str, int]) -> None:
        for revision in self.pair:
            self._count("comparer", revision, models, ready)
        bad = self.random.random() < models.get(self.pair[1], Model()).disagrees
        self.pairs[self.pair[1], bad] += 1

    def _count(
        self, who: str, revision: str, models: dict[str, Model], ready: dict[str, int], requests: int = 1
    ) -> None:
        """Count requests; most of a simulated second is spent here, so whole seconds are counted in one loop."""
        if not requests:
            return
        model, down = models.get(revision, Model()), ready.get(revision, 0) == 0
        tally = self.tallies.setdefault((who, revision), Tally())
        draw, latency, rate, slow = self.random.random, self.random.lognormvariate, model.error_rate, model.slow
        bad, buckets = 0, tally.buckets
        for _ in range(requests):
            bad += draw() < rate or down
            buckets[bisect_left(BOUNDS, latency(-4.0, 0.3) * slow)] += 1
        tally.bad += bad
        tally.good += requests - bad

    def counters(self) -> dict[Key, int]:
        """Return what Prometheus would scrape now; codes that never were are not there."""
        scraped: dict[Key, int] = {}
        for (who, revision), tally in self.tallies.items():
            scraped |= {(who, revision, "code", bad): n for bad, n in ((False, tally.good), (True, tally.bad)) if n}
            up_to = accumulate(tally.buckets)
            scraped |= {(who, revision, f"le{k}", False): n for k, n in enumerate(up_to)}
        return scraped | {("comparer", revision, "pair", bad): n for (revision, bad), n in self.pairs.items()}

    def _about(self, mean: float) -> int:
        whole, part = divmod(mean, 1.0)
        return int(whole) + (self.random.random() < part)


def reading(
    name: str, who: str, sides: tuple[str, str], history: dict[int, dict[Key, int]], instants: tuple[int, ...]
) -> Reading:
    """Return what Prometheus answers about a metric of stable and candidate."""
    kind = {"errors": "code", "slo": "code", "agreement": "pair"}.get(name, "le")

    def side(revision: str) -> tuple[Series, ...]:
        keys = {key for t in instants for key in history[t] if key[:2] == (who, revision) and key[2].startswith(kind)}
        return tuple(
            Series(
                bad=key[3],
                le=BOUNDS[int(key[2][2:])] if kind == "le" else None,
                source=who,
                values=tuple(history[t].get(key) for t in instants),
            )
            for key in sorted(keys)
        )

    return Reading(instants=instants, stable=side(sides[0]), candidate=side(sides[1]))


def state_of(pod: ComparerPod | None, now: datetime, start: float) -> ComparerState | None:
    """Return what is seen of the comparer."""
    if pod is None:
        return None
    ready = pod.up and now - pod.since >= timedelta(seconds=start)
    return ComparerState(pod.stable, pod.candidate, pod.settings, ready)
