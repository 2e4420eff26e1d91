"""`simulate`: the operator's decisions over a scenario, without a cluster."""

import json
from pathlib import Path

import typer

from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.files import one_rollout, read_text
from modelrollout.cli.offline import Report
from modelrollout.simulate import report_html, report_text
from modelrollout.simulate.many import simulate
from modelrollout.simulate.report_json import as_json
from modelrollout.simulate.scenario import InvalidScenario, load


def run(  # noqa: PLR0913 - one for each option
    rollout_file: Path, scenario_file: Path, *, runs: int, seed: int, jobs: int | None, per_run: bool, output: Report
) -> None:
    """Play a scenario and print what came of it."""
    rollout = one_rollout(rollout_file)
    try:
        scenario = load(read_text(scenario_file), scenario_file.stem)
        summary = simulate(rollout, scenario, runs, seed, jobs)
    except InvalidScenario as error:
        raise CliError(ExitCode.USAGE, f"{scenario_file}: {error}") from None
    if output is Report.JSON:
        typer.echo(json.dumps(as_json(summary, per_run=per_run), indent=1, allow_nan=False))
    elif output is Report.HTML:
        typer.echo(report_html.page(summary))
    else:
        typer.echo(report_text.text(summary, per_run=per_run))
