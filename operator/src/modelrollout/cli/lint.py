"""`lint`: what the API server or the operator would refuse in a ModelRollout, and what is risky in it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import ValidationError

from modelrollout.adapters.prometheus.presets import PresetError, Presets
from modelrollout.adapters.prometheus.signals import signal_of
from modelrollout.api.base import API_VERSION, KIND
from modelrollout.api.resource import ModelRollout, faults, spelled
from modelrollout.cli.advice import advice
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.files import Document, documents
from modelrollout.cli.refusals import refusals
from modelrollout.cli.strategy_advice import Place


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about a file."""

    file: str
    line: int | None
    object: str
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        field = f" {self.field}:" if self.field else ""
        return f"{place}: {self.object}:{field} {self.message}"


def run(files: list[Path], *, rps: float | None, as_json: bool) -> None:
    """Check files; exits with 2 when one of them would be refused."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    names: list[str] = []
    presets = Presets.installed()
    for file in files:
        names += _read(file, presets, rps, errors, warnings)
    if as_json:
        typer.echo(json.dumps(_document(names, errors, warnings), indent=1))
    else:
        for kind, findings in (("error", errors), ("warning", warnings)):
            for finding in findings:
                typer.echo(f"{kind}: {finding}")
        if not errors:
            also = f", {len(warnings)} warning{'s' if len(warnings) != 1 else ''}" if warnings else ""
            typer.echo(f"fine: {', '.join(names)}{also}")
    if errors:
        raise typer.Exit(int(ExitCode.USAGE))


def _read(file: Path, presets: Presets, rps: float | None, errors: list[Finding], warnings: list[Finding]) -> list[str]:
    """Check the rollouts of a file; returns their names."""
    try:
        read = list(documents(file))
    except CliError as error:
        # Whoever reads -o json gets this, too, and other files are checked all the same.
        errors.append(Finding(str(file), None, "file", "", str(error).removeprefix(f"{file}: ")))
        return []
    rollouts = [one for one in read if isinstance(one.content, dict) and one.content.get("kind") == KIND]
    if not rollouts:
        errors.append(Finding(str(file), None, "file", "", f"has no {KIND} ({API_VERSION}); name a file with one"))
    for document in rollouts:
        _check(document, presets, rps, errors, warnings)
    return [_name(document) for document in rollouts]


def _document(names: list[str], errors: list[Finding], warnings: list[Finding]) -> dict[str, Any]:
    return {
        "ok": not errors,
        "rollouts": names,
        "errors": [asdict(finding) for finding in errors],
        "warnings": [asdict(finding) for finding in warnings],
    }


def _check(
    document: Document, presets: Presets, rps: float | None, errors: list[Finding], warnings: list[Finding]
) -> None:
    raw = document.content

    def finding(place: Place, message: str) -> Finding:
        line = _line(document, place)
        return Finding(document.file, line, f"{KIND} {_name(document)}", spelled(place), message)

    if raw.get("apiVersion") != API_VERSION:
        errors.append(finding(("apiVersion",), f"is {raw.get('apiVersion')!r}; write {API_VERSION}"))
        return
    try:
        rollout = ModelRollout.model_validate({**raw, "status": raw.get("status") or {}})
    except ValidationError as error:
        errors += [finding(place, words) for place, words in faults(error)]
        return
    for index, metric in enumerate(rollout.spec.analysis.metrics):
        try:
            if metric.query is None:
                signal_of(presets, rollout.spec, metric.name)
        except PresetError as error:
            own = ("spec", "analysis", "metrics", index, "preset") if metric.preset else ("spec", "analysis", "preset")
            fault = finding(own, str(error).removeprefix("spec.analysis.preset: "))
            if fault not in errors:
                errors.append(fault)
    refused = list(refusals(rollout))
    errors += [finding(place, words) for place, words in refused]
    # What is refused needs no advice.
    warnings += [
        finding(place, words)
        for place, words in advice(rollout, rps)
        if not any(place[: len(bad)] == bad for bad, _ in refused)
    ]


def _name(document: Document) -> str:
    metadata = document.content.get("metadata")
    return str(metadata.get("name", "?")) if isinstance(metadata, dict) else "?"


def _line(document: Document, place: Place) -> int:
    """Return the line of a field, or of what is nearest to it where it is not written."""
    node, line = document.node, document.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def check_rps(rps: float | None) -> None:
    """Refuse a rate that is none. Raises CliError."""
    if rps is not None and not 0.0 < rps < 1e9:
        raise CliError(ExitCode.USAGE, "--rps: must be above 0, for instance 100")
