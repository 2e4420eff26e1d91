"""`presets`: which sources of metrics are known, and what a running Prometheus has of them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelrollout.adapters.prometheus import options
from modelrollout.adapters.prometheus.access import Access, headers_of
from modelrollout.cli.errors import CliError, ExitCode, reported, usage
from modelrollout.cli.options import OutputOption, dns_label

if TYPE_CHECKING:
    from modelrollout.adapters.prometheus.client import PrometheusClient
    from modelrollout.adapters.prometheus.inventory import Finding
    from modelrollout.adapters.prometheus.presets import Preset, Presets
    from modelrollout.cli.options import Output

# ruff: noqa: PLC0415, PLR0913, PLR0917 - late imports are the point, and each option is an argument

EPILOG = (
    "Exit codes: 0 all of it is there (without --preset: of one preset at least); 1 something is missing; "
    "2 wrong arguments; 3 Prometheus does not answer."
)

app = typer.Typer(help="Sources of metrics: which are known, and what Prometheus has of them.", no_args_is_help=True)


class Mark(StrEnum):
    """How a finding is shown in a line."""

    found = "found"
    coarse = "too coarse"
    unlabelled = "label missing"
    unmatched = "not here"
    missing = "missing"


def _checked_name(text: str | None) -> str | None:
    return None if text is None else dns_label(text)


@app.command("list")
def list_presets(output: OutputOption = None) -> None:
    """List the presets that are installed, and what each measures."""
    with reported():
        from modelrollout.cli import show

        presets = _installed()
        found = [presets[name] for name in presets.names]
        if output is not None:
            show.emit_data([_summary(preset) for preset in found], output)
            return
        table = show.columns("NAME", "MEASURES", "WHAT")
        for preset in found:
            table.add_row(preset.name, ", ".join(preset.measured), preset.about)
        show.emit(table)


@app.command("show")
def show_preset(
    name: Annotated[str, typer.Argument(metavar="PRESET", help="Its name; see list.", show_default=False)],
    output: OutputOption = None,
) -> None:
    """Show what a preset reads, how it tells revisions apart, and what must be switched on."""
    with reported():
        from rich.text import Text

        from modelrollout.cli import show

        preset = _known(_installed(), name)
        if output is not None:
            show.emit_data(preset.model_dump(mode="json", by_alias=True, exclude_defaults=True), output)
            return
        show.emit(Text("\n".join(_described(preset))))


@app.command("check", epilog=EPILOG)
def check_presets(
    prometheus: Annotated[
        str, typer.Option("--prometheus", "--prometheus-url", metavar="URL", help="Where Prometheus answers queries.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NS", callback=_checked_name, help="Of the model servers.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="ROLLOUT", callback=_checked_name, help="Only series of this rollout's revisions."),
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="PRESET", help="Only this one.")] = None,
    output: OutputOption = None,
    prometheus_token_file: options.TokenFile = None,
    prometheus_username_file: options.UsernameFile = None,
    prometheus_password_file: options.PasswordFile = None,
    prometheus_ca_file: options.CaFile = None,
    prometheus_cert_file: options.CertFile = None,
    prometheus_key_file: options.KeyFile = None,
    prometheus_insecure: options.Insecure = False,
    prometheus_header: options.Header = None,
) -> None:
    """Ask Prometheus which metrics and labels of each preset really exist in a namespace. No cluster is needed."""
    with reported():
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
        presets = _installed()
        chosen = [_known(presets, preset)] if preset else [presets[one] for one in presets.names]
        findings = _examined(_client(prometheus, access), chosen, namespace, name)
        _emit(findings, chosen, namespace, name, output, brief=preset is None)
        complete = [all(one.state == "found" for one in found) for found in findings]
        code = ExitCode.OK if any(complete) else ExitCode.UNHEALTHY
    raise typer.Exit(int(code))


def _installed() -> "Presets":
    from modelrollout.adapters.prometheus.presets import Presets

    return Presets.installed()


def _known(presets: "Presets", name: str) -> "Preset":
    from modelrollout.adapters.prometheus.presets import PresetError

    try:
        return presets[name]
    except PresetError as error:
        raise CliError(ExitCode.USAGE, str(error).removeprefix("spec.analysis.preset: ")) from None


def _client(url: str, access: Access) -> "PrometheusClient":
    from modelrollout.adapters.prometheus.client import PrometheusClient

    with usage("--prometheus"):
        return PrometheusClient(url, access=access, count=lambda _: None, timeout=10.0)


def _examined(
    client: "PrometheusClient", chosen: Sequence["Preset"], namespace: str, name: str | None
) -> list[list["Finding"]]:
    from modelrollout.adapters.prometheus.answers import Garbage
    from modelrollout.adapters.prometheus.client import QueryError
    from modelrollout.adapters.prometheus.inventory import examine

    try:
        return [[examine(client, preset, kind, namespace, name) for kind in preset.measured] for preset in chosen]
    except QueryError as error:
        raise CliError(ExitCode.UNREACHABLE, str(error)) from None
    except Garbage as error:
        raise CliError(ExitCode.UNREACHABLE, f"Prometheus at {client.shown} returned {error}") from None
    finally:
        client.close()


def _emit(
    findings: Sequence[Sequence["Finding"]],
    chosen: Sequence["Preset"],
    namespace: str,
    name: str | None,
    output: "Output | None",
    *,
    brief: bool,
) -> None:
    from rich.text import Text

    from modelrollout.adapters.prometheus.inventory import expected
    from modelrollout.cli import show

    if output is not None:
        data = [
            {
                "name": preset.name,
                "expects": expected(preset, namespace, name),
                "metrics": [_data(one) for one in found],
            }
            for preset, found in zip(chosen, findings, strict=True)
        ]
        show.emit_data({"namespace": namespace, "rollout": name, "presets": data}, output)
        return
    table = show.columns("PRESET", "METRIC", "STATE", "SERIES", "WHAT")
    absent = []
    for found in findings:
        if brief and all(one.state == "missing" for one in found):
            absent.append(found[0].preset)
            continue
        for one in found:
            table.add_row(one.preset, one.metric, Mark[one.state].value, str(one.series), Text(_remark(one)))
    if table.row_count:
        show.emit(table)
    if absent:
        show.emit(f"Nothing of: {', '.join(absent)}. `presets check --preset NAME` says what to switch on.")


def _remark(finding: "Finding") -> str:
    seen = [f"{label}: {', '.join(values) or 'none'}" for label, values in finding.labels.items()]
    if finding.bounds and finding.state == "found":
        seen.append(f"{len(finding.bounds)} buckets from {finding.bounds[0]:g} to {finding.bounds[-1]:g}")
    return "; ".join([*([finding.advice] if finding.advice else []), *seen])


def _data(finding: "Finding") -> dict[str, Any]:
    return {
        "metric": finding.metric,
        "names": list(finding.names),
        "state": finding.state,
        "series": finding.series,
        "labels": {label: list(values) for label, values in finding.labels.items()},
        "bounds": list(finding.bounds),
        "advice": finding.advice,
    }


def _summary(preset: "Preset") -> dict[str, Any]:
    return {"name": preset.name, "measures": list(preset.measured), "about": preset.about, "needs": preset.needs}


def _described(preset: "Preset") -> list[str]:
    lines = [f"{preset.name}: {preset.about}", "", f"Needs      {preset.needs or 'nothing'}"]
    forms = [", ".join(f"{label}={form}" for label, form in shape.items()) for shape in preset.labels]
    lines.append(f"Revisions  {' or '.join(forms)}")
    lines.append(f"Counted by {', '.join(preset.source)}")
    for kind, source in preset.measured.items():
        lines += ["", f"{kind}: {source.series}"]
        given = source.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"where", "needs"})
        lines += [f"  {key}: {_plain(value)}" for key, value in given.items() if isinstance(value, dict | str)]
        lines += [f"  only {label}=~{regex}" for label, regex in source.where.items()]
        lines += [f"  needs: {source.needs}"] if source.needs else []
    lines += [f"\n{kind}: not measured; {why}" for kind, why in preset.lacks.items()]
    return lines


def _plain(value: object) -> str:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
