"""A model server as a process."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3] / "model-server" / "src"


class Process:
    """A running server; `wait_for` follows its log, so that no test has to sleep."""

    def __init__(self, **environ: str) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "PORT": "0", **environ}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "model_server"], env=env, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.seen: list[str] = []

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the log until a line has the pattern."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the server ended without saying {pattern!r}: {self.seen}")

    def listening(self) -> str:
        """Return the address once it listens."""
        port = self.wait_for(r"listening on port (\d+)")[1]
        return f"127.0.0.1:{port}"

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        return self.popen.wait()


Start = Callable[..., Process]


@contextlib.contextmanager
def starting() -> Iterator[Start]:
    """Yield a function that starts a server; all of them end with the block."""
    processes: list[Process] = []

    def run(**environ: str) -> Process:
        processes.append(Process(**environ))
        return processes[-1]

    yield run
    for process in processes:
        process.popen.kill()
        process.popen.wait()
        assert process.popen.stderr is not None
        process.popen.stderr.close()
