"""`backtest`: what would have been decided on recorded Prometheus data, and when."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from modelrollout.adapters.prometheus.access import Access
from modelrollout.adapters.prometheus.answers import Garbage
from modelrollout.adapters.prometheus.client import PrometheusClient, QueryError
from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.api.resource import ModelRollout
from modelrollout.api.status import Phase
from modelrollout.api.units import format_duration, parse_duration, parse_percent
from modelrollout.backtest.recording import InvalidRecording, Recording, load
from modelrollout.backtest.replay import Decision, NoTrial, replay
from modelrollout.backtest.source import Trial, readings, record
from modelrollout.cli.errors import CliError, ExitCode, usage
from modelrollout.cli.files import one_rollout, read_text
from modelrollout.cli.offline import Report
from modelrollout.simulate import report_html
from modelrollout.simulate.story import Event, Mark, Story


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was given."""

    data: Path | None
    prometheus: str | None
    start: str | None
    end: str | None
    window: str
    save: Path | None
    stable: str | None
    candidate: str | None
    namespace: str | None
    access: Access


def run(rollout_file: Path, asked: Asked, output: Report) -> None:
    """Replay and print."""
    rollout = one_rollout(rollout_file)
    presets = Presets.installed()
    if (asked.data is None) == (asked.prometheus is None):
        raise CliError(ExitCode.USAGE, "give either --data FILE or --prometheus URL with --start and --end")
    where = str(asked.data or asked.prometheus)
    try:
        recording = load(read_text(asked.data)) if asked.data is not None else None
        trial = _trial(rollout, rollout_file, asked, recording)
        if recording is None:
            recording = _record(trial, presets, asked)
        if asked.save is not None:
            asked.save.write_text(recording.as_json(), encoding="utf-8")
        decision = replay(trial, readings(trial, presets, recording), recording.since)
    except (InvalidRecording, NoTrial) as error:
        raise CliError(ExitCode.USAGE, f"{where}: {error}") from None
    except OSError as error:
        raise CliError(ExitCode.USAGE, f"--save {asked.save}: cannot be written: {error.strerror}") from None
    if output is Report.JSON:
        typer.echo(json.dumps(document(trial, decision), indent=1, allow_nan=False))
    elif output is Report.HTML:
        typer.echo(report_html.single(_story(trial, decision)))
    else:
        typer.echo("\n".join(lines(trial, decision)))


def _trial(rollout: ModelRollout, file: Path, asked: Asked, recording: Recording | None) -> Trial:
    """Say which revisions are compared: as asked, as recorded, or as the rollout's status tells."""
    status = rollout.status
    candidate = asked.candidate or (recording.candidate if recording else None) or status.candidate
    stable = asked.stable or (recording.stable if recording else None)
    if candidate is None and status.phase is Phase.ROLLED_BACK and status.target != status.stable:
        candidate = status.target
    if candidate is None and status.phase in (Phase.GUARDING, Phase.PROMOTED):
        candidate = status.stable
    if stable is None:
        older = next((one for one in status.revisions if one != candidate), None)
        stable = status.stable if status.stable != candidate else status.previous or older
    for name, value in (("stable", stable), ("candidate", candidate)):
        if value is None:
            raise CliError(ExitCode.USAGE, f"{file}: status does not tell the {name} revision; give --{name} REVISION")
    namespace = asked.namespace or (recording.namespace if recording else None) or rollout.metadata.namespace
    return Trial(rollout, str(stable), str(candidate), namespace)


def _record(trial: Trial, presets: Presets, asked: Asked) -> Recording:
    if asked.start is None or asked.end is None:
        raise CliError(ExitCode.USAGE, "--prometheus needs --start and --end, for instance 2026-01-05T12:00:00Z")
    with usage("--window"):
        step = int(parse_duration(asked.window).total_seconds())
    if not 1 <= step <= 300:
        raise CliError(ExitCode.USAGE, "--window: must be from 1s to 5m: the scrape interval")
    start, end = _unix("--start", asked.start) // step * step, _unix("--end", asked.end) // step * step
    if not 0 < end - start <= step * 50_000:
        raise CliError(ExitCode.USAGE, "--end: must be after --start, by at most 50000 windows")
    with usage("--prometheus"):
        client = PrometheusClient(str(asked.prometheus), access=asked.access, count=lambda _: None, timeout=30.0)
    try:
        return record(trial, presets, client, (start, end, step))
    except (QueryError, Garbage) as error:
        raise CliError(ExitCode.UNREACHABLE, str(error)) from None
    finally:
        client.close()


