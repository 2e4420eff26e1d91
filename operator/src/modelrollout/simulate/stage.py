"""What all runs of a scenario share: the rollout as the operator gets it, and the tables of expected traffic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from modelrollout.api.resource import ModelRollout
from modelrollout.api.spec import Spec
from modelrollout.api.status import Phase, Status
from modelrollout.core.observed import Observed, Route, Workload
from modelrollout.core.plan import plan
from modelrollout.core.revision import revision_of
from modelrollout.core.settings import Settings
from modelrollout.core.split import Matched, Split
from modelrollout.core.sticky import by_key, named, weight_of
from modelrollout.core.strategies import stage_at, steps_of
from modelrollout.simulate.scenario import InvalidScenario, NewTemplate, Scenario, Version
from modelrollout.simulate.traffic import PAIRED, Expected, Layout, compared, expected, layout

BEGIN: Final = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""About when templates are applied; a run shifts it by less than a window."""
SIMULATED: Final = ("errors", "latency", "predictions", "inputs", "agreement", "slo")
"""Metrics for which there is synthetic data."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Fixed for all runs."""

    scenario: Scenario
    rollout: ModelRollout
    """At rest on the old version, as the resource is a moment before the new template is applied."""
    settings: Settings
    stable: str
    templates: tuple[tuple[float, str], ...]
    """When each new template is applied, and its revision."""
    tables: dict[str, Expected]
    pairs: Expected | None
    shape: Layout
    left_out: tuple[str, ...]
    """Metrics of the rollout that a scenario has no data for."""
    assumed: tuple[str, ...] = ()
    """What is taken for granted here and is not in a cluster, in sentences."""
    pairs_at_steps: bool = False
    """Whether answers are compared at shadow steps alone, by the rollout's own comparer."""

    @property
    def base(self) -> int:
        """Unix seconds of row 0 of the grid."""
        window = self.scenario.window
        return int(BEGIN.timestamp()) // window * window

    def matched(self, matched: Matched) -> float:
        """Return the share of requests that a match takes: as the scenario says, else as its step expects.

        Of clients by their keys it takes what their weight says: here all send one, and ask for as much.
        """
        if matched.patterns:
            return self._weight(matched) / 100.0
        if self.scenario.matched is not None:
            return self.scenario.matched
        matches = (step.match for step in steps_of(self.rollout.spec) if step.match is not None)
        shares = (
            match.share / 100.0
            for match in matches
            if (tuple(sorted(match.headers.items())), tuple(sorted(match.cookies.items())))
            == (matched.headers, matched.cookies)
        )
        return next(shares, 0.0)

    def weights(self, split: Split) -> dict[str, int]:
        """Return revision to per cent of requests, or of clients where those are weighed by their keys."""
        matched, weights = split.matched, dict(split.weights)
        if matched is None or not matched.patterns:
            return weights
        weight = self._weight(matched)
        return {**{one: share - share * weight // 100 for one, share in weights.items()}, matched.revision: weight}

    def _weight(self, matched: Matched) -> int:
        key = by_key(self.rollout.spec)
        return 0 if key is None else weight_of(key, matched.revision, matched.patterns)


def prepare(rollout: ModelRollout, scenario: Scenario) -> Stage:
    """Set the stage. Raises InvalidScenario when no metric of the rollout can be simulated."""
    spec, left_out = _spec(rollout.spec, scenario)
    names = [metric.name for metric in spec.analysis.metrics]
    shape = layout(scenario, names)
    meta = rollout.metadata
    image = {"metadata": {"annotations": {"simulated": "stable"}}}
    stable = revision_of(meta.namespace, meta.name, {**spec.template, **image})
    events = [event for event in scenario.events if isinstance(event, NewTemplate)]
    versions: list[tuple[float, Version]] = [(0.0, scenario.candidate)]
    versions += [(event.at, event.candidate) for event in sorted(events, key=lambda event: event.at)]
    templates, tables = [], {stable: expected(scenario, scenario.stable, shape, candidate=False)}
    for number, (at, version) in enumerate(versions):
        template: dict[str, Any] = spec.template if number == 0 else {**spec.template, "simulated": number}
        revision = revision_of(meta.namespace, meta.name, template)
        tables[revision] = expected(scenario, version, shape, candidate=True)
        templates.append((at, revision))
    settings = Settings(window=scenario.window)
    resting = ModelRollout(metadata=meta.model_copy(update={"generation": 1}), spec=spec)
    resting = resting.model_copy(update={"status": _at_rest(resting, stable, settings)})
    pairs = compared(scenario) if "agreement" in names else None
    compares = stage_at(spec, None) is not None
    assumed = tuple(_assumed(spec, scenario, names))
    return Stage(
        scenario, resting, settings, stable, tuple(templates), tables, pairs, shape, left_out, assumed, compares
    )


def _assumed(spec: Spec, scenario: Scenario, metrics: Sequence[str]) -> Iterator[str]:
    """Yield what is taken for granted. Raises InvalidScenario for a gate that the rollout does not have."""
    steps = steps_of(spec)
    gates = [step.gate.title for step in steps if step.gate is not None]
    for name in scenario.gates:
        if name not in gates:
            raise InvalidScenario(f"gates.{name}: the rollout has no gate of that name ({', '.join(gates) or 'none'})")
    silent = [name for name in dict.fromkeys(gates) if name not in scenario.gates]
    if silent:
        yield f"gates that the scenario says nothing of pass at once: {', '.join(silent)}"
    if "agreement" in metrics and stage_at(spec, None) is None:
        yield f"no step compares answers: something else compares {PAIRED:.0%} of all requests"
    if any(step.shadow is not None and not step.shadow.comparer.enabled for step in steps):
        yield "copies that no comparer looks at are counted by nobody but the pods (predictions, inputs)"
    if scenario.matched is None:
        shares = [f"{step.match.share}%" for step in steps if step.match is not None]
        if shares:
            yield f"as many requests match as the steps expect: {', '.join(shares)}"
    key = by_key(spec)
    if key is not None:
        yield f"every client sends {named(key)} with an evenly spread ending, and as many requests as any other"
    if spec.strategy.schedule is not None:
        yield f"the new template is applied at about {BEGIN:%A, %H:%M} UTC"


def _spec(spec: Spec, scenario: Scenario) -> tuple[Spec, tuple[str, ...]]:
    """Return the spec with the scenario's number of pods, and without metrics that nothing stands for here."""
    whole = [metric.model_copy(update={"slices": None}) for metric in spec.analysis.metrics]
    kept = [metric for metric in whole if metric.name in SIMULATED]
    left_out = tuple(metric.name for metric in spec.analysis.metrics if metric.name not in SIMULATED)
    if not kept:
        raise InvalidScenario(
            f"analysis.metrics: a scenario has no data for {', '.join(left_out)}; add one of {', '.join(SIMULATED)}"
        )
    replicas = scenario.stable.pods or spec.replicas
    if replicas < 1:
        raise InvalidScenario("stable.pods: the rollout has replicas: 0; give stable.pods, for instance 4")
    analysis = spec.analysis.model_copy(update={"metrics": kept})
    return spec.model_copy(update={"replicas": replicas, "analysis": analysis}), left_out


def _at_rest(rollout: ModelRollout, stable: str, settings: Settings) -> Status:
    """Let the operator bring up the old version, a day earlier."""
    replicas = rollout.spec.replicas
    observed = Observed(
        desired=stable,
        workloads={stable: Workload(stable, replicas, replicas, replicas)},
        route=Route(Split({stable: 100}), current=True, accepted=True),
    )
    now = BEGIN - timedelta(days=1)
    for _ in range(10):
        status = plan(rollout, observed, now, settings).status
        rollout = rollout.model_copy(update={"status": status})
        now += timedelta(minutes=2)
    assert rollout.status.phase is Phase.PROMOTED  # noqa: S101 - the operator's own promise
    return rollout.status
