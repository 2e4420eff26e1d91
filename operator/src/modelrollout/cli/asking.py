"""What people ask of a rollout: written into its annotation, then waited for."""

import json
import secrets
import time
from datetime import timedelta

from modelrollout.api.status import Phase, RequestStatus
from modelrollout.cli import following, show, words
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.options import Where
from modelrollout.cli.view import View, view_of
from modelrollout.core.request import Action


def run(  # noqa: PLR0913
    where: Where, name: str, action: Action, *, full: bool = False, to: str | None = None, patience: timedelta | None
) -> None:
    """Ask, and wait `patience` for the outcome; None: do not wait."""
    cluster = Cluster.connect(where)
    deployments = cluster.deployments(name) if action == "undo" else []
    view = view_of(cluster.rollout(name), deployments, show.now())
    fault = refusal(view, action, to)
    if fault is not None:
        raise CliError(ExitCode.USAGE, f"ModelRollout {view.title}: {fault}")
    ident = secrets.token_hex(8)
    request = {"id": ident, "action": action, "by": cluster.who()[:128], "full": full or None, "to": to}
    cluster.ask(name, json.dumps({key: value for key, value in request.items() if value is not None}))
    if patience is None:
        show.emit(f"{view.title}: {action} is asked for")
        return
    done = _outcome(cluster, name, ident, action, patience)
    if done.refused:
        raise CliError(ExitCode.USAGE, f"ModelRollout {view.title}: {done.outcome}")
    show.emit(f"{view.title}: {action}: {done.outcome}")


def refusal(view: View, action: Action, to: str | None = None) -> str | None:
    """Say why a request makes no sense now, where that is plain to see; the operator has the last word."""
    status = view.status
    phase = status.phase.value
    trying = status.phase in (Phase.PROGRESSING, Phase.PAUSED)
    underway = trying or status.phase is Phase.GUARDING
    over = status.phase in (Phase.ROLLED_BACK, Phase.REPORTED)
    faults = {
        "promote": None if underway else f"nothing to promote: no rollout is in progress, it is {phase}",
        "abort": None if underway else f"nothing to abort: no rollout is in progress, it is {phase}",
        "pause": f"it is paused already ({status.paused}); resume lets it go on" if status.paused else None,
        "approve": _approve_refusal(view),
        "resume": _resume_refusal(view),
        "retry": None if over else f"nothing to retry: it is {phase}, not RolledBack or Reported",
        "undo": "a rollout is in progress; abort goes back to stable" if trying else _undo_refusal(view, to),
    }
    if not underway:
        faults["pause"] = f"nothing to pause: no rollout is in progress, it is {phase}"
    # Where the operator is about to act on a new spec, what it will make of a request is not for us to say.
    return faults[action] if view.current else None


def _approve_refusal(view: View) -> str | None:
    step, found = view.step, view.status.gate
    if words.approval(view) or (view.spec is None and found is not None):
        return None
    if step is not None and step.gate is not None and step.gate.approval is None:
        return (
            f"nothing to approve: gate {step.gate.title} waits for its {step.gate.kind}, not for a person; "
            "promote goes past it"
        )
    return f"nothing to approve: no gate waits for a person, it is {view.status.phase.value}"


def _resume_refusal(view: View) -> str | None:
    status, step = view.status, view.status.step
    if status.paused is not None or (step is not None and (step.name == "pause" or step.awaiting is not None)):
        return None
    if words.approval(view):
        return "nothing to resume: a gate waits for a person; run approve"
    return f"nothing to resume: it is not paused but {status.phase.value}"


def _undo_refusal(view: View, to: str | None) -> str | None:
    kept = [one.name for one in view.revisions if one.ready is not None and one.name != view.status.stable]
    if to is not None and to == view.status.stable:
        return f"revision {to} serves already"
    if to is not None and to not in kept:
        return f"revision {to} is not kept; known: {', '.join(kept) or 'none'}"
    if not kept:
        return "no earlier revision is kept; raise spec.revisionHistoryLimit to keep some"
    return None


def _outcome(cluster: Cluster, name: str, ident: str, action: Action, patience: timedelta) -> RequestStatus:
    for raw in following.changes(cluster, name, time.monotonic() + patience.total_seconds()):
        done = view_of(raw, [], show.now()).status.request
        if done is not None and done.id == ident:
            return done
    raise CliError(
        ExitCode.TIMEOUT,
        f"ModelRollout {cluster.namespace}/{name}: {action} is written down, but the operator has not carried it out "
        "yet; see that it runs, or wait longer with --wait-timeout",
    )
