"""`list`: one line a rollout."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from modelrollout.api.base import API_VERSION
from modelrollout.cli import show
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.options import ListOutput, Where
from modelrollout.cli.view import time_of
from modelrollout.core.revision import image_of

Object = Mapping[str, Any]


def run(where: Where, *, everywhere: bool, output: ListOutput | None) -> None:
    """List the rollouts of a namespace, or of all."""
    cluster = Cluster.connect(where)
    found = sorted(cluster.rollouts(everywhere=everywhere), key=_place)
    if output in (ListOutput.JSON, ListOutput.YAML):
        show.emit_data({"apiVersion": API_VERSION, "kind": "ModelRolloutList", "items": found}, output)
    elif found:
        show.emit(table(found, show.now(), namespaces=everywhere, wide=output is ListOutput.WIDE))
    else:
        place = "" if everywhere else f" in namespace {cluster.namespace}; look at all with -A"
        show.emit(f"No rollouts{place}.")


def table(rollouts: Sequence[Object], now: datetime, *, namespaces: bool, wide: bool) -> Table:
    """Return the table. Reads the raw status, so that one odd rollout spoils no list."""
    names = ["NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "STABLE", "CANDIDATE", "READY", "AGE"]
    result = show.columns(*(["NAMESPACE"] if namespaces else []), *names, *(["IMAGE", "MESSAGE"] if wide else []))
    for raw in rollouts:
        metadata, status, spec = raw["metadata"], raw.get("status") or {}, raw.get("spec") or {}
        cells = [
            metadata["name"],
            show.word(status.get("phase")),
            _step(status, spec),
            f"{(status.get('weights') or {}).get('candidate', 0)}%",
            show.word(status.get("verdict")),
            status.get("stable") or show.NOTHING,
            status.get("candidate") or show.NOTHING,
            f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
            show.ago(time_of(metadata.get("creationTimestamp")), now),
        ]
        if wide:
            cells += [image_of(spec.get("template") or {}) or show.NOTHING, status.get("message") or ""]
        result.add_row(*([metadata.get("namespace", "")] if namespaces else []), *cells)
    return result


def _step(status: Object, spec: Object) -> str:
    step = status.get("step")
    if not step:
        return show.NOTHING
    from modelrollout.api.spec import Spec  # noqa: PLC0415 - only where a rollout is in progress
    from modelrollout.core.strategies import steps_of  # noqa: PLC0415

    try:
        total = len(steps_of(Spec.model_validate(spec)))
    except ValueError:
        total = len((spec.get("strategy") or {}).get("steps") or ())
    return f"{step.get('index', 0) + 1}/{total} {step.get('name', '')}"


def _place(raw: Object) -> tuple[str, str]:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
