"""Where output goes: colour and width for a terminal, plain whole lines for a pipe."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from modelrollout.api.units import format_duration
from modelrollout.cli.options import ListOutput, Output

STYLES: Final = {
    "Initializing": "cyan",
    "Progressing": "cyan",
    "Paused": "yellow",
    "Guarding": "green",
    "Promoted": "green",
    "Reported": "green",
    "RolledBack": "red",
    "Pass": "green",
    "Fail": "bold red",
    "NoData": "yellow",
    "ProviderError": "magenta",
    "Waiting": "yellow",
    "Running": "cyan",
    "Passed": "green",
    "Failed": "bold red",
    "Error": "magenta",
    "stable": "green",
    "candidate": "cyan",
    "previous": "blue",
    "reported": "blue",
    "old": "dim",
}
NOTHING: Final = "-"
_ENDLESS: Final = 100_000


def console() -> Console:
    """Return a console on stdout: coloured on a terminal unless NO_COLOR is set, unbounded in a pipe."""
    if sys.stdout.isatty():
        return Console(highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
    return Console(highlight=False, color_system=None, width=_ENDLESS, soft_wrap=True)


def emit(renderable: RenderableType) -> None:
    """Print; in a pipe without the padding that tables have."""
    target = console()
    if target.is_terminal:
        target.print(renderable)
        return
    with target.capture() as captured:
        target.print(renderable)
    for line in captured.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()


def emit_data(data: Any, output: Output | ListOutput) -> None:
    """Print data for programs."""
    if output == "json":
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        import yaml  # noqa: PLC0415 - for this form only

        sys.stdout.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    sys.stdout.flush()


def columns(*names: str) -> Table:
    """Return an empty table in the manner of kubectl."""
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def word(text: str | None) -> Text:
    """Write a word in the colour of what it means."""
    return Text(text or NOTHING, STYLES.get(text or "", ""))


def ago(moment: datetime | None, now: datetime) -> str:
    """Write how long ago something was, as kubectl does: one unit, two when they matter."""
    if moment is None:
        return NOTHING
    elapsed = max(now - moment, timedelta())
    if elapsed >= timedelta(days=2):
        return f"{elapsed.days}d"
    if elapsed >= timedelta(hours=10):
        return f"{elapsed // timedelta(hours=1)}h"
    if elapsed >= timedelta(minutes=10):
        return format_duration(timedelta(minutes=elapsed // timedelta(minutes=1)))
    return format_duration(elapsed)


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)
