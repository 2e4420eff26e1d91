"""What is wrong with a model, and which signal says so: every named defect in a rollout of its own.

All stories go on side by side, each in a thread, because each is mostly waiting; the tests then look at one defect
after the other. The table in docs/model-server.md says the same in words.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lab.demo.load import Tally

from tests.e2e.conftest import Begin
from tests.support.cells import cell
from tests.support.kube import Kube
from tests.support.lab import eventually
from tests.support.labeller import Labeller
from tests.support.load import Load
from tests.support.story import IMAGE, NAME, Story

RELEASES = int(os.environ.get("RELEASES", "10"))
"""Versions that are released one after another under load, with pods going away at each."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EVALUATION = Path(__file__).with_name("evaluation.py").read_text(encoding="utf-8")
RATE = 30
LEAKING = 70
"""Requests a second of the story in which each of the candidate's leaks 64 KiB."""
LONGEST = 120
"""Seconds in which a defect has to be found, from the release on."""
SLICED = {"SLICE_FEATURE": "hour", "SLICE_VALUES": "3", "FEEDBACK_COHORT_S": 10, "FEEDBACK_PEERS": "fraud-pods:8080"}
"""Labels are counted apart for one hour of the day, a row in 24; cohorts are short, as a rollout here takes seconds."""
TOO_MUCH = 90e6
"""Bytes resident: about twice what a server of this model needs."""
ERRORS = {"name": "errors", "maxIncrease": {"relative": "25%", "absolute": "5%"}}
LABELS = {"name": "quality", "maxDrop": "10%", "slices": {"label": "slice", "values": ["3", "other"]}}
MEMORY = {
    "name": "memory",
    "query": 'max(process_resident_memory_bytes{namespace="{namespace}",pod=~"{name}-{candidate}-.+"})',
    "max": TOO_MUCH,
}


@dataclass(frozen=True)
class Defect:
    """A defect of the model server, and how the message begins by which it is rolled back (or one of several)."""

    name: str
    signal: str | tuple[str, ...]
    env: dict[str, object]


TABLE = {
    "requests": (
        Defect("failing", "errors worse", {"ERROR_RATE": 0.2}),
        Defect("slow", "latency worse", {"LATENCY_MS": 160}),
        Defect("leaking", "memory", {"DEFECT": "leaking"}),
        Defect("crashing", ("errors worse", "pods of the candidate crash again and again"), {"CRASH_AFTER_S": 8}),
    ),
    "answers": (
        Defect("swapped columns", "predictions drifted", {"DEFECT": "swapped-columns"}),
        Defect("label shift", "predictions drifted", {"DEFECT": "label-shift"}),
    ),
    "labels": (
        Defect("worse on one slice", "quality[3] worse", {"DEFECT": "worse-slice", **SLICED}),
        Defect("label shift, by labels", "quality[other] worse", {"DEFECT": "label-shift", **SLICED}),
    ),
    "shadow": (
        Defect("swapped columns, in the shadow", "agreement missed", {"DEFECT": "swapped-columns"}),
        Defect("label shift, in the shadow", "agreement missed", {"DEFECT": "label-shift"}),
        Defect("worse on one slice, in the shadow", "agreement missed", {"DEFECT": "worse-slice"}),
    ),
}
"""Story -> its defects, released one after another."""
DEFECTS = [(story, defect) for story, defects in TABLE.items() for defect in defects]


@dataclass
class Ending:
    """How one release ended."""

    move: dict[str, Any]
    seconds: float
    status: dict[str, Any]
    before: dict[str, Any]
    """The last status that was seen while it was under way: a promoted rollout compares nothing any more."""

    @property
    def asked(self) -> int:
        """The candidate's requests, rows, labels or pairs that the blamed metric had counted."""
        blamed = [one for one in self.status.get("verdicts", []) if one["verdict"] == "Fail"]
        return max((one.get("candidate", {}).get("requests", 0) for one in blamed), default=0)


@dataclass
class Played:
    """All stories, and how each release ended or will end."""

    stories: dict[str, Story]
    endings: dict[str, Future[Any]] = field(default_factory=dict)

    def ending(self, name: str) -> Any:
        """Wait for a release's end; an error of its thread is raised here."""
        return self.endings[name].result(timeout=800)


def released(story: Story, version: int, env: dict[str, object], *ends: str, seconds: float = LONGEST) -> Ending:
    """Release a version and wait for one of these moves, or for its rollback."""
    history, begun, seen = story.moves(), time.monotonic(), [story.status]
    story.release(version, **env)

    def probe() -> Ending | None:
        status = story.status
        found = (move for move in status.get("history", []) if move not in history)
        move = next((move for move in found if move["move"] in (*ends, "RolledBack")), None)
        if status.get("phase") == "Progressing":
            seen[0] = status
        return Ending(move, time.monotonic() - begun, status, seen[0]) if move else None

    ending = eventually(f"{story.namespace}: the end of version {version}", probe, seconds, story.diagnosis)
    assert ending is not None
    return ending


