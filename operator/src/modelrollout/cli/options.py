"""Options that all commands share, named as kubectl names them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from modelrollout.cli.errors import CliError, ExitCode

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Output(StrEnum):
    """Forms of output for programs; left out: for people."""

    JSON = "json"
    YAML = "yaml"


class ListOutput(StrEnum):
    """Forms of output of `list`."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster and namespace; None: as the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None

    def over(self, outer: "Where | None") -> "Where":
        """Return this, completed by options that stood before the command."""
        outer = outer or Where()
        return Where(
            self.namespace or outer.namespace, self.context or outer.context, self.kubeconfig or outer.kubeconfig
        )


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer names of rollouts to a shell; nothing where the cluster does not answer."""
    try:
        from modelrollout.cli.cluster import Cluster  # noqa: PLC0415

        # Options may stand before the command as well.
        outer = _where(ctx.parent.params) if ctx.parent is not None else None
        where = _where(ctx.params).over(outer)
        names = [raw["metadata"]["name"] for raw in Cluster.connect(where, patience=3.0).rollouts()]
    except Exception:  # a shell that completes must not be disturbed, whatever is wrong
        return []
    return [name for name in names if name.startswith(incomplete)]


def _where(params: Mapping[str, Any]) -> Where:
    return Where(params.get("namespace"), params.get("context"), params.get("kubeconfig"))


def rollout_name(text: str) -> str:
    """Check a rollout's name; `mr/NAME` and what `kubectl get -o name` prints are fine as well."""
    kind, slash, name = text.rpartition("/")
    if slash and kind not in ("mr", "modelrollout", "modelrollouts", "modelrollout.modelrollout.dev"):
        raise typer.BadParameter(f"{text!r} is not a rollout; write NAME or mr/NAME")
    return dns_label(name)


def dns_label(text: str) -> str:
    """Check a name as Kubernetes allows it."""
    if len(text) > 253 or not _DNS_LABEL.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not a name: lower case letters, digits and dashes only")
    return text


def _optional_name(text: str | None) -> str | None:
    return None if text is None else dns_label(text)


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", callback=rollout_name, autocompletion=complete_names, help="The rollout.", show_default=False
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NS", callback=_optional_name, help="Namespace; the context's own."),
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, else ~/.kube/config.")
]
OutputOption = Annotated[Output | None, typer.Option("--output", "-o", help="Form for programs.", show_default=False)]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the operator has carried it out, and tell what came of it.")
]
Patience = Annotated[str, typer.Option("--wait-timeout", metavar="DURATION", help="How long to wait for that.")]


def duration(option: str, text: str) -> timedelta:
    """Read what an option was given as a duration. Raises CliError."""
    from modelrollout.api.units import parse_duration  # noqa: PLC0415 - help must not wait for it

    try:
        return parse_duration(text)
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"{option}: {error}") from None
