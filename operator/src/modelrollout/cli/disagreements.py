"""`disagreements`: what the comparer of a shadow step has kept of answers that differ."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from modelrollout.cli import show
from modelrollout.cli.cluster import Cluster
from modelrollout.cli.errors import CliError, ExitCode
from modelrollout.cli.options import Output, Where
from modelrollout.core.evidence.wording import percent

Object = Mapping[str, Any]
LONGEST: Final = 160
"""Characters of a body in the table."""


def run(where: Where, name: str, *, limit: int, output: Output | None) -> None:
    """Show the newest disagreements."""
    cluster = Cluster.connect(where)
    cluster.rollout(name)
    found = checked(cluster.disagreements(name), name)
    shown = {**found, "disagreements": found["disagreements"][:limit]}
    if output is not None:
        show.emit_data(shown, output)
    else:
        show.emit(render(shown, kept=len(found["disagreements"])))


def checked(answer: Any, name: str) -> dict[str, Any]:
    """Return a comparer's answer. Raises CliError for one that has not the form of docs/comparer.md."""
    entries = answer.get("disagreements") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise CliError(
            ExitCode.UNREACHABLE,
            f"the comparer of {name} answers something else than disagreements; install the same version as the "
            "operator's",
        )
    return dict(answer)


def render(found: Object, *, kept: int) -> RenderableType:
    """Return counts and a table for people."""
    entries: Sequence[Object] = found["disagreements"]
    head = Text(
        f"{found.get('namespace')}/{found.get('rollout')}: candidate {found.get('candidate')} against stable "
        f"{found.get('stable')}; {_agree(found.get('pairs'))}; stable with itself: {_agree(found.get('noise'))}"
    )
    if not entries:
        return Group(head, Text("no disagreement is kept"))
    table = show.columns("TIME", "REQUEST", "DIFFERENCE", "WHERE", "LARGEST", "ROWS", "STABLE", "CANDIDATE")
    for one in entries:
        difference = _part(one, "difference")
        table.add_row(
            printable(one.get("time")),
            printable(f"{one.get('method', '')} {one.get('path', '')}"),
            printable(difference.get("kind") or show.NOTHING),
            printable(difference.get("where") or show.NOTHING),
            _number(difference.get("largest")),
            f"{difference.get('disagreeingRows', show.NOTHING)}/{difference.get('rows', show.NOTHING)}",
            *(_answer(_part(one, side)) for side in ("stable", "candidate")),
        )
    more = f"{len(entries)} of {kept} kept, newest first; -o json shows whole answers, --limit more of them"
    return Group(head, Text(), table, Text(), Text(more))


def printable(value: object) -> str:
    """Return a text that a terminal only shows: model servers, not we, wrote it."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(value if value is not None else ""))


def _part(one: Object, name: str) -> Object:
    part = one.get(name)
    return part if isinstance(part, dict) else {}


def _agree(pairs: object) -> str:
    counts = pairs if isinstance(pairs, dict) else {}
    agree, disagree = (counts.get(name) for name in ("agree", "disagree"))
    if not isinstance(agree, int) or not isinstance(disagree, int) or agree + disagree == 0:
        return "no pairs yet"
    return f"{agree} of {agree + disagree} pairs agree ({percent(agree / (agree + disagree))})"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else printable(value or show.NOTHING)


def _answer(answer: Object) -> str:
    body = printable(answer.get("body"))
    cut = len(body) > LONGEST or bool(answer.get("truncated"))
    return f"{printable(answer.get('status', show.NOTHING))} {body[:LONGEST]}{'...' if cut else ''}".rstrip()
