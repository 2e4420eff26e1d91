"""`explain`: what was decided, on what evidence, what it waits for and what comes next."""

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Phase, Tally, Verdict
from modelrollout.api.units import format_duration
from modelrollout.cli import evidence, show, words
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.onwards import next_step
from modelrollout.cli.options import Output, Where
from modelrollout.cli.view import View, view_of

MOVES: Final = 5


def run(where: Where, name: str, *, output: Output | None) -> None:
    """Explain a rollout."""
    cluster = Cluster.connect(where)
    view = view_of(cluster.rollout(name), cluster.deployments(name), show.now())
    if output is not None:
        show.emit_data(data(view), output)
    else:
        show.emit(render(view))


def render(view: View) -> RenderableType:
    """Return the explanation for people."""
    status = view.status
    parts: list[RenderableType] = [
        Text.assemble((view.title, "bold"), " is ", show.word(status.phase.value), _where(view)),
        _indented(status.message or "the operator has not looked at it yet"),
    ]
    sections = (
        ("Compared", list(_compared(view))),
        ("Evidence", list(_evidence(view))),
        ("Gate", list(_gate(view))),
        ("Next", [_indented(text) for text in next_step(view)]),
        ("Last moves", list(_moves(view))),
    )
    for title, lines in sections:
        if lines:
            parts += [Text(), Text(title, "bold"), *lines]
    return Group(*parts)


def data(view: View) -> dict[str, Any]:
    """Return the explanation for programs."""
    status, analysis = view.status, view.spec.analysis if view.spec else None
    whole = evidence.together(status.verdicts, analysis, view.stage) if analysis else None
    return {
        "namespace": view.namespace,
        "name": view.name,
        "phase": status.phase.value,
        "message": status.message,
        "stalled": view.stalled,
        "current": view.current,
        "stable": {"revision": status.stable, "image": view.image(status.stable), "weight": status.weights.stable},
        "candidate": {
            "revision": status.candidate,
            "image": view.image(status.candidate),
            "weight": status.weights.candidate,
        },
        "step": status.step.model_dump(mode="json", exclude_none=True) if status.step else None,
        "steps": len(view.steps),
        "shadow": _shadow(view),
        "gate": _gate_data(view),
        "awaiting": status.step.awaiting.isoformat() if status.step and status.step.awaiting else None,
        "frozenUntil": view.frozen.isoformat() if view.frozen else None,
        "queued": status.queued,
        "guardUntil": status.guard_until.isoformat() if status.guard_until else None,
        "evidence": [verdict_data(verdict, view) for verdict in status.verdicts],
        "together": whole.data() if whole else None,
        "next": list(next_step(view)),
        "moves": [move.model_dump(mode="json", exclude_none=True) for move in reversed(status.history[-MOVES:])],
    }


def _where(view: View) -> str:
    step = view.status.step
    if step is None:
        return ""
    since = format_duration(view.now - step.since)
    return f", step {step.index + 1} of {len(view.steps)} ({step.name}) for {since}"


def _compared(view: View) -> Iterator[Text]:
    status = view.status
    if status.candidate:
        rows = [
            ("candidate", status.candidate, status.weights.candidate),
            ("stable", status.stable, status.weights.stable),
        ]
    elif status.phase is Phase.GUARDING:
        rows = [("promoted", status.stable, 100), ("previous", status.previous, 0)]
    else:
        rows = [("stable", status.stable, 100)] if status.stable else []
    for role, revision, weight in rows:
        yield _indented(f"{role:<10} {revision}  {weight}% of requests  {view.image(revision) or ''}".rstrip())

    if beside := words.beside(view):
        yield _indented(beside)


def _gate(view: View) -> Iterator[Text]:
    found = words.gate(view)
    if found is not None:
        yield _indented(words.gate_line(found, view.now))


def _evidence(view: View) -> Iterator[RenderableType]:
    analysis = view.spec.analysis if view.spec else None
    for verdict in view.status.verdicts:
        yield Text.assemble("  ", verdict.name, ": ", show.word(verdict.verdict.value))
        yield _indented(verdict.message, 4)
        if verdict.candidate.requests and verdict.stable.requests:
            counts = f"candidate {evidence.rate(verdict.candidate)}, stable {evidence.rate(verdict.stable)}"
            yield _indented(f"{evidence.counted(verdict.name)}: {counts}", 4)
        elif verdict.candidate.requests and verdict.name == "agreement":
            yield _indented(f"{evidence.counted(verdict.name)}: {evidence.rate(verdict.candidate)}", 4)
        if verdict.effect:
            yield _indented(f"difference: {verdict.effect}", 4)
        if analysis is not None and evidence.weighs(verdict.name, analysis, view.stage):
            yield from _weighed(verdict, view, analysis)
    whole = evidence.together(view.status.verdicts, analysis, view.stage) if analysis else None
    if whole is not None and len(view.status.verdicts) > 1:
        yield _indented(f"all metrics together, that it is worse: {whole.value} (rolls back at {whole.limit:.0f})")


def _weighed(verdict: Verdict, view: View, analysis: Analysis) -> Iterator[Text]:
    worse, safe = evidence.harm(verdict, analysis, view.stage), evidence.safety(verdict, analysis)
    allowed = evidence.tolerated(verdict.name, analysis)
    if allowed is not None:
        yield _indented(f"tolerated: {allowed}", 4)
    what, alone = ("than tolerated", "alone ") if safe is not None else ("than any working model", "")
    yield _indented(f"evidence that it is worse {what}: {worse.value} ({alone}rolls back at {worse.limit:.0f})", 4)
    if safe is not None:
        fine = "enough answers agree" if verdict.name == "agreement" else "it is safe at the next weight"
        yield _indented(f"evidence that {fine}: {safe.value} (passes at {safe.limit:.0f})", 4)


def _moves(view: View) -> Iterator[Text]:
    for move in reversed(view.status.history[-MOVES:]):
        by = f" by {move.by}" if move.by else ""
        yield _indented(f"{show.ago(move.at, view.now)} ago  {move.move}{by}: {move.message}")


def verdict_data(verdict: Verdict, view: View) -> dict[str, Any]:
    """Return a verdict with its numbers for programs."""
    analysis = view.spec.analysis if view.spec else None
    safe = evidence.safety(verdict, analysis) if analysis else None
    return {
        "metric": verdict.name,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason.value,
        "message": verdict.message,
        "candidate": _tally(verdict.candidate),
        "stable": _tally(verdict.stable),
        "effect": verdict.effect or None,
        "harm": evidence.harm(verdict, analysis, view.stage).data() if analysis else None,
        "safety": safe.data() if safe else None,
    }


def _shadow(view: View) -> dict[str, Any] | None:
    step = view.step
    if step is None or step.shadow is None:
        return None
    return {"percent": step.shadow.percent, "to": "comparer" if step.shadow.comparer.enabled else "candidate"}


def _gate_data(view: View) -> dict[str, Any] | None:
    found = words.gate(view)
    return None if found is None else found.model_dump(mode="json", by_alias=True, exclude_none=True)


def _tally(tally: Tally) -> dict[str, float | int | None]:
    rate = tally.bad / tally.requests if tally.requests else None
    return {"requests": tally.requests, "bad": tally.bad, "rate": rate}


def _indented(text: str, spaces: int = 2) -> Text:
    return Text(" " * spaces + text)
