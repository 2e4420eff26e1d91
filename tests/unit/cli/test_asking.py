"""Requests that make no sense are refused before they are written."""

import pytest

from modelrollout.cli.asking import refusal
from modelrollout.core.request import Action
from tests.unit.cli.rollouts import (
    APPROVAL,
    AT_APPROVAL,
    AT_GATE,
    AWAITING,
    CANDIDATE,
    GUARDING,
    PAUSED,
    PROGRESSING,
    PROMOTED,
    REPORTED,
    ROLLED_BACK,
    SHADOW_STEPS,
    STABLE,
    Raw,
    at,
    view,
)

AT_PAUSE = {**PROGRESSING, "step": {"index": 1, "name": "pause", "since": at(-5)}}


@pytest.mark.parametrize(
    ("status", "action", "fault"),
    [
        (PROGRESSING, "promote", None),
        (GUARDING, "promote", None),
        (PROMOTED, "promote", "nothing to promote: no rollout is in progress, it is Promoted"),
        (PROGRESSING, "abort", None),
        (GUARDING, "abort", None),
        (ROLLED_BACK, "abort", "nothing to abort: no rollout is in progress, it is RolledBack"),
        (PROGRESSING, "pause", None),
        (PAUSED, "pause", "it is paused already (by sara@example.com); resume lets it go on"),
        (PROMOTED, "pause", "nothing to pause: no rollout is in progress, it is Promoted"),
        (PAUSED, "resume", None),
        (AT_PAUSE, "resume", None),
        (PROGRESSING, "resume", "nothing to resume: it is not paused but Progressing"),
        (ROLLED_BACK, "retry", None),
        (PROMOTED, "retry", "nothing to retry: it is Promoted, not RolledBack or Reported"),
        (PROMOTED, "undo", None),
        (GUARDING, "undo", None),
        (PROGRESSING, "undo", "a rollout is in progress; abort goes back to stable"),
        ({**PROMOTED, "observedGeneration": 0}, "promote", None),
        (None, "retry", None),
    ],
)
def test_refusals(status: Raw | None, action: Action, fault: str | None) -> None:
    assert refusal(view(status), action) == fault


@pytest.mark.parametrize(
    ("to", "fault"),
    [
        (STABLE, None),
        (CANDIDATE, f"revision {CANDIDATE} serves already"),
        ("zzz", f"revision zzz is not kept; known: {STABLE}"),
    ],
)
def test_undo_to_a_revision(to: str, fault: str | None) -> None:
    assert refusal(view(PROMOTED), "undo", to) == fault


def test_undo_without_anything_to_go_back_to() -> None:
    assert "raise spec.revisionHistoryLimit" in str(refusal(view(PROMOTED, []), "undo"))


@pytest.mark.parametrize(
    ("status", "action", "fault"),
    [
        (AT_APPROVAL, "approve", None),
        (AT_APPROVAL, "promote", None),
        (AT_APPROVAL, "resume", "nothing to resume: a gate waits for a person; run approve"),
        (
            AT_GATE,
            "approve",
            "nothing to approve: gate evaluation waits for its job, not for a person; promote goes past it",
        ),
        (PROGRESSING, "approve", "nothing to approve: no gate waits for a person, it is Progressing"),
        (
            {**AT_APPROVAL, "gate": {**APPROVAL, "state": "Passed"}},
            "approve",
            "nothing to approve: no gate waits for a person, it is Progressing",
        ),
        (REPORTED, "approve", "nothing to approve: no gate waits for a person, it is Reported"),
        (REPORTED, "retry", None),
        (REPORTED, "promote", "nothing to promote: no rollout is in progress, it is Reported"),
        (AWAITING, "resume", None),
        (AWAITING, "promote", None),
    ],
)
def test_refusals_at_every_kind_of_step(status: Raw, action: Action, fault: str | None) -> None:
    assert refusal(view(status, strategy={"steps": SHADOW_STEPS}), action) == fault
