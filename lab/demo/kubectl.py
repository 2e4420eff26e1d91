"""kubectl, as far as the demo needs it."""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.errors import LabError

Object = dict[str, Any]
CHUNK = 1 << 16


class Kubectl:
    """Runs kubectl with an environment that names the cluster."""

    def __init__(self, program: str | Path, environ: Mapping[str, str]) -> None:
        self.program = str(program)
        self.environ = {**os.environ, **environ}

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the whole command line."""
        return [self.program, *map(str, arguments)]

    def run(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Return what kubectl prints; raise LabError with its own words if it fails."""
        result = self.attempt(*arguments, stdin=stdin)
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
            raise LabError(f"kubectl {' '.join(map(str, arguments[:3]))}: {lines[0]}")
        return result.stdout

    def attempt(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl and hand back whatever came of it."""
        return subprocess.run(
            self.command(*arguments), env=self.environ, input=stdin, capture_output=True, text=True, check=False
        )

    def json(self, *arguments: str | Path, stdin: str | None = None) -> Object:
        """Return what kubectl prints with `-o json`."""
        return dict(json.loads(self.run(*arguments, "-o", "json", stdin=stdin)))

    def items(self, *arguments: str | Path) -> list[Object]:
        """Return the objects of a `get`; none where their kind is not known to the cluster."""
        result = self.attempt("get", *arguments, "-o", "json")
        if "the server doesn't have a resource type" in result.stderr:
            return []
        if result.returncode != 0:
            raise LabError(f"kubectl get {' '.join(map(str, arguments))}: {result.stderr.strip()}")
        return list(json.loads(result.stdout)["items"])

    def exists(self, *arguments: str | Path) -> bool:
        """Tell whether one named object exists."""
        return bool(self.run("get", *arguments, "--ignore-not-found", "-o", "name").strip())

    def apply(self, text: str) -> Object:
        """Apply one object; returns it as the API server stored it."""
        return self.json("apply", "--server-side", "--force-conflicts", "--field-manager=demo", "-f", "-", stdin=text)

    def watch(self, *arguments: str, seconds: float) -> Iterator[Object | None]:
        """Yield an object now and at each change, and None about once a second in between.

        Ends after `seconds`, or when the server ends the watch.
        """
        command = self.command("get", *arguments, "--watch", "-o", "json")
        deadline = time.monotonic() + seconds
        process = subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None  # noqa: S101 - for the type checker; PIPE was asked for
        try:
            pending = b""
            while (left := deadline - time.monotonic()) > 0:
                if not select.select([process.stdout], [], [], min(1.0, left))[0]:
                    yield None
                    continue
                chunk = os.read(process.stdout.fileno(), CHUNK)
                if not chunk:
                    return
                objects, pending = split(pending + chunk)
                yield from objects
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def split(data: bytes) -> tuple[list[Object], bytes]:
    """Return the whole JSON objects at the start of `data`, and the rest."""
    try:
        text = data.decode()
    except UnicodeDecodeError:  # cut within a character; the rest of it is on its way
        return [], data
    decoder = json.JSONDecoder()
    found: list[Object] = []
    at = 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            break
        found.append(dict(value))
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found, text[at:].encode()
