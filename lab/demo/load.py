"""Requests at a constant rate through the gateway, and what became of them."""

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from string import Template
from typing import Any

from lab.demo.kubectl import Kubectl
from lab.paths import SOURCE

NOBODY = "none"
"""The version of answers that no model server gave: the gateway's own."""
LONGEST = "30m"


@dataclass
class Count:
    """Requests, and how many of them failed."""

    requests: int = 0
    failed: int = 0


@dataclass
class Tally:
    """What clients saw, by the version that answered.

    `times` counts all answers by how long they took: upper bound in milliseconds (2 % above the one below) -> answers.
    """

    versions: dict[str, Count] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    times: Counter[float] = field(default_factory=Counter)

    def read(self, line: str) -> None:
        """Take in one line of the load generator's log; lines that are not its events are skipped."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        if event.get("event") == "summary":
            self.summary = event
        for version, seen in event.get("versions", {}).items():
            count = self.versions.setdefault(version, Count())
            count.requests += seen["requests"]
            count.failed += seen["failed"]
        for bound, answers in event.get("times", {}).items():
            self.times[float(bound)] += answers

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Tally":
        """Return the tally of a whole log."""
        tally = cls()
        for line in lines:
            tally.read(line)
        return tally

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(count.requests for count in self.versions.values())

    @property
    def failed(self) -> int:
        """All failed requests."""
        return sum(count.failed for count in self.versions.values())

    def copy(self) -> "Tally":
        """Return the tally as it is now, also while another thread reads on."""
        versions = {name: Count(count.requests, count.failed) for name, count in list(self.versions.items())}
        return Tally(versions, self.summary, Counter(self.times))

    def since(self, earlier: "Tally") -> "Tally":
        """Return what came after an earlier copy of this tally."""
        versions = {}
        for name, count in self.versions.items():
            before = earlier.versions.get(name, Count())
            versions[name] = Count(count.requests - before.requests, count.failed - before.failed)
        return Tally(versions, self.summary, self.times - earlier.times)

    def quantile(self, share: float) -> float:
        """Return the time in milliseconds that `share` (0 to 1) of the answers took at most, to within 2 %.

        Raise ValueError if there are no answers.
        """
        rank = share * self.times.total()
        for bound in sorted(self.times):
            rank -= self.times[bound]
            if rank <= 0:
                return bound
        raise ValueError("no answers, so no quantile of their times")


def job(**values: object) -> str:
    """Return the Job that sends requests, as YAML, from its name, namespace, image, target, host and rate."""
    text = (SOURCE / "manifests" / "load.yaml").read_text(encoding="utf-8")
    return Template(text).substitute({"duration": LONGEST, **values})


class Load:
    """A running load Job and its log."""

    def __init__(self, kubectl: Kubectl, name: str, namespace: str) -> None:
        self.kubectl = kubectl
        self.name = name
        self.namespace = namespace
        self.tally = Tally()

    def start(self, manifest: str) -> None:
        """Apply the Job and follow its log."""
        where = ("-n", self.namespace)
        self.kubectl.apply(manifest)
        self.kubectl.run("wait", "--for=jsonpath={.status.ready}=1", f"job/{self.name}", *where, "--timeout=60s")
        self.process = subprocess.Popen(
            self.kubectl.command("logs", "--follow", f"job/{self.name}", *where),
            env=self.kubectl.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - for the type checker; PIPE was asked for
        for line in self.process.stdout:
            self.tally.read(line)

    def stop(self) -> Tally:
        """End the Job; its pod writes a summary before it goes."""
        # In the foreground: the log must be read to its end before the pod is gone.
        self.kubectl.run("delete", "job", self.name, "-n", self.namespace, "--cascade=foreground", "--wait")
        self.reader.join(timeout=30)
        self.process.kill()
        self.process.wait()
        return self.tally
