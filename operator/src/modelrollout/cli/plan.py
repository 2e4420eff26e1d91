"""`plan`: what a rollout of a good version would be like, step by step, without a cluster."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from modelrollout.api.resource import ModelRollout
from modelrollout.api.units import format_duration, parse_percent
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.files import one_rollout
from modelrollout.simulate.forecast import Forecast, Need, Stage, forecast


def run(rollout_file: Path, *, rps: float, error_rate: str, as_json: bool) -> None:
    """Print what to expect."""
    rollout = one_rollout(rollout_file)
    try:
        rate = parse_percent(error_rate)
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"--error-rate: {error}") from None
    if not 0.0 <= rate < 1.0:
        raise CliError(ExitCode.USAGE, "--error-rate: must be below 100%, for instance 0.1%")
    found = forecast(rollout.spec, rps, rate)
    if as_json:
        typer.echo(json.dumps(document(rollout, found, rps, rate), indent=1))
    else:
        _show(rollout, found, rps, error_rate)


def document(rollout: ModelRollout, found: Forecast, rps: float, rate: float) -> dict[str, Any]:
    """Return the plan for programs."""
    return {
        "rollout": rollout.metadata.name,
        "rps": rps,
        "error_rate": rate,
        "replicas": rollout.spec.replicas,
        "steps": [_step(stage) for stage in found.stages],
        "until_promotion_s": _rounded(found.until_promotion),
        "guard_s": _rounded(found.guard),
        "total_s": None if found.until_promotion is None else _rounded(found.until_promotion + found.guard),
        "candidate_requests": round(found.requests),
        "not_estimated": list(found.not_estimated),
    }


def _step(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "weight": stage.weight,
        "candidate_pods": stage.pods,
        "next_weight": stage.next_weight,
        "min_duration_s": _rounded(stage.least),
        "max_duration_s": _rounded(stage.longest),
        "expected_s": _rounded(stage.seconds),
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
        needs = "\n".join(_words(need) for need in stage.needs) or _pause(stage)
        table.add_row(f"{index + 1}  {stage.name}", str(stage.pods), needs, _time(stage.seconds, stage))
    console.print(table)
    total = found.until_promotion
    console.print(
        "promotion has no end in sight: a step waits for a person or for traffic"
        if total is None
        else f"promoted after about {_duration(total)} from the first traffic, "
        f"on about {found.requests:.0f} candidate requests of evidence"
    )
    if found.guard:
        console.print(f"then a guard of {_duration(found.guard)}, with the previous version ready to take over")
    if found.not_estimated:
        console.print(f"not estimated: {', '.join(found.not_estimated)} may take longer")


def _words(need: Need) -> str:
    margin = "" if need.margin is None else f"less than {100 * need.margin:.3g} points above stable"
    wait = "no traffic" if need.seconds is None else _duration(need.seconds)
    return f"{need.metric}: {margin} (about {need.requests} candidate requests, {wait})"


def _pause(stage: Stage) -> str:
    if stage.seconds is None and not stage.needs:
        return "a person goes on"
    return "nothing; it waits" if stage.name == "pause" else "nothing that can be estimated"


def _time(seconds: float | None, stage: Stage) -> str:
    if seconds is None:
        return "-"
    late = stage.longest is not None and seconds >= stage.longest and stage.on_timeout != "Pause"
    return _duration(seconds) + (f", then {stage.on_timeout}" if late else "")


def _duration(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
