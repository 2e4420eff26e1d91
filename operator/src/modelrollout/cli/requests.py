"""Commands that ask something of a rollout. As in `main`, what they do is imported when they run."""

from typing import TYPE_CHECKING, Annotated

import typer

from modelrollout.cli.errors import reported
from modelrollout.cli.options import Context, Kubeconfig, Name, Namespace, Patience, Wait, Where, duration

if TYPE_CHECKING:
    from modelrollout.core.request import Action

ACT = "Act"

# ruff: noqa: PLC0415, PLR0913, PLR0917 - late imports are the point, and each option is an argument

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


@app.command(rich_help_panel=ACT)
def promote(
    ctx: typer.Context,
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="Straight to all traffic, past every further step.")] = False,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Go to the next step without waiting for evidence, gate or schedule; in the guard, end it."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "promote", full=full, wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def approve(
    ctx: typer.Context,
    name: Name,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a gate pass that waits for a person; who and when is recorded."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "approve", wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def abort(
    ctx: typer.Context,
    name: Name,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Give the candidate up: all traffic goes back to stable at once."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "abort", wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def pause(
    ctx: typer.Context,
    name: Name,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Hold a rollout where it is; a failing candidate is rolled back even so."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "pause", wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def resume(
    ctx: typer.Context,
    name: Name,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a paused rollout go on, or one that waits for a person at the end of a step."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "resume", wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def retry(
    ctx: typer.Context,
    name: Name,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Roll out again the revision that was rolled back, or shadow again the one that was reported."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "retry", wait=wait, wait_timeout=wait_timeout)


@app.command(rich_help_panel=ACT)
def undo(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str | None, typer.Option("--to", metavar="REVISION", help="Which one; see history.")] = None,
    wait: Wait = True,
    wait_timeout: Patience = "10s",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Go back to the revision before, or another one; it serves until the template changes."""
    where = Where(namespace, context, kubeconfig).over(ctx.obj)
    _ask(where, name, "undo", to=to, wait=wait, wait_timeout=wait_timeout)


def _ask(
    where: Where,
    name: str,
    action: "Action",
    *,
    full: bool = False,
    to: str | None = None,
    wait: bool,
    wait_timeout: str,
) -> None:
    with reported():
        patience = duration("--wait-timeout", wait_timeout) if wait else None
        from modelrollout.cli import asking

        asking.run(where, name, action, full=full, to=to, patience=patience)
