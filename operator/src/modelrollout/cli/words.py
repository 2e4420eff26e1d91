"""Steps, gates and splits of a view in words, for every command that shows them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from modelrollout.api.status import GateState, GateStatus, Phase
from modelrollout.api.strategy import Step
from modelrollout.api.units import format_duration
from modelrollout.cli import show
from modelrollout.cli.view import View
from modelrollout.core.sticky import by_key, named

NUMBERS = 8
"""Numbers of a gate that are shown."""


def short(step: Step) -> str:
    """Return the step in as few words as possible: `5%`, `shadow 10%`, `pause 10m`."""
    if step.weight is not None:
        return f"{step.weight}%"
    if step.switch is not None:
        return "switch to 100%"
    if step.pause is not None and step.pause.duration:
        return f"pause {step.pause.duration}"
    return step.name


def end(view: View) -> str | None:
    """Return what follows the last step; None where the last step itself is the end."""
    if view.reports:
        return "report"
    return None if view.steps and view.steps[-1].whole else "100%"


def beside(view: View) -> str:
    """Say what the route does beside the weights: copies, requests chosen by what they carry, clients by their keys."""
    step = view.step
    if step is not None and step.shadow is not None:
        to = "the comparer" if step.shadow.comparer.enabled else "the candidate"
        return f"shadow {step.shadow.percent}% mirrored to {to}"
    if step is not None and step.match is not None:
        return f"{step.name} to the candidate"
    key = by_key(view.spec) if view.spec is not None else None
    return f"of clients, by {named(key)}" if key is not None and view.status.weights.candidate else ""


def gate(view: View) -> GateStatus | None:
    """Return the gate that is worth showing: the one waited for, or the last one of this rollout."""
    phases = (Phase.PROGRESSING, Phase.PAUSED, Phase.REPORTED, Phase.ROLLED_BACK)
    return view.status.gate if view.status.phase in phases else None


def gate_line(found: GateStatus, now: datetime) -> str:
    """Tell a gate in one line: name, state, since when, what came of it, with its numbers."""
    since = "" if found.state is GateState.PASSED else f" for {show.ago(found.since, now)}"
    told = [part for part in (found.message, numbers(found)) if part]
    by = f" by {found.by}" if found.by and found.by not in found.message else ""
    return f"{found.name} {found.state.value}{since}{by}" + (f": {'; '.join(told)}" if told else "")


def numbers(found: GateStatus) -> str:
    """Write what a gate measured: `auc 0.912, auc_stable 0.91`."""
    written = [f"{name} {value:.4g}" for name, value in list(found.numbers.items())[:NUMBERS]]
    more = len(found.numbers) - NUMBERS
    return ", ".join([*written, *([f"{more} more"] if more > 0 else [])])


def approval(view: View) -> bool:
    """Say whether a gate waits for a person."""
    step, found = view.step, view.status.gate
    waits = step is not None and step.gate is not None and step.gate.approval is not None
    return waits and found is not None and found.state is GateState.WAITING


def until(view: View) -> str | None:
    """Say until when the schedule lets nothing move forward: `Fri 18:00 Europe/Berlin`."""
    moment = view.frozen
    if moment is None or view.spec is None or view.spec.strategy.schedule is None:
        return None
    if moment - view.now >= timedelta(days=7):
        return "further notice: its schedule allows no moves at all"
    zone = view.spec.strategy.schedule.time_zone
    left = format_duration(moment - view.now)
    return f"{moment.astimezone(ZoneInfo(zone)):%a %H:%M} {zone} (in {left})"
