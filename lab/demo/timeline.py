"""What the demo prints: acts, one line a move, and a table in the end."""

import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TextIO

from lab.demo.kubectl import Object

INDENT = 31
WIDEST = 120


class Timeline:
    """Prints acts and moves; on a terminal also what is being waited for, on a line that comes and goes."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.began = time.monotonic()
        self.seen: list[Object] = []

    @property
    def seconds(self) -> float:
        """Seconds since the act's clock was started."""
        return time.monotonic() - self.began

    def act(self, title: str, *paragraph: str) -> None:
        """Begin an act: its title, and what happens in it and why."""
        self._clear()
        lines = textwrap.wrap(" ".join(paragraph), width=_width() - 2)
        self._print("", title, *(f"  {line}" for line in lines), "")
        self.start()

    def start(self) -> None:
        """Set the clock to zero."""
        self.began = time.monotonic()

    def note(self, text: str) -> None:
        """Print something that the demo itself does."""
        self._line("", "demo", text)

    def moves(self, history: Sequence[Object]) -> list[Object]:
        """Print the moves that were not printed yet; returns them."""
        fresh = [move for move in history if move not in self.seen]
        self.seen += fresh
        for move in fresh:
            weight = {"Promoted": 100, "Completed": 100}.get(move["move"], move.get("weight", 0))
            self._line(f"{weight} %", move["move"], move["message"])
        return fresh

    def waiting(self, text: str) -> None:
        """Show on a terminal what happens between two moves."""
        if self.live and text:
            line = f"{self.seconds:6.1f} s         ... {text}"
            self.stream.write(f"\r\x1b[K{line[: _width() - 1]}")
            self.stream.flush()

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; what looks like a number stands to the right."""
        self._clear()
        columns = list(zip(head, *rows, strict=True))
        widths = [max(len(cell) for cell in column) for column in columns]
        numbers = [all(cell[:1].isdigit() or cell == "-" for cell in column[1:]) for column in columns]
        for row in (head, *rows):
            cells = [
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, numbers, strict=True)
            ]
            self._print("  " + "   ".join(cells).rstrip())

    def print(self, *lines: str) -> None:
        """Print lines as they are."""
        self._clear()
        self._print(*lines)

    def _line(self, weight: str, what: str, text: str) -> None:
        self._clear()
        head = f"{self.seconds:6.1f} s  {weight:>5}  {what:<12}"
        wrapped = textwrap.wrap(text, width=max(20, _width() - INDENT)) or [""]
        self._print(f"{head:<{INDENT}}{wrapped[0]}", *(" " * INDENT + more for more in wrapped[1:]))

    def _clear(self) -> None:
        if self.live:
            self.stream.write("\r\x1b[K")

    def _print(self, *lines: str) -> None:
        print(*lines, sep="\n", file=self.stream, flush=True)


def _width() -> int:
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 40)).columns)
