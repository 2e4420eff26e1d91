"""What can go wrong in the lab."""

from pathlib import Path


class LabError(Exception):
    """Something the user can act on; the message is one line and says how."""


class StepError(LabError):
    """A step failed; `log` holds what it printed and `tail` its last lines."""

    def __init__(self, message: str, log: Path, tail: str) -> None:
        super().__init__(message)
        self.log = log
        self.tail = tail
