"""`history`: every move that is remembered, with who, when and why, and the revisions there are."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelrollout.cli import panel, show
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.options import Output, Where
from modelrollout.cli.view import View, view_of


def run(where: Where, name: str, *, output: Output | None) -> None:
    """Show the moves of a rollout, newest first, and its revisions."""
    cluster = Cluster.connect(where)
    view = view_of(cluster.rollout(name), cluster.deployments(name), show.now())
    if output is not None:
        show.emit_data(data(view), output)
    else:
        show.emit(render(view))


def render(view: View) -> RenderableType:
    """Return moves and revisions for people."""
    if not view.status.history:
        return Text(f"{view.title}: nothing has happened yet")
    moves = show.columns("WHEN", "MOVE", "REVISION", "WEIGHT", "BY", "IMAGE", "WHY")
    for move in reversed(view.status.history):
        moves.add_row(
            f"{move.at:%Y-%m-%d %H:%M:%S}",
            show.word(move.move),
            move.revision,
            f"{move.weight}%",
            move.by or show.NOTHING,
            move.image or show.NOTHING,
            move.message,
        )
    return Group(
        Text("Moves, newest first (UTC)", "bold"), moves, Text(), Text("Revisions", "bold"), panel.revisions(view)
    )


def data(view: View) -> dict[str, Any]:
    """Return moves, newest first, and revisions for programs."""
    return {
        "namespace": view.namespace,
        "name": view.name,
        "moves": [move.model_dump(mode="json", exclude_none=True) for move in reversed(view.status.history)],
        "revisions": [
            {
                "revision": revision.name,
                "role": revision.role,
                "weight": revision.weight,
                "readyPods": revision.ready,
                "desiredPods": revision.desired,
                "image": view.image(revision.name),
            }
            for revision in view.revisions
        ],
    }
