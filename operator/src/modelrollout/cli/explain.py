"""`explain`: what was decided, on what evidence, what it waits for and what comes next."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Phase, Tally, Verdict
from modelrollout.api.strategy import Step
from modelrollout.api.units import format_duration, parse_duration
from modelrollout.cli import evidence, show
from modelrollout.cli.cluster import Cluster
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
        ("Next", list(next_step(view))),
        ("Last moves", list(_moves(view))),
    )
    for title, lines in sections:
        if lines:
            parts += [Text(), Text(title, "bold"), *lines]
    return Group(*parts)


def next_step(view: View) -> Iterator[Text]:
    """Say what happens next, and what it takes."""
    status = view.status
    if view.request is not None:
        yield _indented(f"first, the operator carries out: {view.request.action}")
    if view.stalled is not None and status.phase is not Phase.ROLLED_BACK:
        yield _indented("nothing, until the spec is changed")
    elif status.phase is Phase.INITIALIZING:
        yield _indented("the first revision serves as soon as its pods are ready; there is nothing to compare it with")
    elif status.phase is Phase.PROMOTED:
        yield _indented("nothing, until the template changes")
    elif status.phase is Phase.ROLLED_BACK:
        yield _indented("nothing by itself: change the template, or run retry to try the same revision again")
    elif status.phase is Phase.GUARDING:
        left = format_duration(max((status.guard_until or view.now) - view.now, timedelta()))
        yield _indented(f"in {left} the guard ends and {status.previous} is scaled down; until then it can take over")
    else:
        yield from _onwards(view)


def data(view: View) -> dict[str, Any]:
    """Return the explanation for programs."""
    status, analysis = view.status, view.spec.analysis if view.spec else None
    whole = evidence.together(status.verdicts, analysis) if analysis else None
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
        "guardUntil": status.guard_until.isoformat() if status.guard_until else None,
        "evidence": [_verdict_data(verdict, analysis) for verdict in status.verdicts],
        "together": whole.data() if whole else None,
        "next": [text.plain.strip() for text in next_step(view)],
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


def _evidence(view: View) -> Iterator[RenderableType]:
    analysis = view.spec.analysis if view.spec else None
    for verdict in view.status.verdicts:
        yield Text.assemble("  ", verdict.name, ": ", show.word(verdict.verdict.value))
        yield _indented(verdict.message, 4)
        if verdict.candidate.requests and verdict.stable.requests:
            counts = f"candidate {evidence.rate(verdict.candidate)}, stable {evidence.rate(verdict.stable)}"
            yield _indented(f"{evidence.counted(verdict.name)}: {counts}", 4)
        if verdict.effect:
            yield _indented(f"difference: {verdict.effect}", 4)
        if analysis is not None and evidence.weighs(verdict.name, analysis):
            yield from _weighed(verdict, analysis)
    whole = evidence.together(view.status.verdicts, analysis) if analysis else None
    if whole is not None and len(view.status.verdicts) > 1:
        yield _indented(f"all metrics together, that it is worse: {whole.value} (rolls back at {whole.limit:.0f})")


def _weighed(verdict: Verdict, analysis: Analysis) -> Iterator[Text]:
    worse, safe = evidence.harm(verdict, analysis), evidence.safety(verdict, analysis)
    allowed = evidence.tolerated(verdict.name, analysis)
    if allowed is not None:
        yield _indented(f"tolerated: {allowed}", 4)
    what, alone = ("than tolerated", "alone ") if safe is not None else ("than any working model", "")
    yield _indented(f"evidence that it is worse {what}: {worse.value} ({alone}rolls back at {worse.limit:.0f})", 4)
    if safe is not None:
        yield _indented(f"evidence that it is safe at the next weight: {safe.value} (passes at {safe.limit:.0f})", 4)


def _onwards(view: View) -> Iterator[Text]:
    """Say what the next step is, and what keeps the rollout from it."""
    status, steps = view.status, view.steps
    following = 0 if status.step is None else status.step.index + 1
    goal = "promotion to 100%" if following >= len(steps) else f"{steps[following].name} (step {following + 1})"
    if status.paused is not None:
        yield _indented(f"paused ({status.paused}): resume goes on to {goal}, abort goes back")
        return
    step = steps[status.step.index] if status.step and status.step.index < len(steps) else None
    if step is not None and step.pause is not None:
        what = f"after {step.pause.duration}" if step.pause.duration else "when a person runs promote"
        yield _indented(f"{goal}, {what}")
        return
    yield _indented(f"{goal}, as soon as every metric passes and the pods for it are ready")
    yield from (_indented(text) for text in _times(view, step))


def _times(view: View, step: Step | None) -> Iterator[str]:
    """Say what the clock has to do with it."""
    status = view.status
    if step is None or status.step is None or view.spec is None:
        return
    rest = status.step.since + parse_duration(step.min_duration or view.spec.strategy.min_step_duration) - view.now
    if rest > timedelta():
        yield f"not before {format_duration(rest)} from now: the least time at this weight"
    if step.max_duration is not None:
        left = max(status.step.since + parse_duration(step.max_duration) - view.now, timedelta())
        yield f"without a verdict within {format_duration(left)}: {step.on_timeout.lower()}"


def _moves(view: View) -> Iterator[Text]:
    for move in reversed(view.status.history[-MOVES:]):
        by = f" by {move.by}" if move.by else ""
        yield _indented(f"{show.ago(move.at, view.now)} ago  {move.move}{by}: {move.message}")


def _verdict_data(verdict: Verdict, analysis: Analysis | None) -> dict[str, Any]:
    safe = evidence.safety(verdict, analysis) if analysis else None
    return {
        "metric": verdict.name,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason.value,
        "message": verdict.message,
        "candidate": _tally(verdict.candidate),
        "stable": _tally(verdict.stable),
        "effect": verdict.effect or None,
        "harm": evidence.harm(verdict, analysis).data() if analysis else None,
        "safety": safe.data() if safe else None,
    }


def _tally(tally: Tally) -> dict[str, float | int | None]:
    rate = tally.bad / tally.requests if tally.requests else None
    return {"requests": tally.requests, "bad": tally.bad, "rate": rate}


def _indented(text: str, spaces: int = 2) -> Text:
    return Text(" " * spaces + text)
