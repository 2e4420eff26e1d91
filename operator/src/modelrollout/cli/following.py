"""`status`, once or until the rollout has come to its end."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from rich.live import Live

from modelrollout.cli import panel, show
from modelrollout.cli.cluster import Cluster, Object
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.options import Output, Where
from modelrollout.cli.view import View, view_of

_STREAM_SECONDS: Final = 300.0


def run(where: Where, name: str, *, watch: bool, timeout: timedelta | None, output: Output | None) -> ExitCode:
    """Show a rollout; with `watch` until it is at rest. Returns the exit code that its health deserves."""
    cluster = Cluster.connect(where)
    if watch:
        if output is not None:
            raise CliError(ExitCode.USAGE, "--watch does not go with --output; use `kubectl get mr -o json --watch`")
        deadline = time.monotonic() + timeout.total_seconds() if timeout is not None else None
        return _follow(cluster, name, deadline)
    raw = cluster.rollout(name)
    view = view_of(raw, [] if output else cluster.deployments(name), show.now())
    if output is not None:
        show.emit_data(raw, output)
    else:
        show.emit(panel.panel(view) if sys.stdout.isatty() else panel.plain(view))
    return _health(view)


def changes(cluster: Cluster, name: str, deadline: float | None) -> Iterator[Object]:
    """Yield the rollout now and after each change; ends at `deadline` (time.monotonic)."""
    raw = cluster.rollout(name)
    yield raw
    while (left := _left(deadline)) > 0.0:
        before = raw["metadata"]["resourceVersion"]
        for raw in cluster.watch(name, before, max(1, round(left))):
            yield raw
        fresh = cluster.rollout(name)
        if fresh["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]:
            raw = fresh
            yield raw
        elif raw["metadata"]["resourceVersion"] == before:
            # Nothing came: should streams end at once for some reason, the API server must not be flooded.
            time.sleep(min(1.0, max(0.0, _left(deadline))))


def _left(deadline: float | None) -> float:
    return _STREAM_SECONDS if deadline is None else min(_STREAM_SECONDS, deadline - time.monotonic())


def _follow(cluster: Cluster, name: str, deadline: float | None) -> ExitCode:
    raws = changes(cluster, name, deadline)
    last = _on_terminal(cluster, name, raws) if sys.stdout.isatty() else _in_pipe(raws)
    if last.at_rest:
        return _health(last)
    phase = last.status.phase.value
    raise CliError(ExitCode.TIMEOUT, f"ModelRollout {last.title} is still {phase} after the time given by --timeout")


def _on_terminal(cluster: Cluster, name: str, raws: Iterator[Object]) -> View:
    """Draw the panel anew on each change, and twice a second for what is counted in seconds."""

    def look(raw: Object) -> View:
        return view_of(raw, cluster.deployments(name), show.now())

    view = look(next(raws))
    # Live asks for what to draw from a thread of its own; a view is immutable, so it sees the old or the new one.
    with Live(
        get_renderable=lambda: panel.panel(replace(view, now=show.now())), console=show.console(), refresh_per_second=2
    ):
        while not view.at_rest and (raw := next(raws, None)) is not None:
            view = look(raw)
    return view


def _in_pipe(raws: Iterator[Object]) -> View:
    """Write a line whenever what there is to say changes."""
    said = None
    for raw in raws:
        view = view_of(raw, [], show.now())
        words = panel.line(view)
        if words != said:
            sys.stdout.write(f"{view.now:%H:%M:%S}Z {words}\n")
            sys.stdout.flush()
            said = words
        if view.at_rest:
            break
    return view


def _health(view: View) -> ExitCode:
    return ExitCode.OK if view.healthy else ExitCode.UNHEALTHY
