"""Weights of clients over the gateways of the lab: who has the candidate keeps it, and more get it, until all do."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab.paths import ENVOY_GATEWAY, GATEWAY

from modelrollout.api.strategy import Sticky
from modelrollout.core.split import Matched
from modelrollout.core.sticky import buckets, patterns
from tests.e2e.conftest import Begin
from tests.support.cells import cell
from tests.support.clients import Headers, keyed, takes
from tests.support.lab import eventually
from tests.support.story import NAME, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROGRAM = Path(sys.executable).parent / "kubectl-modelrollout"
HEADER, COOKIE = Sticky(header="x-user-id"), Sticky(cookie="uid")
WAYS = {"gateway-api/traefik": HEADER, "gateway-api/envoy": COOKIE, "traefik": HEADER}
STEPS = [{"weight": 20}, {"pause": {}}, {"weight": 50}, {"pause": {}}]
USERS = [f"8d3b5a1e-7c52-4f0e-9b1d-2a6f4c9e07{ending:02x}" for ending in range(256)]
"""One of each ending: so many of them as there are buckets."""
ASK = "/v2/models/fraud"
BETWEEN = 0.004


@dataclass
class Clients:
    """Every user, and somebody without a key after each: they ask one after the other, and note who answers."""

    story: Story
    key: Sticky
    address: str
    answers: dict[int | None, list[str]] = field(default_factory=dict)
    """By user, None for those without a key: the versions that answered, one after the other."""
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self._thread.start()

    def sent(self, user: int | None) -> Headers:
        """Return what a user sends."""
        name = self.key.cookie or self.key.header or ""
        return {} if user is None else keyed(name, USERS[user], cookie=self.key.cookie is not None)

    def _connected(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, trust_env=False, timeout=5, headers={"Host": self.story.host})

    def _ask_on(self) -> None:
        with self._connected() as http:
            for user in cycle(range(len(USERS))):
                for one in (user, None):
                    if self._over.wait(BETWEEN):
                        return
                    self._note(one, http)

    def _note(self, user: int | None, http: httpx.Client) -> None:
        try:
            version = self._version(user, http)
        except (httpx.HTTPError, KeyError) as error:
            self.failed.append(f"{user}: {error!r}")
            return
        with self._lock:
            answers = self.answers.setdefault(user, [])
            if answers[-1:] != [version]:
                answers.append(version)

    def _version(self, user: int | None, http: httpx.Client) -> str:
        answer = http.get(ASK, headers=dict(self.sent(user)))
        return str(answer.raise_for_status().json()["versions"][0])

    def served_by(self, version: int) -> frozenset[int | None]:
        """Return who is answered by a version now, each asked once."""
        with self._connected() as http:
            everybody = [None, *range(len(USERS))]
            return frozenset(user for user in everybody if self._version(user, http) == str(version))

    def have(self, version: int) -> frozenset[int | None]:
        """Return who is answered by a version, the same each time that they ask."""
        first, *more = (self.served_by(version) for _ in range(3))
        assert more == [first, first]
        return first

    def moves(self) -> set[tuple[str, ...]]:
        """Return the versions that users had one after the other since they were last asked this."""
        with self._lock:
            answers, self.answers = self.answers, {}
        assert all(len(found) == 1 for user, found in answers.items() if user is None), answers[None]
        return {tuple(found) for found in answers.values()}

    def stop(self) -> None:
        """Send everybody home."""
        self._over.set()
        self._thread.join(timeout=20)


@pytest.fixture(scope="module")
def crowds(begin: Begin) -> Iterator[dict[str, Clients]]:
    """Start all of them, so that their pods come up side by side."""
    stories = {}
    for way, key in WAYS.items():
        strategy = {
            "steps": STEPS,
            "minStepDuration": "2s",
            "guard": {"duration": "5s"},
            "sticky": key.model_dump(exclude_unset=True),
        }
        place = cell("canary", way)
        analysis = {"preset": place.router.preset, "metrics": [{"name": "errors"}], "harmBudget": "10%"}
        stories[way] = begin(f"sticky-{way.replace('/', '-')}", cell=place, strategy=strategy, analysis=analysis)
    for story in stories.values():
        story.until(120, phase="Promoted")
    found = {way: Clients(story, WAYS[way], _address(way)) for way, story in stories.items()}
    yield found
    for clients in found.values():
        clients.stop()


def _address(way: str) -> str:
    return ENVOY_GATEWAY if way == "gateway-api/envoy" else GATEWAY


def ask(story: Story, what: str) -> None:
    """Ask something of the rollout as people do."""
    command = [str(PROGRAM), what, NAME, "--namespace", story.namespace]
    environ = {**os.environ, "KUBECONFIG": str(story.kube.kubeconfig)}
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)


def paused_at(story: Story, weight: int) -> dict[str, Any]:
    """Wait until the rollout waits for a person at a weight, and return its status."""

    def probe() -> dict[str, Any] | None:
        status = story.status
        waits = status.get("phase") == "Paused" and status.get("step", {}).get("name") == "pause"
        return status if waits and status["weights"]["candidate"] == weight else None

    return eventually(f"{story.namespace}: paused at {weight}%", probe, 150, story.diagnosis) or {}


def expected(clients: Clients, weight: int, revision: str) -> frozenset[int | None]:
    """Return the users that are to have the candidate at a weight."""
    matched = Matched(revision, patterns=patterns(clients.key, weight, revision))
    return frozenset(user for user in range(len(USERS)) if takes(matched, clients.sent(user)))


@pytest.mark.parametrize("way", WAYS)
def test_clients_keep_what_they_have(crowds: dict[str, Clients], way: str) -> None:
    clients = crowds[way]
    story = clients.story
    answered = lambda: len(clients.answers) == len(USERS) + 1  # noqa: E731
    eventually("version 1 answers everybody", answered, 60, story.diagnosis)
    clients.failed.clear()  # of the time before the gateway knew the route

    story.release(2)
    revision = paused_at(story, 20)["candidate"]
    fifth = clients.have(2)
    assert fifth == expected(clients, 20, revision)
    assert len(fifth) == buckets("Hex", 20)
    ask(story, "promote")
    paused_at(story, 50)
    half = clients.have(2)
    assert half == expected(clients, 50, revision)
    assert (half > fifth, len(half)) == (True, buckets("Hex", 50))
    assert clients.moves() <= {("1",), ("1", "2")}, "somebody went back, or had the candidate without a key"

    ask(story, "abort")
    eventually("nobody has the candidate any more", lambda: not clients.served_by(2), 30, story.diagnosis)
    assert clients.moves() <= {("1",), ("2",), ("2", "1")}

    story.release(3)
    paused_at(story, 20)
    ask(story, "promote")
    paused_at(story, 50)
    assert clients.moves() <= {("1",), ("1", "3")}
    ask(story, "promote")
    story.until_move("Promoted", 60)
    # Also those who send no key, from one moment on.
    eventually("everybody has the candidate", lambda: len(clients.served_by(3)) == len(USERS) + 1, 30, story.diagnosis)
    story.until_move("Completed", 60)
    clients.stop()
    found = {tuple(one) for one in clients.answers.values()}
    assert found <= {("1", "3"), ("3",)}, found
    assert clients.failed == []
