"""The commands and their options. What they do is imported when they run: `--help` must answer at once."""

from typing import Annotated

import typer

from modelrollout import __version__
from modelrollout.cli import offline, presets, requests
from modelrollout.cli.errors import reported
from modelrollout.cli.options import Context, Kubeconfig, ListOutput, Name, Namespace, OutputOption, Where, duration

EPILOG = (
    "Exit codes: 0 fine; 1 the rollout was rolled back or is stalled (status, report); 2 wrong arguments, or a request "
    "that makes no sense now; 3 the cluster does not answer or forbids it; 4 no such rollout; 124 time is up."
)
INSPECT, SERVE = "Look", "Run"

# ruff: noqa: PLC0415, PLR0913, PLR0917 - late imports are the point, and each option is an argument

app = typer.Typer(
    name="modelrollout",
    help="Look at and steer progressive rollouts of model servers. Also runs as `kubectl modelrollout`.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(offline.app)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"modelrollout {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Keep options that stand before the command."""
    ctx.obj = Where(namespace, context, kubeconfig)


@app.command("list", rich_help_panel=INSPECT)
def list_rollouts(
    ctx: typer.Context,
    namespace: Namespace = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Rollouts of all namespaces.")] = False,
    output: Annotated[
        ListOutput | None, typer.Option("--output", "-o", help="Form for programs, or wide.", show_default=False)
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List rollouts, one line each."""
    with reported():
        from modelrollout.cli import listing

        where = Where(namespace, context, kubeconfig).over(ctx.obj)
        listing.run(where, everywhere=all_namespaces, output=output)


@app.command(rich_help_panel=INSPECT, epilog=EPILOG)
def status(
    ctx: typer.Context,
    name: Name,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Follow it until it is promoted, its guard over, reported, or rolled back."),
    ] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="With --watch: give up after it, with exit code 124.")
    ] = None,
    output: OutputOption = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show where a rollout stands.

    Exits with 1 when it was rolled back or is stalled. `status NAME --watch --timeout 10m` makes a pipeline wait:
    0 promoted (or, for a shadow alone, reported), 1 rolled back or stalled, 124 neither within that time.
    """
    with reported():
        patience = None if timeout is None else duration("--timeout", timeout)
        from modelrollout.cli import following

        where = Where(namespace, context, kubeconfig).over(ctx.obj)
        code = following.run(where, name, watch=watch, timeout=patience, output=output)
    raise typer.Exit(int(code))


@app.command(rich_help_panel=INSPECT)
def explain(
    ctx: typer.Context,
    name: Name,
    output: OutputOption = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what was decided, on what evidence, what it waits for and what comes next."""
    with reported():
        from modelrollout.cli import explain as explaining

        explaining.run(Where(namespace, context, kubeconfig).over(ctx.obj), name, output=output)


@app.command(rich_help_panel=INSPECT)
def history(
    ctx: typer.Context,
    name: Name,
    output: OutputOption = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show every move with who, when and why, and all revisions."""
    with reported():
        from modelrollout.cli import history as past

        past.run(Where(namespace, context, kubeconfig).over(ctx.obj), name, output=output)


@app.command(rich_help_panel=INSPECT, epilog=EPILOG)
def report(
    ctx: typer.Context,
    name: Name,
    output: OutputOption = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what a shadow ended with: verdicts with their numbers, agreement, gates; or what it has found so far.

    Exits with 1 when the candidate was rolled back, with 2 when there is no shadow to report of.
    """
    with reported():
        from modelrollout.cli import report as reporting

        code = reporting.run(Where(namespace, context, kubeconfig).over(ctx.obj), name, output=output)
    raise typer.Exit(int(code))


@app.command(rich_help_panel=INSPECT)
def disagreements(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Show so many, the newest.")] = 20,
    output: OutputOption = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show requests that candidate and stable answered differently, as the comparer of a shadow step kept them.

    Needs the verb get on services/proxy. Exits with 2 when no comparer runs.
    """
    with reported():
        from modelrollout.cli import disagreements as disagreeing

        disagreeing.run(Where(namespace, context, kubeconfig).over(ctx.obj), name, limit=limit, output=output)


app.add_typer(requests.app)
app.add_typer(presets.app, name="presets", rich_help_panel=INSPECT)


@app.command(rich_help_panel=SERVE)
def version() -> None:
    """Print the version."""
    _print_version(asked=True)


@app.command(
    rich_help_panel=SERVE,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def operator(ctx: typer.Context) -> None:
    """Run the operator itself (in the cluster). `operator --help` lists its options."""
    from modelrollout.runtime.main import operator_command

    inner = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    # Each option has its variable: MODELROLLOUT_PROMETHEUS_URL for --prometheus-url.
    inner.command("operator", context_settings={"auto_envvar_prefix": "MODELROLLOUT"})(operator_command)
    inner(args=ctx.args, prog_name="modelrollout operator")


@app.command(
    rich_help_panel=SERVE,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def comparer(ctx: typer.Context) -> None:
    """Compare two revisions' answers to mirrored requests (in the cluster). `comparer --help` lists its options."""
    from modelrollout.comparer.main import comparer_command

    inner = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    inner.command("comparer")(comparer_command)
    inner(args=ctx.args, prog_name="modelrollout comparer")


def main() -> None:
    """Run the command line."""
    app()