def rolled_back(
    story: Story, defects: tuple[Defect, ...], endings: dict[str, Future[Any]], load: Load | None = None
) -> None:
    """Release one defect after another; what goes wrong goes to whoever asks for its ending."""
    try:
        if load is not None:
            load.wait_for_answers(RATE)
        for number, defect in enumerate(defects, start=2):
            endings[defect.name].set_result(released(story, number, defect.env))
    except BaseException as error:
        for defect in defects:
            if not endings[defect.name].done():
                endings[defect.name].set_exception(error)
        raise


def holding(*metrics: dict[str, Any], preset: str = "traefik") -> dict[str, Any]:
    """Return a canary that stays at half of the requests for longer than any defect takes to be found."""
    strategy = {"steps": [{"weight": 50}], "minStepDuration": f"{LONGEST}s", "guard": {"duration": "5s"}}
    return {"replicas": 1, "strategy": strategy, "analysis": {"preset": preset, "metrics": list(metrics)}}


@pytest.fixture(scope="module")
def stories(begin: Begin, lab: Kube) -> dict[str, Story]:
    """Begin all of them: version 1 of each serves."""
    errors, latency = {"name": "errors"}, {"name": "latency"}
    shadow = [ERRORS, {"name": "agreement", "minAgreement": "90%"}]
    drift = {"steps": [{"match": {"headers": {"x-cohort": "b"}, "share": 50, "minRequests": 200}}]}
    good = {"steps": [{"weight": 50}], "minStepDuration": "25s", "guard": {"duration": "5s"}}
    begun = {
        "requests": begin("requests", {"LATENCY_MS": 40}, **holding(errors, latency, MEMORY)),
        "answers": begin("answers", **holding(errors, {"name": "predictions", "maxDistance": 0.1})),
        "labels": begin("labels", SLICED, **{**holding(ERRORS, LABELS), "strategy": good}),
        "shadow": begin(
            "shadow",
            cell=cell("shadow", "traefik"),
            replicas=1,
            analysis={"preset": "traefik-crd", "metrics": shadow},
        ),
        "inputs": begin(
            "inputs",
            **{**holding(ERRORS, {"name": "inputs"}), "strategy": {**drift, "minStepDuration": "15s"}},
        ),
        "gate": begin("gate", replicas=1),
        "drain": begin(
            "drain",
            strategy={"type": "BlueGreen", "guard": {"duration": "5s"}},
            analysis={"preset": "traefik", "metrics": [ERRORS]},
        ),
    }
    pods = {"clusterIP": "None", "selector": {"modelrollout.dev/name": NAME}, "ports": [{"name": "http", "port": 8080}]}
    where = {"name": "fraud-pods", "namespace": begun["labels"].namespace}
    lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": pods})
    return begun


@pytest.fixture(scope="module")
def labeller(stories: dict[str, Story]) -> Iterator[Labeller]:
    """Return the clients of the story with labels; they come when it serves."""
    clients = Labeller(stories["labels"].host, rate=12, rows=50)
    yield clients
    clients.stop()


@pytest.fixture(scope="module")
def cohorts(stories: dict[str, Story]) -> Iterator[tuple[Labeller, Labeller]]:
    """Return the clients of the story with drifted inputs: those of one cohort pay other amounts."""
    host = stories["inputs"].host
    both = (
        Labeller(host, 15, 4, labels=False),
        Labeller(host, 15, 4, labels=False, scale=2.5, headers={"x-cohort": "b"}),
    )
    yield both
    for clients in both:
        clients.stop()


@pytest.fixture(scope="module")
def played(
    stories: dict[str, Story],
    served: Callable[[Story], None],
    labeller: Labeller,
    cohorts: tuple[Labeller, Labeller],
) -> Iterator[Played]:
    """Let all stories go on."""
    names = [*(defect.name for _, defect in DEFECTS), "good", "drift", "gate", "drain"]
    play = Played(stories, {name: Future() for name in names})

    def defects(name: str) -> None:
        load = stories[name].start_load(LEAKING if name == "requests" else RATE)
        rolled_back(stories[name], TABLE[name], play.endings, load)

    def labels() -> Ending:
        labeller.start()
        rolled_back(stories["labels"], TABLE["labels"], play.endings)
        return released(stories["labels"], 9, dict(SLICED), "Promoted", seconds=180)

    def inputs() -> Ending:
        for clients in cohorts:
            clients.start()
        return released(stories["inputs"], 2, {}, "Promoted", seconds=180)

    with ThreadPoolExecutor(len(stories)) as threads:
        for story in stories.values():
            served(story)
        for name in ("requests", "answers", "shadow"):
            threads.submit(defects, name)
        play.endings["good"] = threads.submit(labels)
        play.endings["drift"] = threads.submit(inputs)
        play.endings["gate"] = threads.submit(gated, stories["gate"])
        play.endings["drain"] = threads.submit(drained, stories["drain"])
        yield play


