"""One line a step: its number, its name, what it is doing and how long it took."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lab.errors import LabError, StepError

NAME_WIDTH = 44
TAIL_LINES = 20
NICE = ("nice", "-n", "10")  # in front of commands that would slow down everything else
# What Go, pip and apt print when a package registry does not answer.
NETWORK_SIGNS = (
    "dial tcp",
    "i/o timeout",
    "no such host",
    "Connection refused",
    "Could not resolve",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Unable to connect",
)
UNREACHABLE = "a package registry did not answer: check the network, or use `make demo CLUSTER=current`"


def render(number: int, total: int, name: str, seconds: float | None, detail: str = "") -> str:
    """Return a step's line; `seconds` is None while the step cannot show a time yet."""
    count = f"[{number:>{len(str(total))}}/{total}]"
    text = f"{name} ({detail})" if detail else name
    if seconds is None:
        return f"{count} {text} ..."
    return f"{count} {text:.<{NAME_WIDTH}} {seconds:.1f} s"


def tail(log: Path, start: int, lines: int = TAIL_LINES) -> str:
    """Return the last `lines` lines that `log` gained after byte `start`."""
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode(errors="replace")
    return "\n".join(text.rstrip().splitlines()[-lines:])


class Step:
    """A running step: it runs commands whose output goes to the log."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.start = log.stat().st_size
        self.detail = ""

    def say(self, detail: str) -> None:
        """Show what the step is doing, or in the end what it did."""
        self.detail = detail
        self.write(f"-- {detail}\n")

    def write(self, text: str) -> None:
        """Add text to the log."""
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(text)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> str:
        """Run a command, log what it prints, return its standard output.

        `env` is added to the environment. A non-zero end raises StepError.
        """
        argv = [str(word) for word in command]
        self.write(f"$ {' '.join(argv)}\n")
        with self.log.open("ab") as log:
            try:
                result = subprocess.run(
                    argv,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    input=stdin,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    check=False,
                )
            except FileNotFoundError as missing:
                raise LabError(f"{argv[0]} is not installed: {missing}") from missing
        self.write(result.stdout)
        if result.returncode != 0:
            shown = [word for word in argv if word not in NICE][:3]
            raise self.failed(f"`{' '.join(shown)}` ended with {result.returncode}")
        return result.stdout

    def succeeds(self, command: Sequence[str | Path]) -> bool:
        """Run a command that may fail and tell whether it did not; what it prints is dropped."""
        argv = [str(word) for word in command]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def failed(self, why: str, log: Path | None = None) -> StepError:
        """Return the error that ends this step, with the end of its log or of `log`."""
        if log is None:
            end = tail(self.log, self.start)
            hint = f"; {UNREACHABLE}" if any(sign in end for sign in NETWORK_SIGNS) else ""
            return StepError(why + hint, self.log, end)
        return StepError(why, log, tail(log, 0) if log.exists() else "")


class Line:
    """Shows a step on a plain stream: begun at once, completed at its end."""

    def __init__(self, stream: TextIO, number: int, total: int, name: str, step: Step) -> None:
        self.stream = stream
        self.number = number
        self.total = total
        self.name = name
        self.step = step
        self.began = time.monotonic()

    def begin(self) -> None:
        """Show that the step runs."""
        self.stream.write(render(self.number, self.total, self.name, None))
        self.stream.flush()

    def end(self, mark: str) -> None:
        """Show how long the step took; `mark` tells a failure."""
        detail = f" ({self.step.detail})" if self.step.detail else ""
        self.stream.write(f" {mark}{time.monotonic() - self.began:.1f} s{detail}\n")
        self.stream.flush()


class LiveLine(Line):
    """Shows a step on a terminal: its line is redrawn while it runs."""

    def begin(self) -> None:
        """Start redrawing."""
        self.ended = threading.Event()
        self.ticker = threading.Thread(target=self._redraw, daemon=True)
        self.ticker.start()

    def end(self, mark: str) -> None:
        """Stop redrawing and leave the line as it is in the end."""
        self.ended.set()
        self.ticker.join()
        self.stream.write(f" {mark}\n" if mark else "\n")
        self.stream.flush()

    def _redraw(self) -> None:
        over = False
        while not over:
            over = self.ended.wait(0.2)
            seconds = time.monotonic() - self.began
            line = render(self.number, self.total, self.name, seconds, self.step.detail)
            self.stream.write(f"\r\x1b[K{line}")
            self.stream.flush()


class Progress:
    """Numbers the steps of one command, shows them, and keeps their log."""

    def __init__(self, command: str, total: int, logs: Path, stream: TextIO = sys.stderr) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.log = logs / f"{command}.log"
        if self.log.exists():
            self.log.replace(logs / f"{command}.previous.log")
        self.log.touch()
        self.total = total
        self.number = 0
        self.began = time.monotonic()
        self.stream = stream

    @property
    def seconds(self) -> float:
        """Seconds since this command began."""
        return time.monotonic() - self.began

    def print(self, text: str) -> None:
        """Print a line of its own."""
        print(text, file=self.stream, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show one step while the block runs; commands belong to the yielded Step."""
        self.number += 1
        step = Step(self.log)
        step.write(f"== {name}\n")
        kind = LiveLine if self.stream.isatty() else Line
        line = kind(self.stream, self.number, self.total, name, step)
        line.begin()
        mark = "FAILED "
        try:
            yield step
            mark = ""
        finally:
            line.end(mark)
            step.write(f"== {name}: {mark or 'done '}after {time.monotonic() - line.began:.1f} s\n")
