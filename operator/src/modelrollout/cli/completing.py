"""What kubectl asks when somebody presses Tab after `kubectl modelrollout`.

kubectl runs `kubectl_complete-modelrollout` with the words so far, the unfinished one last. It reads one completion a
line, its description behind a tab, which is just what fish wants; then a colon and a sum of flags.
"""

import contextlib
import io
import os
import shlex
import sys
from typing import Final

from modelrollout.cli.main import app

PROGRAM: Final = "modelrollout"
ANYTHING, NO_FILES = 0, 4
"""Flags: the shell may offer names of files where we offer nothing, or must not."""


def main() -> None:
    """Answer kubectl."""
    *before, unfinished = sys.argv[1:] or [""]
    os.environ.update(
        _MODELROLLOUT_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS=f"{shlex.join([PROGRAM, *before])} {shlex.quote(unfinished) if unfinished else ''}",
    )
    found = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(found):
        app(prog_name=PROGRAM)
    offered = [line for line in found.getvalue().splitlines() if line]
    # What we know nothing of but that it is the value of an option may be a file.
    file = not offered and bool(before) and before[-1].startswith("-")
    sys.stdout.write("\n".join([*offered, f":{ANYTHING if file else NO_FILES}\n"]))