def _unix(option: str, text: str) -> int:
    """Read a time: RFC 3339, or Unix seconds."""
    try:
        value = float(text) if text.replace(".", "", 1).isdigit() else datetime.fromisoformat(text).timestamp()
        return int(value)
    except (ValueError, OverflowError):
        raise CliError(ExitCode.USAGE, f"{option}: {text!r} is no time; write 2026-01-05T12:00:00Z") from None


def document(trial: Trial, decision: Decision) -> dict[str, Any]:
    """Return what was decided, for programs."""
    return {
        "rollout": trial.rollout.metadata.name,
        "stable": trial.stable,
        "candidate": trial.candidate,
        "first_traffic": _shown(decision.first),
        "windows": decision.windows,
        "skipped": list(decision.skipped),
        "outcome": decision.outcome,
        "at": _shown(decision.time),
        "after_s": None if decision.time is None else decision.time - decision.first,
        "reason": decision.reason,
        "weights": [
            {
                "weight": held.weight,
                "next_weight": held.next_weight,
                "since": _shown(held.since),
                "safe_at": _shown(held.safe),
                "safe_after_s": None if held.safe is None else held.safe - held.since,
                "message": held.message,
            }
            for held in decision.held
        ],
        "verdicts": [
            verdict.model_dump(mode="json", by_alias=True, exclude={"evidence"}) for verdict in decision.verdicts
        ],
    }


def lines(trial: Trial, decision: Decision) -> Iterator[str]:
    """Tell what was decided."""
    yield f"{trial.rollout.metadata.name}: {trial.candidate} against {trial.stable}, {decision.windows} windows"
    yield from decision.skipped
    yield f"{_shown(decision.first)}  the candidate's first traffic"
    for held in decision.held:
        yield f"{_shown(held.since)}  {held.weight:>3}% of requests, as recorded"
        if held.safe is not None:
            yield f"{_shown(held.safe)}       would go to {held.next_weight}%: {held.message}"
    if decision.outcome == "rolledBack":
        yield f"{_shown(decision.time)}    0% would have been rolled back: {decision.reason}"
    elif decision.outcome == "promoted":
        yield f"{_shown(decision.time)}  100% would have been promoted"
    else:
        yield f"{_shown(decision.time)}       open: {decision.reason}"
    if decision.time is not None:
        after = timedelta(seconds=decision.time - decision.first)
        yield f"that is {format_duration(after)} after the candidate's first traffic"


def _shown(time: int | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _story(trial: Trial, decision: Decision) -> Story:
    """Return the recording as a page tells it."""
    first = decision.first
    events = [
        Event(held.since - first, held.weight, "Weight", f"{held.weight}% of requests, as recorded")
        for held in decision.held
    ]
    events += [
        Event(held.safe - first, held.weight, "Safe", f"would go to {held.next_weight}%: {held.message}")
        for held in decision.held
        if held.safe is not None
    ]
    kind = {"rolledBack": "RolledBack", "promoted": "Promoted", "open": "Open"}[decision.outcome]
    events.append(Event((decision.time or first) - first, 0, kind, decision.reason))
    marks = [
        Mark(point.time - first, 100.0 * point.share, point.stable, point.candidate, point.harm)
        for point in decision.points
    ]
    return Story(
        title=f"{trial.rollout.metadata.name}: {trial.candidate} against {trial.stable}",
        subtitle=f"recorded data from {_shown(first)} on; times since the candidate's first traffic",
        outcome=decision.outcome,
        facts=(
            ("decided", _shown(decision.time) or "never"),
            ("windows", str(decision.windows)),
            *(("skipped", words) for words in decision.skipped),
        ),
        events=tuple(sorted(events, key=lambda event: event.time)),
        marks=tuple(marks),
        limit=-math.log(parse_percent(trial.rollout.spec.analysis.false_rollback)),
    )
