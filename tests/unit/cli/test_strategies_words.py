"""What the commands say at every kind of step, and what a shadow ends with."""

from typing import Any

import pytest

from modelrollout.cli import disagreements, explain, panel, report
from modelrollout.cli.errors import CliError
from modelrollout.cli.onwards import next_step
from tests.unit.cli.rollouts import (
    AT_APPROVAL,
    AT_GATE,
    AWAITING,
    CANDIDATE,
    GUARDING,
    PROGRESSING,
    PROMOTED,
    REPORTED,
    ROLLED_BACK,
    SHADOW_STEPS,
    SHADOWING,
    STABLE,
    Raw,
    at,
    view,
)
from tests.unit.cli.test_words import text

ANALYSIS = {"preset": "traefik", "metrics": [{"name": "errors"}, {"name": "agreement"}]}
FREEZE = {"timeZone": "Europe/Berlin", "freeze": [{"days": ["Sun"], "from": "08:00", "to": "18:00"}]}
"""Now is a Sunday, 13:00 in Berlin."""


def looked(status: Raw, **strategy: Any) -> Any:
    return view(status, strategy={"steps": SHADOW_STEPS, **strategy}, analysis=ANALYSIS)


def shadow_only(status: Raw) -> Any:
    return view(status, strategy={"type": "Shadow"}, analysis=ANALYSIS)


def at_match() -> Raw:
    return {**PROGRESSING, "step": {"index": 1, "name": "match x-canary=1", "since": at(-42)}}


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (
            looked(SHADOWING),
            [
                "0% candidate   shadow 10% mirrored to the comparer",
                "[shadow 10%] → match x-canary=1 → gate evaluation → gate approval → 20% → switch to 100%   step",
                "agreement       Pass      31/9843 (0.315%)   -",
            ],
        ),
        (looked(at_match()), ["match x-canary=1 to the candidate"]),
        (view(PROGRESSING, strategy={"sticky": {"cookie": "uid"}}), ["10% candidate   of clients, by cookie uid"]),
        (
            looked(AT_GATE),
            ["gate        evaluation Running for 2m: its pod runs; auc 0.9123, auc_stable 0.91", "[gate evaluation]"],
        ),
        (looked(AWAITING), ["awaiting    a person, for 1m30s: promote goes on, abort goes back"]),
        (looked({**PROGRESSING, "queued": "dddddddddd"}), ["queued      revision dddddddddd waits for the end"]),
        (looked(PROGRESSING, schedule=FREEZE), ["frozen      until Sun 18:00 Europe/Berlin (in 5h)"]),
        (shadow_only(SHADOWING), ["[shadow 10%] → report"]),
        (shadow_only(REPORTED), ["prod/fraud: Reported", f"{CANDIDATE}   reported   -"]),
    ],
)
def test_status_at_every_kind_of_step(shown: Any, said: list[str]) -> None:
    found = text(panel.plain(shown))
    for words in said:
        assert words in found


def test_a_frozen_rollout_says_so_only_while_something_is_on_its_way() -> None:
    assert "frozen" not in text(panel.plain(looked(PROMOTED, schedule=FREEZE)))
    never = {"freeze": [{}]}
    assert "until further notice: its schedule allows no moves at all" in text(
        panel.plain(looked(PROGRESSING, schedule=never))
    )


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (looked(SHADOWING), "match x-canary=1 (step 2), as soon as every metric that looks at a shadow passes"),
        (shadow_only(SHADOWING), "a report, without promotion, as soon as every metric that looks at a shadow passes"),
        (
            looked(at_match()),
            "gate evaluation (step 3), as soon as every metric passes, 1000 requests of each revision are seen",
        ),
        (looked(at_match()), "not before 18s from now: the least time at this step"),
        (
            looked(AT_GATE),
            "gate approval (step 4), as soon as gate evaluation passes; should it fail, the rollout goes back",
        ),
        (looked(AT_GATE, automation={"rollback": "manual"}), "should it fail, a person decides"),
        (looked(AT_APPROVAL), "weight 20 (step 5), when a person runs approve; abort goes back"),
        (
            looked({**PROGRESSING, "step": {"index": 4, "name": "weight 20", "since": at(-5)}}),
            "the switch of all traffic (step 6), as soon as every metric passes and the pods for it are ready",
        ),
        (
            looked(
                {**PROGRESSING, "step": {"index": 4, "name": "w", "since": at(-5)}}, automation={"promotion": "manual"}
            ),
            "ready; then a person runs promote, for promotion is manual",
        ),
        (looked(AWAITING), "when a person runs promote: the step is over, and promotion is manual"),
        (looked(PROGRESSING, automation={"rollback": "manual"}), "a person decides, for rollback is manual"),
        (
            looked({**PROGRESSING, "phase": "Paused", "paused": "failing, and rollback is manual: errors worse"}),
            "a person decides: abort goes back, promote goes on to gate evaluation (step 3) all the same",
        ),
        (looked(PROGRESSING, schedule=FREEZE), "not before Sun 18:00 Europe/Berlin: frozen by its schedule"),
        (looked({**PROGRESSING, "step": None}), "shadow 10% (step 1), as soon as the pods for it are ready"),
        (looked({**GUARDING, "queued": "dddddddddd"}), "when this rollout is over: revision dddddddddd"),
        (shadow_only(REPORTED), "report shows what it found, retry runs it again"),
    ],
)
def test_what_comes_next(shown: Any, said: str) -> None:
    assert said in "\n".join(next_step(shown))


