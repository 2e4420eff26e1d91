"""`report`: what a shadow ended with, or what it has found so far."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelrollout.api.status import Move, Phase, VerdictKind
from modelrollout.api.units import format_duration
from modelrollout.cli import evidence, show, words
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.explain import verdict_data
from modelrollout.cli.options import Output, Where
from modelrollout.cli.view import View, view_of
from modelrollout.core.evidence import guard


def run(where: Where, name: str, *, output: Output | None) -> ExitCode:
    """Report; returns the exit code that the shadow's health deserves."""
    cluster = Cluster.connect(where)
    view = view_of(cluster.rollout(name), cluster.deployments(name), show.now())
    fault = nothing(view)
    if fault is not None:
        raise CliError(ExitCode.USAGE, f"ModelRollout {view.title}: {fault}")
    if output is not None:
        show.emit_data(data(view), output)
    else:
        show.emit(render(view))
    return ExitCode.OK if view.healthy else ExitCode.UNHEALTHY


def nothing(view: View) -> str | None:
    """Say why there is nothing to report of, if so."""
    shadows = any(step.shadow is not None for step in view.steps)
    over = view.status.phase in (Phase.REPORTED, Phase.ROLLED_BACK)
    if view.status.phase is Phase.REPORTED or (shadows and (over or view.active)):
        return None
    if not shadows:
        return "nothing to report: its strategy has no shadow step; explain and history tell of other rollouts"
    return f"nothing to report: no shadow is in progress or just over, it is {view.status.phase.value}; see history"


def render(view: View) -> RenderableType:
    """Return the report for people."""
    parts: list[RenderableType] = [Text(_headline(view), "bold")]
    for role, revision in _revisions(view):
        parts.append(Text(f"  {role:<10} {revision or show.NOTHING}  {view.image(revision) or ''}".rstrip()))
    if view.status.verdicts:
        table = show.columns("METRIC", "VERDICT", "BAD OF CANDIDATE", "BAD OF STABLE", "DIFFERENCE", "TOLERATED")
        for verdict in view.status.verdicts:
            alone = verdict.name in (guard.NAME, "agreement")
            allowed = evidence.tolerated(verdict.name, view.spec.analysis) if view.spec else None
            table.add_row(
                verdict.name,
                show.word(verdict.verdict.value),
                evidence.rate(verdict.candidate),
                show.NOTHING if alone else evidence.rate(verdict.stable),
                verdict.effect or show.NOTHING,
                allowed or show.NOTHING,
            )
        parts += [Text(), table, Text()]
        parts += [Text(f"  {verdict.name}: {verdict.message}") for verdict in view.status.verdicts]
    else:
        parts += [Text(), Text("nothing was measured")]
    if (gate := words.gate(view)) is not None:
        parts += [Text(), Text(f"  gate {words.gate_line(gate, view.now)}")]
    return Group(*parts, Text(), *(Text(line) for line in _conclusion(view)))


def data(view: View) -> dict[str, Any]:
    """Return the report for programs."""
    started, ended = _move(view, "Started"), _ended(view)
    candidate = dict(_revisions(view))["candidate"]
    gate = words.gate(view)
    agreement = next((v for v in view.status.verdicts if v.name == "agreement"), None)
    pairs = agreement.candidate.requests if agreement else 0
    return {
        "namespace": view.namespace,
        "name": view.name,
        "phase": view.status.phase.value,
        "over": ended is not None,
        "passed": passed(view),
        "started": started.at.isoformat() if started else None,
        "ended": ended.at.isoformat() if ended else None,
        "message": ended.message if ended else view.status.message,
        "stable": {"revision": view.status.stable, "image": view.image(view.status.stable)},
        "candidate": {"revision": candidate, "image": view.image(candidate)},
        "agreement": 1.0 - agreement.candidate.bad / pairs if agreement and pairs else None,
        "pairs": pairs,
        "verdicts": [verdict_data(verdict, view) for verdict in view.status.verdicts],
        "gate": gate.model_dump(mode="json", by_alias=True, exclude_none=True) if gate else None,
    }


def passed(view: View) -> bool:
    """Say whether the shadow showed what it was to show."""
    kinds = [verdict.verdict for verdict in view.status.verdicts]
    return view.healthy and bool(kinds) and all(kind is VerdictKind.PASS for kind in kinds)


def _headline(view: View) -> str:
    started, ended = _move(view, "Started"), _ended(view)
    lasted = f" after {format_duration((ended.at if ended else view.now) - started.at)}" if started else ""
    if ended is None:
        return f"{view.title}: in progress{lasted.replace(' after', ' for')}; what follows is not final"
    what = "the shadow is over, nothing was promoted" if view.status.phase is Phase.REPORTED else "rolled back"
    return f"{view.title}: {what}{lasted}, {show.ago(ended.at, view.now)} ago"


def _revisions(view: View) -> tuple[tuple[str, str | None], ...]:
    return ("stable", view.status.stable), ("candidate", view.status.candidate or view.status.target)


def _move(view: View, kind: str) -> Move | None:
    return next((move for move in reversed(view.status.history) if move.move == kind), None)


def _ended(view: View) -> Move | None:
    if view.active:
        return None
    last = view.status.history[-1] if view.status.history else None
    return _move(view, "Reported") if view.status.phase is Phase.REPORTED else last


def _conclusion(view: View) -> Iterator[str]:
    if view.active:
        yield f"{view.status.message}; disagreements {view.name} shows answers that differ"
    elif not view.healthy:
        yield view.status.message
    elif passed(view):
        yield "every metric passed; to roll it out, give the strategy steps that move traffic and run retry"
    else:
        missing = [v.name for v in view.status.verdicts if v.verdict is not VerdictKind.PASS]
        yield f"not shown to be safe: {', '.join(missing) or 'nothing was measured'}; retry runs the shadow again"
