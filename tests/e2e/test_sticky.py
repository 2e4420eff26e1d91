"""Weights of clients over the gateways of the lab: who has the candidate keeps it, and more get it, until all do."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest
from lab.paths import ENVOY_GATEWAY, GATEWAY

from modelrollout.api.strategy import Sticky
from modelrollout.core.split import Matched
from modelrollout.core.sticky import patterns
from tests.e2e.conftest import Begin
from tests.support.cells import cell
from tests.support.clients import Headers, keyed, takes
from tests.support.lab import eventually
from tests.support.story import NAME, Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROGRAM = Path(sys.executable).parent / "kubectl-modelrollout"
HEADER, COOKIE = Sticky(header="x-user-id"), Sticky(cookie="uid")
WAYS = {"gateway-api/traefik": HEADER, "gateway-api/envoy": COOKIE, "traefik": HEADER}
STEPS = [{"weight": 20, "minDuration": "1h"}, {"weight": 50, "minDuration": "1h"}]
"""It is a person who goes on: how many requests there are, and how soon they suffice, is nothing to these stories."""
USERS = [f"8d3b5a1e-7c52-4f0e-9b1d-2a6f4c9e07{ending:02x}" for ending in range(0, 256, 8)]
"""Evenly spread over the endings."""
OTHERS = 4
"""Users for each client without a key."""
ASK = "/v2/models/fraud"
BETWEEN = 0.02


@dataclass
class Clients:
    """Users, and now and then somebody without a key: they ask one after the other, and note who answers."""

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
        return httpx.Client(base_url=self.address, trust_env=False, timeout=20, headers={"Host": self.story.host})

    def _ask_on(self) -> None:
        with self._connected() as http:
            for turn in count():
                if self._over.wait(BETWEEN):
                    return
                user = turn % (len(USERS) + OTHERS)
                self._note(user if user < len(USERS) else None, http)

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
        analysis = {"preset": place.router.preset, "metrics": [{"name": "errors"}]}
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


def at(clients: Clients, weight: int, version: int) -> frozenset[int | None]:
    """Wait until those have the candidate who are to have it at a weight, and return them; they stay the same."""
    story = clients.story
    story.until_weight(weight)
    candidate = story.status["candidate"]
    matched = Matched(candidate, patterns=patterns(clients.key, weight, candidate))
    found = frozenset(user for user in range(len(USERS)) if takes(matched, clients.sent(user)))
    eventually("the gateway follows", lambda: clients.served_by(version) == found, 60, story.diagnosis)
    assert clients.served_by(version) == found
    assert abs(len(found) / len(USERS) - weight / 100) < 1 / 50
    return found


@pytest.mark.parametrize("way", WAYS)
def test_clients_keep_what_they_have(crowds: dict[str, Clients], way: str) -> None:
    clients = crowds[way]
    story = clients.story
    answered = lambda: len(clients.answers) == len(USERS) + 1  # noqa: E731
    eventually("version 1 answers everybody", answered, 90, story.diagnosis)
    clients.failed.clear()  # of the time before the gateway knew the route

    story.release(2)
    fifth = at(clients, 20, 2)
    ask(story, "promote")
    half = at(clients, 50, 2)
    assert fifth < half
    assert clients.moves() <= {("1",), ("1", "2")}, "somebody went back, or had the candidate without a key"

    ask(story, "abort")
    eventually("nobody has the candidate any more", lambda: not clients.served_by(2), 30, story.diagnosis)
    assert clients.moves() <= {("1",), ("2",), ("2", "1")}

    story.release(3)
    at(clients, 20, 3)
    ask(story, "promote")
    at(clients, 50, 3)
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
