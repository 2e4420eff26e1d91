"""`plan`: what a rollout of a good version would be like, step by step, with pictures, without a cluster."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from modelrollout.api.resource import ModelRollout
from modelrollout.api.units import format_duration, parse_percent
from modelrollout.cli import picture
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.files import one_rollout
from modelrollout.core.capacity import lacking
from modelrollout.core.strategies import reports_only
from modelrollout.simulate.forecast import REQUESTS, Forecast, Need, Stage, forecast

UNKNOWN: Final = (
    "drawn is what the operator asks for; whether {routers} can do it is known in the cluster alone: where it cannot, "
    "condition Stalled names the step and what to do instead"
)


def run(rollout_file: Path, *, rps: float | None, error_rate: str, as_json: bool) -> None:
    """Print what to expect; without `rps` only the pictures."""
    rollout = one_rollout(rollout_file)
    try:
        rate = parse_percent(error_rate)
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"--error-rate: {error}") from None
    if not 0.0 <= rate < 1.0:
        raise CliError(ExitCode.USAGE, "--error-rate: must be below 100%, for instance 0.1%")
    found = forecast(rollout.spec, rps or 0.0, rate)
    if as_json:
        typer.echo(json.dumps(document(rollout, found, rps, rate), indent=1))
        return
    typer.echo(pictures(rollout))
    typer.echo("\n" + "\n".join(_remarks(rollout)))
    if rps is not None:
        typer.echo()
        _show(rollout, found, rps, error_rate)


def pictures(rollout: ModelRollout) -> str:
    """Return the pictures of a rollout's traffic, one after another."""
    parts = []
    for scene in picture.scenes(rollout.spec, rollout.metadata.name):
        parts.append("\n".join([scene.title, *(f"  {line}" for line in picture.drawn(scene, rollout.spec))]))
    return "\n\n".join(parts)


def _remarks(rollout: ModelRollout) -> Iterator[str]:
    lacks = lacking(rollout.spec)
    if lacks is not None:
        yield lacks
    yield UNKNOWN.format(routers=" and ".join(rollout.spec.traffic.routers))


def document(rollout: ModelRollout, found: Forecast, rps: float | None, rate: float) -> dict[str, Any]:
    """Return the plan for programs."""
    drawn = picture.scenes(rollout.spec, rollout.metadata.name)
    steps = {scene.index: scene for scene in drawn if scene.index is not None}
    return {
        "rollout": rollout.metadata.name,
        "rps": rps,
        "error_rate": rate,
        "replicas": rollout.spec.replicas,
        "steps": [{**_step(stage), "traffic": picture.data(steps[index])} for index, stage in enumerate(found.stages)],
        "traffic": [picture.data(scene) for scene in drawn],
        "ends": "report" if reports_only(rollout.spec) else "promotion",
        "until_promotion_s": None if reports_only(rollout.spec) else _rounded(found.until_promotion),
        "until_end_s": _rounded(found.until_promotion),
        "guard_s": _rounded(found.guard),
        "total_s": None if found.until_promotion is None else _rounded(found.until_promotion + found.guard),
        "candidate_requests": round(found.requests),
        "not_estimated": list(found.not_estimated),
        "remarks": list(_remarks(rollout)),
    }


def _step(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "kind": stage.kind,
        "weight": stage.weight,
        "candidate_pods": stage.pods,
        "next_weight": stage.next_weight,
        "min_duration_s": _rounded(stage.least),
        "max_duration_s": _rounded(stage.longest),
        "expected_s": _rounded(stage.seconds),
        "asks_a_person": stage.asks,
        "needs": [
            {
                "metric": need.metric,
                "margin": None if need.margin is None else float(f"{need.margin:.4g}"),
                "candidate_requests": need.requests,
                "expected_s": _rounded(need.seconds),
            }
            for need in stage.needs
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _show(rollout: ModelRollout, found: Forecast, rps: float, error_rate: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{rollout.metadata.name}: {rps:g} requests/s, of which stable fails {error_rate}; "
        f"{rollout.spec.replicas} pods; expected for a new version that is as good as stable"
    )
    table = Table(box=None, pad_edge=False)
    for name, justify in (("step", "left"), ("pods", "right"), ("to go on, it must be shown", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("takes about", justify="right")
    for index, stage in enumerate(found.stages):
        needs = "\n".join([*(_words(need) for need in stage.needs), *_else(stage)])
        table.add_row(f"{index + 1}  {stage.name}", str(stage.pods), needs, _time(stage.seconds, stage))
    console.print(table)
    total, report = found.until_promotion, reports_only(rollout.spec)
    end = "the report" if report else "promotion"
    console.print(
        f"{end} has no end in sight: a step waits for a person or for traffic"
        if total is None
        else f"{'reported' if report else 'promoted'} after about {_duration(total)} from the first traffic, "
        f"on about {found.requests:.0f} candidate requests of evidence"
    )
    if found.guard and not report:
        console.print(f"then a guard of {_duration(found.guard)}, with the previous version ready to take over")
    if found.not_estimated:
        console.print(f"not estimated: {', '.join(found.not_estimated)} may take longer")


def _words(need: Need) -> str:
    wait = "no traffic" if need.seconds is None else _duration(need.seconds)
    if need.metric == REQUESTS:
        return f"{need.requests} requests of each revision ({wait})"
    margin = "" if need.margin is None else f"less than {100 * need.margin:.3g} points above stable"
    return f"{need.metric}: {margin} (about {need.requests} candidate requests, {wait})"


def _else(stage: Stage) -> Iterator[str]:
    """Say what a step waits for beside evidence."""
    if stage.asks:
        yield "a person goes on"
    elif stage.kind == "switch" or stage.weight == 100:
        yield "nothing; this is the promotion"
    elif stage.kind == "gate":
        yield "the gate passes"
    elif not stage.needs:
        yield "nothing; it waits" if stage.kind == "pause" else "nothing that can be estimated"


def _time(seconds: float | None, stage: Stage) -> str:
    if seconds is None:
        return "-"
    late = stage.longest is not None and seconds >= stage.longest and stage.on_timeout != "Pause"
    return _duration(seconds) + (f", then {stage.on_timeout}" if late else "")


def _duration(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
