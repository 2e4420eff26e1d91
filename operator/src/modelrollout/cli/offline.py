"""Commands that need no cluster, and their options. As in `main`, what they do is imported when they run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelrollout.adapters.prometheus import options
from modelrollout.adapters.prometheus.access import Access, headers_of
from modelrollout.cli.errors import reported, usage

TRY = "Try"

# ruff: noqa: PLC0415, PLR0913, PLR0917 - late imports are the point, and each option is an argument

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


class Report(StrEnum):
    """Forms of a report."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class Data(StrEnum):
    """Forms of output for programs; left out: for people."""

    JSON = "json"


Rollout = Annotated[
    Path, typer.Option("--file", "-f", metavar="ROLLOUT", help="File with the ModelRollout.", show_default=False)
]
JsonOption = Annotated[Data | None, typer.Option("--output", "-o", help="Form for programs.", show_default=False)]
ReportOption = Annotated[Report, typer.Option("--output", "-o", help="Form of the report.")]


@app.command(rich_help_panel=TRY)
def simulate(
    rollout: Rollout,
    scenario: Annotated[
        Path, typer.Option("--scenario", "-s", metavar="SCENARIO", help="What the world does.", show_default=False)
    ],
    runs: Annotated[int, typer.Option(min=1, max=1_000_000, help="How often it is played.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same runs, whatever the number of jobs.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, max=256, help="Processes; as many as cores.", show_default=False),
    ] = None,
    per_run: Annotated[bool, typer.Option("--per-run", help="Tell what came of each run.")] = False,
    output: ReportOption = Report.TEXT,
) -> None:
    """Play a scenario with the operator's own decisions, without a cluster.

    One run is told as a timeline, more of them as a distribution. Exits with 2 when a file cannot be used.
    """
    with reported():
        from modelrollout.cli import simulate as simulating

        simulating.run(rollout, scenario, runs=runs, seed=seed, jobs=jobs, per_run=per_run, output=output)


@app.command(rich_help_panel=TRY)
def backtest(
    rollout: Rollout,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="Recorded data, as --save writes it.")] = None,
    prometheus: Annotated[str | None, typer.Option(metavar="URL", help="Read it from there instead.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="2026-01-05T12:00:00Z, or Unix seconds.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="The same.")] = None,
    window: Annotated[str, typer.Option(metavar="DURATION", help="With --prometheus: its scrape interval.")] = "15s",
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was read, for --data.")] = None,
    stable: Annotated[str | None, typer.Option(metavar="REVISION", help="Else as recorded or as status says.")] = None,
    candidate: Annotated[str | None, typer.Option(metavar="REVISION", help="The same.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", metavar="NS", help="Of the series.")] = None,
    prometheus_token_file: options.TokenFile = None,
    prometheus_username_file: options.UsernameFile = None,
    prometheus_password_file: options.PasswordFile = None,
    prometheus_ca_file: options.CaFile = None,
    prometheus_cert_file: options.CertFile = None,
    prometheus_key_file: options.KeyFile = None,
    prometheus_insecure: options.Insecure = False,
    prometheus_header: options.Header = None,
    output: ReportOption = Report.TEXT,
) -> None:
    """Replay recorded Prometheus data through the operator's judge: what would have been decided, and when.

    Exits with 2 for input that cannot be used, with 3 when Prometheus does not answer.
    """
    with reported():
        from modelrollout.cli import backtest as replaying

        with usage("--prometheus-*"):
            access = Access(
                token_file=prometheus_token_file,
                username_file=prometheus_username_file,
                password_file=prometheus_password_file,
                ca_file=prometheus_ca_file,
                cert_file=prometheus_cert_file,
                key_file=prometheus_key_file,
                insecure=prometheus_insecure,
                headers=headers_of(prometheus_header or []),
            )
        asked = replaying.Asked(
            data=data,
            prometheus=prometheus,
            start=start,
            end=end,
            window=window,
            save=save,
            stable=stable,
            candidate=candidate,
            namespace=namespace,
            access=access,
        )
        replaying.run(rollout, asked, output)


@app.command(rich_help_panel=TRY)
def lint(
    files: Annotated[
        list[Path], typer.Option("--file", "-f", metavar="FILE", help="A file; may be repeated.", show_default=False)
    ],
    rps: Annotated[
        float | None, typer.Option(help="Expected requests a second: warns of evidence that takes too long.")
    ] = None,
    output: JsonOption = None,
) -> None:
    """Check ModelRollouts in YAML files, without a cluster.

    Errors are what the API server or the operator would refuse, and exit with 2; warnings are risky settings.
    """
    with reported():
        from modelrollout.cli import lint as linting

        linting.check_rps(rps)
        linting.run(files, rps=rps, as_json=output is not None)


@app.command(rich_help_panel=TRY)
def plan(
    rollout: Rollout,
    rps: Annotated[
        float | None,
        typer.Option(min=0.0, max=1e9, help="Requests a second, all versions together: adds how long each step takes."),
    ] = None,
    error_rate: Annotated[str, typer.Option(metavar="PERCENT", help="Share of requests that stable fails.")] = "0.1%",
    output: JsonOption = None,
) -> None:
    """Draw the traffic at each step, with pods; with --rps also evidence to be earned, and how long that takes.

    What the cluster's gateway cannot do is not known here: only the operator can tell.
    """
    with reported():
        from modelrollout.cli import plan as planning

        planning.run(rollout, rps=rps, error_rate=error_rate, as_json=output is not None)