def test_explain_tells_shadow_gate_and_agreement() -> None:
    shown = text(explain.render(looked({**SHADOWING, "gate": AT_GATE["gate"]})))
    for words in (
        "shadow 10% mirrored to the comparer",
        "evaluation Running for 2m",
        "failed requests: candidate 12/240 (5%), stable 3/4560 (0.0658%)",
        "pairs of answers that disagree: 31/9843 (0.315%)",
        "difference: 0.315% disagree",
        "evidence that enough answers agree: 1e43",
        "tolerated: failed requests may rise by 25% + 0.02% over stable",
    ):
        assert words in shown
    data = explain.data(looked(SHADOWING, schedule=FREEZE))
    assert data["shadow"] == {"percent": 10, "to": "comparer"}
    assert data["frozenUntil"] == "2026-03-01T17:00:00+00:00"
    assert explain.data(looked(AT_GATE))["gate"]["numbers"]["auc"] == 0.9123456
    assert explain.data(looked(AWAITING))["awaiting"].startswith("2026-03-01T11:58:30")


def test_shadow_verdicts_have_their_own_share_of_alpha() -> None:
    errors, agreement = explain.data(looked(SHADOWING))["evidence"]
    assert errors["harm"]["limit"] == pytest.approx(1.0 / (0.01 * 0.9 * 3 / 7))
    assert agreement["harm"]["limit"] == pytest.approx(1.0 / (0.01 * 0.9 * 1 / 7))


def test_a_report_is_an_end_and_fine() -> None:
    shown = shadow_only(REPORTED)
    assert (shown.at_rest, shown.healthy) == (True, True)


def test_report_of_a_shadow_that_is_over() -> None:
    shown = text(report.render(shadow_only(REPORTED)), width=300)
    for words in (
        "prod/fraud: the shadow is over, nothing was promoted after 10m, 5m ago",
        f"  stable     {STABLE}  registry.example/fraud:1.4",
        f"  candidate  {CANDIDATE}  registry.example/fraud:1.5",
        "shadow errors   Pass      12/240 (5%)        3/4560 (0.0658%)",
        "0.315% disagree (0.215% to 0.447%)",
        "at least 98% of the answers must agree",
        "every metric passed; to roll it out",
    ):
        assert words in shown
    data = report.data(shadow_only(REPORTED))
    assert (data["over"], data["passed"], data["pairs"]) == (True, True, 9843)
    assert data["agreement"] == pytest.approx(1.0 - 31 / 9843)
    assert data["ended"] == "2026-03-01T11:55:00+00:00"


def test_report_of_a_shadow_in_progress_or_rolled_back() -> None:
    assert "in progress for 5m; what follows is not final" in text(report.render(looked(SHADOWING)))
    back = text(report.render(looked({**ROLLED_BACK, "history": REPORTED["history"][:1]})))
    assert "rolled back" in back
    assert "errors worse than the tolerated increase" in back
    assert report.data(looked(SHADOWING))["over"] is False
    assert "nothing was measured" in text(report.render(shadow_only({**REPORTED, "verdicts": []})))


@pytest.mark.parametrize(
    ("shown", "fault"),
    [
        (view(PROGRESSING), "nothing to report: its strategy has no shadow step"),
        (looked(PROMOTED), "nothing to report: no shadow is in progress or just over, it is Promoted"),
        (looked(SHADOWING), None),
        (shadow_only(REPORTED), None),
    ],
)
def test_when_there_is_nothing_to_report(shown: Any, fault: str | None) -> None:
    found = report.nothing(shown)
    assert found is None if fault is None else str(found).startswith(fault)


ANSWER: Raw = {
    "namespace": "prod",
    "rollout": "fraud",
    "stable": STABLE,
    "candidate": CANDIDATE,
    "pairs": {"agree": 9812, "disagree": 31},
    "noise": {"agree": 0, "disagree": 0},
    "disagreements": [
        {
            "time": "2026-03-01T10:00:00.123Z",
            "method": "POST",
            "path": "/v2/models/fraud/infer",
            "difference": {"kind": "value", "where": "$.a", "largest": 0.21, "rows": 3, "disagreeingRows": 1},
            "stable": {"status": 200, "body": '{"a": 1}', "truncated": False},
            "candidate": {"status": 200, "body": "\x1b[31m" + "x" * 500, "truncated": True},
        },
        {"time": None, "difference": None, "stable": [], "path": 3},
    ],
}


def test_disagreements_are_a_table_and_cannot_write_to_the_terminal() -> None:
    shown = text(disagreements.render(disagreements.checked(ANSWER, "fraud"), kept=2), width=600)
    assert "9812 of 9843 pairs agree (99.7%); stable with itself: no pairs yet" in shown
    assert 'POST /v2/models/fraud/infer   value        $.a     0.21      1/3    200 {"a": 1}' in shown
    assert "\x1b" not in shown
    assert "\\x1b[31mxxx" in shown
    assert "2 of 2 kept" in shown


def test_no_disagreements_and_no_comparers_answer() -> None:
    assert "no disagreement is kept" in text(disagreements.render({**ANSWER, "disagreements": []}, kept=0))
    for answer in ({}, {"disagreements": 3}, {"disagreements": ["x"]}, []):
        with pytest.raises(CliError, match="install the same version"):
            disagreements.checked(answer, "fraud")