def evaluation(bias: float) -> list[dict[str, Any]]:
    """Return steps whose gate evaluates a model with this bias on labelled rows, with `model-server evaluate`."""
    container = {
        "name": "evaluate",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/venv/bin/python3", "-c", EVALUATION],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": "BIAS", "value": str(bias)}],
    }
    job = {"template": {"spec": {"automountServiceAccountToken": False, "containers": [container]}}}
    return [{"gate": {"name": "holdout", "job": job}}, {"weight": 50}]


def gated(story: Story) -> tuple[Ending, Ending]:
    """Release a version whose model is worse on labelled rows, then one whose model is as good."""
    found = []
    for version, bias, ends in ((2, 2.0, ()), (3, 0.0, ("GatePassed",))):
        story.spec["strategy"] = {"steps": evaluation(bias)}
        found.append(released(story, version, {}, *ends))
    return found[0], found[1]


def drained(story: Story) -> tuple[int, Tally]:
    """Release good versions one after another; return how many were promoted, and what clients saw of all that.

    The number of pods changes each time: so pods go away while they serve, beside those of the version before.
    """
    story.start_load(RATE).wait_for_answers(RATE)
    promoted = 0
    for number in range(RELEASES):
        story.spec["replicas"] = 3 - number % 2
        promoted += released(story, number + 2, {}, "Completed").move["move"] == "Completed"
    return promoted, story.stop_load()


@pytest.mark.parametrize(("story", "defect"), DEFECTS, ids=[defect.name for _, defect in DEFECTS])
def test_a_defect_is_rolled_back_by_its_signal(played: Played, story: str, defect: Defect) -> None:
    ending = played.ending(defect.name)
    print(f"{defect.name}: {ending.move['message']} ({ending.asked} counted, {ending.seconds:.0f} s)")
    assert ending.move["move"] == "RolledBack", played.stories[story].diagnosis()
    assert ending.move["message"].startswith(defect.signal), played.stories[story].diagnosis()


def test_what_answers_and_labels_find_fails_no_request(played: Played, labeller: Labeller) -> None:
    for name in ("answers", "shadow"):
        played.ending(TABLE[name][-1].name)
        tally = played.stories[name].stop_load()
        assert tally.failed == 0, tally
        if name == "shadow":
            assert {version for version, count in tally.versions.items() if count.requests} == {"1"}, tally
    played.ending("good")
    labeller.stop()
    assert labeller.failed == []
    assert labeller.joined > 0.9 * (labeller.joined + labeller.unknown), "any pod finds the one that knows a prediction"


def test_a_good_version_with_labels_is_promoted(played: Played) -> None:
    ending = played.ending("good")
    assert ending.move["move"] == "Promoted", played.stories["labels"].diagnosis()
    print(f"good: {ending.move['message']} ({ending.seconds:.0f} s)")
    counted = re.findall(r"quality\[(3|other)\] safe at 100%: candidate \d+/(\d+)", ending.move["message"])
    assert {part for part, _ in counted} == {"3", "other"}, "promoted on labels, not for want of them"
    assert min(int(labels) for _, labels in counted) >= 30


def test_drifted_inputs_are_told_and_move_nothing(played: Played, cohorts: tuple[Labeller, Labeller]) -> None:
    ending, story = played.ending("drift"), played.stories["inputs"]
    assert ending.move["move"] == "Promoted", story.diagnosis()
    conditions = {one["type"]: one for one in ending.before["conditions"]}
    print(f"drifted inputs: {conditions['InputDrift']['message']} ({ending.seconds:.0f} s)")
    assert conditions["InputDrift"]["status"] == "True", story.diagnosis()
    assert "amount" in conditions["InputDrift"]["message"]
    assert [clients.failed for clients in cohorts] == [[], []]


def test_an_evaluation_says_no_before_any_request(played: Played) -> None:
    failed, passed = played.ending("gate")
    print(f"gate: {failed.move['message']} ({failed.seconds:.0f} s); {passed.move['message']}")
    diagnosis = played.stories["gate"].diagnosis
    assert (failed.move["move"], passed.move["move"]) == ("RolledBack", "GatePassed"), diagnosis()
    assert "log loss is worse by" in failed.move["message"], diagnosis()
    assert failed.status["gate"]["numbers"]["rows"] == 3000, diagnosis()
    assert played.stories["gate"].highest_weight(failed.move["revision"]) == 0


def test_no_request_is_lost_in_release_after_release(played: Played) -> None:
    promoted, tally = played.ending("drain")
    print(f"drain: {promoted} releases, {tally.requests} requests, {tally.failed} failed")
    assert promoted == RELEASES, played.stories["drain"].diagnosis()
    assert tally.failed == 0, tally
