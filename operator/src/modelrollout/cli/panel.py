"""`status` as a panel: where a rollout stands, on one screen."""

from datetime import timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from modelrollout.api.status import Phase, Verdict
from modelrollout.api.units import format_duration
from modelrollout.cli import evidence, show, words
from modelrollout.cli.view import Revision, View
from modelrollout.core.evidence import guard

BAR: Final = 30
MOVES: Final = 4


def panel(view: View) -> Panel:
    """Return the framed status for a terminal."""
    phase = view.status.phase.value
    title = Text.assemble((view.name, "bold"), f" ({view.namespace}) ", (phase, show.STYLES[phase]))
    return Panel(body(view), title=title, title_align="left", border_style=show.STYLES[phase], padding=(0, 1))


def plain(view: View) -> RenderableType:
    """Return the status for a pipe: the same without a frame."""
    return Group(Text(f"{view.title}: {view.status.phase.value}"), body(view))


def body(view: View) -> RenderableType:
    """Return what stands inside the frame."""
    parts: list[RenderableType] = [Text(view.status.message or "the operator has not looked at it yet"), Text()]
    parts.append(_facts(view))
    if view.revisions:
        parts += [Text(), revisions(view)]
    if view.status.verdicts:
        parts += [Text(), _verdicts(view)]
    if view.status.history:
        parts += [Text(), _moves(view)]
    return Group(*parts)


def line(view: View) -> str:
    """Return the status as one line, for following it in a pipe."""
    status = view.status
    step = f" step {status.step.index + 1}/{len(view.steps)}" if status.step else ""
    asked = f" ({view.request.action} is asked for)" if view.request else ""
    return f"{status.phase.value}{step} {status.weights.candidate}%: {status.message}{asked}"


def _facts(view: View) -> Table:
    status = view.status
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    if status.candidate:
        grid.add_row("traffic", _traffic(status.weights.candidate, words.beside(view)))
    if view.steps and status.step:
        grid.add_row("steps", _steps(view))
    if status.guard_until and status.phase is Phase.GUARDING:
        left = format_duration(max(status.guard_until - view.now, timedelta()))
        grid.add_row("guard", f"{left} left; {status.previous} stays ready to take over")
    if (gate := words.gate(view)) is not None:
        grid.add_row("gate", Text(words.gate_line(gate, view.now), show.STYLES[gate.state.value]))
    for label, text in _remarks(view):
        grid.add_row(label, text)
    grid.add_row("conditions", _conditions(view))
    return grid


def _traffic(candidate: int, beside: str) -> Text:
    """Draw the split as a bar; what the route does beside it follows in words."""
    filled = round(BAR * candidate / 100) if candidate in (0, 100) else min(BAR - 1, max(1, BAR * candidate // 100))
    return Text.assemble(
        (f"stable {100 - candidate}% ", "green"),
        ("─" * (BAR - filled), "green"),
        ("█" * filled, "cyan"),
        (f" {candidate}% candidate", "cyan"),
        (f"   {beside}" if beside else "", "magenta"),
    )


def _steps(view: View) -> Text:
    current = view.status.step
    assert current is not None  # noqa: S101
    text = Text()
    for index, step in enumerate(view.steps):
        name = words.short(step)
        if index < current.index:
            text.append(f"{name} ✓", "green")
        elif index == current.index:
            text.append(f"[{name}]", "bold cyan")
        else:
            text.append(name, "dim")
        if index < len(view.steps) - 1:
            text.append(" → ", "dim")
    if (end := words.end(view)) is not None:
        text.append(f" → {end}", "dim")
    since = format_duration(view.now - current.since)
    return text.append(f"   step {current.index + 1} of {len(view.steps)}, for {since}")


def _remarks(view: View) -> list[tuple[str, str]]:
    """Return what is out of the ordinary."""
    status, remarks = view.status, []
    if not view.current:
        remarks.append(("note", "the operator has not acted on the spec as it is now"))
    if view.stalled not in (None, status.message, status.phase.value):
        remarks.append(("stalled", str(view.stalled)))
    if status.paused:
        remarks.append(("paused", status.paused))
    if status.step is not None and status.step.awaiting is not None:
        since = show.ago(status.step.awaiting, view.now)
        remarks.append(("awaiting", f"a person, for {since}: promote goes on, abort goes back"))
    if (until := words.until(view)) is not None:
        remarks.append(("frozen", f"until {until}; a failing candidate still goes back"))
    if status.queued:
        remarks.append(("queued", f"revision {status.queued} waits for the end of this rollout"))
    if status.pin:
        remarks.append(("undo", f"serves {status.pin.revision} instead of the template's {status.pin.instead_of}"))
    if view.request is not None:
        remarks.append(("asked", f"{view.request.action} by {view.request.by or 'somebody'}; not carried out yet"))
    elif status.request is not None:
        asked = status.request
        when = show.ago(asked.at, view.now)
        remarks.append(("asked", f"{asked.action} by {asked.by or 'somebody'} {when} ago: {asked.outcome}"))
    return remarks


def _conditions(view: View) -> Text:
    text = Text()
    for condition in view.status.conditions:
        good = (condition.status == "True") is (condition.type in ("Ready", "Promoted"))
        style = "green" if good else "red" if condition.type == "Stalled" else "yellow"
        text.append(f"{condition.type}={condition.status} ", style)
    return text if text.plain else Text("none yet")


def revisions(view: View) -> Table:
    """Return the revisions, what they do and their pods."""
    table = show.columns("REVISION", "ROLE", "WEIGHT", "PODS", "IMAGE")
    for revision in view.revisions:
        weight = show.NOTHING if revision.weight is None else f"{revision.weight}%"
        image = view.image(revision.name) or show.NOTHING
        table.add_row(revision.name, show.word(revision.role), weight, _pods(revision), image)
    return table


def _pods(revision: Revision) -> Text:
    if revision.ready is None or revision.desired is None:
        return Text(show.NOTHING)
    style = "" if revision.ready >= revision.desired else "yellow"
    return Text(f"{revision.ready}/{revision.desired}", style)


def _verdicts(view: View) -> Table:
    table = show.columns("METRIC", "VERDICT", "BAD OF CANDIDATE", "BAD OF STABLE", "WORSE/LIMIT", "SAFE/LIMIT")
    for verdict in view.status.verdicts:
        table.add_row(
            verdict.name,
            show.word(verdict.verdict.value),
            evidence.rate(verdict.candidate),
            show.NOTHING if verdict.name in (guard.NAME, "agreement") else evidence.rate(verdict.stable),
            *_e_values(view, verdict),
        )
    return table


def _e_values(view: View, verdict: Verdict) -> tuple[str, str]:
    if view.spec is None:
        return show.NOTHING, show.NOTHING
    safe = evidence.safety(verdict, view.spec.analysis)
    return evidence.harm(verdict, view.spec.analysis, view.stage).short, show.NOTHING if safe is None else safe.short


def _moves(view: View) -> Table:
    table = show.columns("AGO", "MOVE", "WHY")
    for move in reversed(view.status.history[-MOVES:]):
        table.add_row(show.ago(move.at, view.now), show.word(move.move), move.message)
    return table
