"""How commands fail: one line for people, an exit code for scripts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """What every command's exit code means."""

    OK = 0
    UNHEALTHY = 1
    """The rollout was rolled back, or its spec is refused."""
    USAGE = 2
    """Wrong arguments, or a request that makes no sense at the moment."""
    UNREACHABLE = 3
    """No answer of the cluster, or no right to ask."""
    NOT_FOUND = 4
    TIMEOUT = 124
    INTERRUPTED = 130


class CliError(Exception):
    """A fault to report and to exit with; the text names object, fault and remedy."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@contextmanager
def reported() -> Iterator[None]:
    """Turn faults into a line on stderr and an exit code."""
    try:
        yield
    except CliError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(int(error.code)) from None
    except KeyboardInterrupt:
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python must not complain when it flushes at exit.
        sys.stdout = None
        raise typer.Exit(int(ExitCode.OK)) from None


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Turn a ValueError into a fault of what an option was given."""
    try:
        yield
    except ValueError as error:
        raise CliError(ExitCode.USAGE, f"{option}: {error}") from None
