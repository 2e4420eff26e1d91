"""One cell of the soak: a rollout under load, to which one thing after the other happens."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.demo.load import Tally
from tests.support.cells import Cell
from tests.support.kube import Kube
from tests.support.lab import OPERATOR, eventually
from tests.support.story import API, NAME, Story

from benchmarks.audit import Call
from benchmarks.lab import Lab

ENDS: Final = ("Completed", "RolledBack", "Aborted", "TimedOut", "Reported")
LONGEST: Final = 240.0
"""Seconds that one rollout may take."""
HALF: Final = 0.5
"""Share of requests that a bad version fails."""
AFTER: Final = 3.0
"""Seconds after an end in which a late request still belongs to it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, and what clients saw of it."""

    cell: str
    event: str
    ended: str
    """The move that it ended with."""
    seconds: float
    requests: int
    failed: int
    """By anything else than the candidate's own errors."""
    own: int
    """The candidate's own errors that reached users."""
    writes: int
    """API writes of the operator for it, events included."""
    route_writes: int

    @property
    def fine(self) -> bool:
        """Whether users saw nothing but a bad candidate's own errors."""
        return self.failed == 0


class Play:
    """A rollout of one cell, with its clients."""

    def __init__(self, lab: Lab, cell: Cell, namespace: str, rate: int, seed: int) -> None:
        self.lab, self.cell, self.namespace = lab, cell, namespace
        self.random = random.Random(seed)  # noqa: S311 - when to kill, not a secret
        self.version = 1
        self.story = Story(lab.kube, namespace, {}, cell)
        self.story.release(1)
        self.story.until(120, phase="Promoted")
        self.load = self.story.start_load(rate, every="1s")
        self.load.wait_for_answers(5 * rate)

    def events(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield everything that happens, by name."""
        yield "good", self.good
        yield "bad", self.bad
        yield "abort", self.abort
        yield "new template", self.replaced
        yield "killed", self.killed

    def run(self, event: str, act: Callable[[], str]) -> Outcome:
        """Let something happen, and count."""
        # What the gateway answered while the lab was warming up belongs to nobody.
        before, mark, began = self.load.mark(), self.lab.audit.mark(), time.monotonic()
        ended = act()
        seconds = time.monotonic() - began
        time.sleep(AFTER)
        seen = self.load.mark().since(before)
        calls = [call for call in self.lab.audit.since(mark, self.namespace) if call.namespace == self.namespace]
        own = seen.versions[str(self.version)].failed if event == "bad" and str(self.version) in seen.versions else 0
        return Outcome(
            cell=self.cell.name,
            event=event,
            ended=ended,
            seconds=round(seconds, 1),
            requests=seen.requests,
            failed=seen.failed - own,
            own=own,
            writes=sum(call.is_write and call.code < 400 for call in calls),
            route_writes=sum(map(_routes, calls)),
        )

    def good(self) -> str:
        """Release a good version, and see it promoted."""
        self.release()
        return self._end("Completed")

    def bad(self) -> str:
        """Release a version of which half of the requests fail, and see it go back."""
        self.release(ERROR_RATE=HALF)
        return self._end("RolledBack")

    def abort(self) -> str:
        """Have a person abort a good version in the middle."""
        self.release()
        self._middle()
        self.ask("abort")
        return self._end("Aborted")

    def replaced(self) -> str:
        """Release another version in the middle of a rollout."""
        self.release()
        self._middle()
        self.release()
        return self._end("Completed")

    def killed(self) -> str:
        """Kill the operator at a random moment of a good rollout."""
        self.release()
        time.sleep(self.random.uniform(0.0, 12.0))
        kill_operator(self.lab.kube)
        return self._end("Completed")

    def stop(self) -> Tally:
        """Let the clients go."""
        return self.story.stop_load()

    def ask(self, action: str) -> None:
        """Write a person's request."""
        request = {"metadata": {"annotations": {"modelrollout.dev/request": f"{action}@{self.version}"}}}
        self.lab.kube.patch("ModelRollout", NAME, request, api=API, namespace=self.namespace)

    def release(self, **env: object) -> None:
        """Apply the next version, with settings of the model server."""
        self.version += 1
        self.story.release(self.version, **env)

    def _middle(self) -> None:
        self.story.until_move(self.cell.strategy.reaches, LONGEST)
        time.sleep(1.0)

    def _end(self, wanted: str) -> str:
        """Wait for the end of the rollout that was begun last; returns the move that ended it."""

        def ended() -> str | None:
            moves = [move["move"] for move in self.story.moves()]
            begun = max((place for place, move in enumerate(moves) if move == "Started"), default=0)
            return next((move for move in moves[begun:] if move in ENDS), None)

        found = eventually(f"{self.cell.name}: {wanted}", ended, LONGEST, self.story.diagnosis) or ""
        if found != wanted:
            raise AssertionError(f"{self.cell.name}: {wanted} was expected, {found} came\n{self.story.diagnosis()}")
        return found


def kill_operator(kube: Kube) -> None:
    """Kill the operator's process without a warning; the kubelet starts it again."""
    namespace, name = OPERATOR
    for pod in kube.list("Pod", api="v1", namespace=namespace, labels=f"app.kubernetes.io/name={name}"):
        path = kube.path("v1", "Pod", pod["metadata"]["name"], namespace=namespace)
        kube.request("DELETE", path, params={"gracePeriodSeconds": "0", "propagationPolicy": "Background"})


def _routes(call: Call) -> bool:
    kinds = ("httproutes", "traefikservices", "ingressroutes", "services")
    named = call.name == NAME or call.resource != "services"
    return call.is_write and call.resource in kinds and named and call.code < 400
