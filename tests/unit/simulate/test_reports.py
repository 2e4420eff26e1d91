"""What is printed: the keys of the contract, intervals that are right, pages that stand alone."""

import json
import math

import pytest

from modelrollout.simulate import report_html, report_json, report_text
from modelrollout.simulate.many import simulate
from modelrollout.simulate.summary import Summary, clopper_pearson
from tests.unit.simulate.rollouts import rollout, scenario

SHARP = {"preset": "traefik", "metrics": [{"name": "errors", "maxIncrease": {"absolute": "0.0001%", "relative": "0%"}}]}
FIVE = "name: five-x\ntraffic: {rps: 100}\nstable: {pods: 4}\ncandidate: {errorRate: 0.5%}\nhorizon: 1h"


@pytest.fixture(scope="module")
def many() -> Summary:
    return simulate(rollout(analysis=SHARP, strategy={"steps": [{"weight": 5}]}), scenario(FIVE), 12, 7, jobs=1)


@pytest.fixture(scope="module")
def one() -> Summary:
    return simulate(rollout(), scenario(FIVE), 1, 7)


def test_the_keys_are_those_of_the_contract(many):
    found = json.loads(json.dumps(report_json.as_json(many, per_run=True), allow_nan=False))
    assert (found["scenario"], found["runs"], found["seed"]) == ("five-x", 12, 7)
    assert set(found["outcomes"]) == {"promoted", "rolledBack", "paused", "open"}
    assert sum(found["outcomes"].values()) == 12
    for outcome in ("rolledBack", "promoted"):
        assert set(found[outcome]) == {"median_s", "p95_s", "max_s"}
        assert set(found["rate"][outcome]) == {"value", "ci99"}
    assert set(found["excess_errors"]) == {"mean", "p95"}
    assert found["invariant_violations"] == 0
    assert len(found["per_run"]) == 12
    assert {"outcome", "time_s", "final_weight", "reason"} <= set(found["per_run"][0])


def test_the_bound_is_that_of_the_theory(many):
    """0.1 % against 0.5 % at 5 of 100 requests a second: log(100) nats take 250 s."""
    assert report_json.as_json(many, per_run=False)["bound_s"] == pytest.approx(250.0, abs=6.0)


def test_without_harm_there_is_no_bound_and_no_time():
    summary = simulate(rollout(), scenario("traffic: {rps: 0}\nhorizon: 5m"), 2, 0)
    found = report_json.as_json(summary, per_run=False)
    assert found["bound_s"] is None
    assert found["rolledBack"] == {"median_s": None, "p95_s": None, "max_s": None}
    assert "open" in report_text.text(summary)


@pytest.mark.parametrize(
    ("count", "runs", "low", "high"),
    [(1000, 1000, 0.9947, 1.0), (0, 1000, 0.0, 0.0053), (5, 10, 0.1283, 0.8717), (1, 1, 0.005, 1.0)],
)
def test_intervals_are_exact(count, runs, low, high):
    assert clopper_pearson(count, runs, 0.99) == pytest.approx((low, high), abs=6e-5)


def test_an_interval_ends_where_the_count_is_as_unlikely_as_it_may_be():
    low, high = clopper_pearson(5, 50, 0.99)
    fewer = [math.fsum(math.comb(50, k) * p**k * (1.0 - p) ** (50 - k) for k in range(6)) for p in (low, high)]
    at_low = math.comb(50, 5) * low**5 * (1.0 - low) ** 45
    assert 1.0 - fewer[0] + at_low == pytest.approx(0.005, rel=1e-6)
    assert fewer[1] == pytest.approx(0.005, rel=1e-6)


def test_pages_stand_alone(one, many):
    for page in (report_html.page(one), report_html.page(many)):
        assert page.startswith("<!doctype html>")
        assert "<svg" in page
        for outside in ("http:", "https:", "src=", "@import", "url(", "$"):
            assert outside not in page


def test_words_of_a_scenario_cannot_become_markup():
    page = report_html.page(simulate(rollout(), scenario("name: <b>x\ntraffic: {rps: 9}\nhorizon: 3m"), 1, 0))
    assert "<b>" not in page
    assert "&lt;b&gt;x" in page


def test_one_run_is_a_timeline_and_many_are_a_distribution(one, many):
    assert "RolledBack" in report_text.text(one)
    assert "12 runs" in report_text.text(many)
    assert len(report_text.text(many, per_run=True).splitlines()) >= 12
