"""What the commands say of rollouts in every state."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from modelrollout.api.spec import Analysis
from modelrollout.cli import explain, history, listing, panel
from modelrollout.cli.errors import CliError
from modelrollout.cli.onwards import next_step
from modelrollout.core.evidence.judge import harm_shares
from tests.unit.cli.rollouts import (
    CANDIDATE,
    DEPLOYMENTS,
    ERRORS,
    GUARDING,
    NOW,
    PAUSED,
    PROGRESSING,
    PROMOTED,
    ROLLED_BACK,
    STABLE,
    Raw,
    at,
    conditions,
    rollout,
    view,
)

ALONE = 1.0 / (0.01 * harm_shares(Analysis(preset="traefik"))["errors"])
"""The e-value at which errors alone roll back."""


def text(renderable: RenderableType, width: int = 200) -> str:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (None, ["the operator has not looked at it yet", "has not acted on the spec as it is now"]),
        (
            PROGRESSING,
            [
                "holding 10%",
                "stable 90% ───────────────────────────███ 10% candidate",
                "5% ✓ → [10%] → 25% → 50% → 100%   step 2 of 4, for 42s",
                f"{STABLE}   stable      90%      4/4    registry.example/fraud:1.4",
                f"{CANDIDATE}   candidate   10%      0/1    registry.example/fraud:1.5",
                f"errors   NoData    12/240 (5%)        3/4560 (0.0658%)   2.1/{ALONE:.0f}       0.301/20",
                "42s   Weight    5% -> 10% (step 2 of 4)",
                "Ready=False Stalled=False",
            ],
        ),
        (PAUSED, ["paused      by sara@example.com"]),
        (GUARDING, [f"4m left; {STABLE} stays ready to take over", "guard    Pass      3/900 (0.333%)     -"]),
        (ROLLED_BACK, ["errors worse than the tolerated increase", "Stalled=True"]),
        (
            {**PROMOTED, "pin": {"revision": STABLE, "insteadOf": CANDIDATE}},
            [f"serves {STABLE} instead of the template's {CANDIDATE}"],
        ),
        (
            {
                **PROMOTED,
                "request": {"id": "1", "action": "abort", "by": "sara", "at": at(-30), "outcome": "nothing to abort"},
            },
            ["abort by sara 30s ago: nothing to abort"],
        ),
        (
            {**PROGRESSING, "conditions": conditions("False", "Refused", "True", "spec.template: no container")},
            ["stalled     spec.template: no container"],
        ),
    ],
)
def test_status(status: Raw | None, said: list[str]) -> None:
    shown = text(panel.plain(view(status)))
    for words in said:
        assert words in shown


def test_the_panel_fits_a_narrow_terminal() -> None:
    shown = text(panel.panel(view(PROGRESSING)), width=60)
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert "fraud (prod) Progressing" in shown


@pytest.mark.parametrize(
    ("candidate", "bar"), [(0, "─" * 30), (1, "─" * 29 + "█"), (99, "─" + "█" * 29), (100, "█" * 30)]
)
def test_the_bar_shows_that_both_sides_get_something(candidate: int, bar: str) -> None:
    status = {**PROGRESSING, "weights": {"stable": 100 - candidate, "candidate": candidate}}
    assert f" {bar} " in text(panel.plain(view(status)))


def test_one_line_for_pipes() -> None:
    assert panel.line(view(PROGRESSING)) == (
        "Progressing step 2/4 10%: holding 10%: needs about 900 more candidate requests"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            PROGRESSING,
            [
                "prod/fraud is Progressing, step 2 of 4 (weight 10) for 42s",
                f"candidate  {CANDIDATE}  10% of requests  registry.example/fraud:1.5",
                f"stable     {STABLE}  90% of requests  registry.example/fraud:1.4",
                "failed requests: candidate 12/240 (5%), stable 3/4560 (0.0658%)",
                "tolerated: failed requests may rise by 25% + 0.02% over stable",
                f"evidence that it is worse than tolerated: 2.1 (alone rolls back at {ALONE:.0f})",
                "evidence that it is safe at the next weight: 0.301 (passes at 20)",
                "weight 25 (step 3), as soon as every metric passes and the pods for it are ready",
                "not before 18s from now: the least time at this weight",
                "42s ago  Weight: 5% -> 10% (step 2 of 4)",
            ],
        ),
        (PAUSED, ["paused (by sara@example.com): resume goes on to weight 25 (step 3), abort goes back"]),
        (
            GUARDING,
            [
                f"in 4m the guard ends and {STABLE} is scaled down",
                "evidence that it is worse than any working model: <0.01 (rolls back at 1000)",
            ],
        ),
        (PROMOTED, ["nothing, until the template changes"]),
        (ROLLED_BACK, ["change the template, or run retry"]),
        (None, ["the first revision serves as soon as its pods are ready"]),
        (
            {**PROGRESSING, "conditions": conditions("False", "Refused", "True", "no container")},
            ["nothing, until the spec is changed"],
        ),
        (
            {**PROGRESSING, "verdicts": [ERRORS, {**ERRORS, "name": "latency", "harm": "0.10"}]},
            ["all metrics together, that it is worse: ", " (rolls back at 100)"],
        ),
    ],
)
def test_explain(status: Raw | None, said: list[str]) -> None:
    shown = text(explain.render(view(status)))
    for words in said:
        assert words in shown


STEPS = [{"weight": 5}, {"pause": {}}, {"weight": 50, "maxDuration": "5m", "onTimeout": "Rollback"}, {"weight": 80}]


@pytest.mark.parametrize(
    ("index", "name", "said"),
    [
        (0, "weight 5", "pause (step 2), as soon as every metric passes"),
        (1, "pause", "weight 50 (step 3), when a person runs promote"),
        (2, "weight 50", "without a verdict within 4m18s: rollback"),
        (3, "weight 80", "promotion to 100%, as soon as every metric passes"),
    ],
)
def test_what_comes_next(index: int, name: str, said: str) -> None:
    step = {"index": index, "name": name, "since": at(-42)}
    looked = view({**PROGRESSING, "step": step}, strategy={"steps": STEPS})
    assert said in "\n".join(next_step(looked))


def test_explain_for_programs() -> None:
    data = explain.data(view(PROGRESSING))
    (errors,) = data["evidence"]
    assert errors["candidate"] == {"requests": 240, "bad": 12, "rate": 0.05}
    assert errors["harm"]["eValue"] == pytest.approx(2.096, abs=1e-3)
    assert errors["harm"]["limit"] == pytest.approx(ALONE)
    assert data["candidate"] == {"revision": CANDIDATE, "image": "registry.example/fraud:1.5", "weight": 10}
    assert data["next"][0].startswith("weight 25 (step 3)")


def test_an_e_value_beyond_floats_is_given_as_a_logarithm() -> None:
    (errors,) = explain.data(view({**PROGRESSING, "verdicts": [{**ERRORS, "harm": "9999.00"}]}))["evidence"]
    assert errors["harm"]["logE"] == 9999.0
    assert "eValue" not in errors["harm"]


def test_history() -> None:
    shown = text(history.render(view(PROGRESSING))).splitlines()
    newest = next(line for line in shown if "Weight" in line)
    assert newest.split()[:5] == ["2026-03-01", "11:59:18", "Weight", CANDIDATE, "10%"]
    assert next(k for k, line in enumerate(shown) if "Weight" in line) < next(
        k for k, line in enumerate(shown) if "Started" in line
    )
    assert history.data(view(PROGRESSING))["revisions"][0] == {
        "revision": STABLE,
        "role": "stable",
        "weight": 90,
        "readyPods": 4,
        "desiredPods": 4,
        "image": "registry.example/fraud:1.4",
    }


def test_history_of_nothing() -> None:
    assert text(history.render(view(None))) == "prod/fraud: nothing has happened yet"


def test_list() -> None:
    rollouts = [rollout(PROGRESSING), rollout(None, name="fresh")]
    shown = text(listing.table(rollouts, NOW, namespaces=True, wide=False)).splitlines()
    assert shown[0].split() == [
        *("NAMESPACE", "NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "STABLE", "CANDIDATE", "READY", "AGE"),
    ]
    assert shown[1].split() == [
        *("prod", "fraud", "Progressing", "2/4", "weight", "10", "10%", "NoData", STABLE, CANDIDATE, "4/4", "2h"),
    ]
    assert shown[2].split() == ["prod", "fresh", "-", "-", "0%", "-", "-", "-", "0/4", "2h"]


@pytest.mark.parametrize("status", [{"phase": "Dancing"}, {"step": {"index": -4}}])
def test_an_odd_status_spoils_no_list_but_is_named_where_it_is_read(status: Mapping[str, Any]) -> None:
    text(listing.table([rollout(dict(status))], NOW, namespaces=False, wide=True))
    with pytest.raises(CliError, match=r"ModelRollout prod/fraud: status\.(phase|step.*): .*install the same version"):
        view(dict(status))


def test_a_spec_that_cannot_be_read_still_shows_its_status() -> None:
    looked = view({**PROMOTED, "conditions": conditions("False", "Refused", "True", "bad spec")}, replicas=-1)
    assert looked.spec is None
    assert not looked.healthy
    assert "bad spec" in text(panel.plain(looked))
    assert text(explain.render(looked))


@pytest.mark.parametrize(
    ("status", "rests", "healthy"),
    [
        (None, False, True),
        (PROGRESSING, False, True),
        (PAUSED, False, True),
        (GUARDING, False, True),
        (PROMOTED, True, True),
        (ROLLED_BACK, True, False),
        ({**PROMOTED, "observedGeneration": 0}, False, True),
        ({**PROGRESSING, "conditions": conditions("False", "Refused", "True", "no")}, True, False),
    ],
)
def test_when_a_rollout_is_at_rest_and_healthy(status: Raw | None, rests: bool, healthy: bool) -> None:
    looked = view(status)
    assert (looked.at_rest, looked.healthy) == (rests, healthy)


def test_pods_of_unknown_deployments_are_not_made_up() -> None:
    assert {one.ready for one in view(PROGRESSING, []).revisions} == {None}
    assert view(PROGRESSING, []).image(CANDIDATE) == "registry.example/fraud:1.5"
    assert len(view(PROGRESSING, DEPLOYMENTS).revisions) == 2


def test_time_goes_on_without_a_new_answer() -> None:
    later = replace(view(GUARDING), now=NOW + timedelta(seconds=60))
    assert "3m left" in text(panel.plain(later))
