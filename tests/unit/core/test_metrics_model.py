"""The signals of the model itself: predictions, inputs, agreement, quality. Stories told window by window."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from modelrollout.api.status import Reason, Status, Verdict, VerdictKind
from modelrollout.core.conditions import conditions
from modelrollout.core.evidence.metrics import inputs
from modelrollout.core.evidence.windows import Past, Series
from tests.unit.core.feeding import Feed, analysis

BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, float("inf"))
ERRORS = {"name": "errors"}
PREDICTIONS = {"name": "predictions", "maxDistance": 0.05}
INPUTS = {"name": "inputs"}
AGREEMENT = {"name": "agreement", "minAgreement": "98%"}
QUALITY = {"name": "quality", "maxDrop": "2%"}


def scores(rng: np.random.Generator, n: int, moved: float = 0.0) -> list[int]:
    """Return cells of scores, a share of them moved from the lowest cell to the highest finite one."""
    shares = np.array([0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.0])
    shares[0] -= moved
    shares[9] += moved
    return [int(cell) for cell in rng.multinomial(n, shares)]


def predicting(moved: float, windows: int = 30, seed: int = 3, **changes: object) -> Feed:
    """Let candidate and stable predict for a while; errors are clean."""
    feed, rng = Feed(analysis(ERRORS, PREDICTIONS), **changes), np.random.default_rng(seed)  # type: ignore[arg-type]
    feed.rates("errors", (0, 0), (10_000, 10))
    feed.histogram("predictions", BOUNDS, [0] * 11, scores(rng, 10_000))
    feed.waiting[0] = (0, feed.held())
    for _ in range(windows):
        feed.rates("errors", (75, 0), (1425, 1))
        feed.histogram("predictions", BOUNDS, scores(rng, 75, moved), scores(rng, 1425))
        feed.window()
        if feed.last and feed.last.blamed:
            break
    return feed


def test_predictions_alike_are_safe():
    said = predicting(0.0).said["predictions"]
    assert (said.verdict, said.reason) == (VerdictKind.PASS, Reason.SAFE)
    assert "safe at 20%: distance 0.0" in said.message
    assert said.effect.startswith("distance 0.0")
    assert said.candidate.requests >= 29 * 75


def test_a_drift_within_the_tolerance_is_no_harm():
    assert predicting(0.03, windows=100).said["predictions"].verdict is VerdictKind.PASS


def test_predictions_that_drift_roll_back_while_errors_are_clean():
    feed = predicting(0.25)
    assert feed.last is not None
    assert feed.last.blamed is not None
    assert feed.last.blamed.name == "predictions"
    assert feed.last.blamed.message.startswith("predictions drifted further than tolerated (0.05): distance 0.2")
    assert feed.said["errors"].verdict is VerdictKind.PASS


def test_promotion_asks_for_more_predictions_than_the_first_steps():
    early, late = (predicting(0.0, windows=2, next_weight=weight) for weight in (10, 100))
    assert early.said["predictions"].verdict is VerdictKind.PASS
    said = late.said["predictions"]
    assert (said.verdict, said.reason) == (VerdictKind.NO_DATA, Reason.COUNTING)
    assert "more predictions of the candidate (about" in said.message
    assert "at 5%) to go to 100%" in said.message


def test_safety_of_predictions_is_earned_anew_and_harm_is_kept():
    feed = predicting(0.0)
    harm = feed.said["predictions"].harm
    feed.enter(20, 100)
    assert feed.said["predictions"].verdict is VerdictKind.NO_DATA
    feed.window()
    said = feed.said["predictions"]
    assert said.verdict is VerdictKind.NO_DATA
    assert float(said.harm) == pytest.approx(float(harm), abs=0.1)


def test_other_buckets_and_no_histogram_are_said_and_hold():
    feed = Feed(analysis(PREDICTIONS))
    feed.window()
    assert feed.said["predictions"].reason is Reason.UNREADABLE
    assert "no histogram of stable's predictions" in feed.said["predictions"].message
    for bound in BOUNDS:
        feed.count("stable", "predictions", 500, le=bound)
        feed.count("candidate", "predictions", 500, le=bound * 2)
    feed.window()
    assert feed.said["predictions"].verdict is VerdictKind.NO_DATA
    assert "buckets of stable and candidate differ" in feed.said["predictions"].message


def test_stable_is_counted_first_where_nothing_is_known_of_it():
    feed = Feed(analysis(PREDICTIONS))
    rng = np.random.default_rng(0)
    feed.histogram("predictions", BOUNDS, scores(rng, 1), scores(rng, 10))
    feed.window()
    assert feed.said["predictions"].message == "counting stable's predictions first: 0 of 50"
    for _ in range(3):
        feed.histogram("predictions", BOUNDS, scores(rng, 50), scores(rng, 500))
        feed.window()
    assert feed.said["predictions"].evidence


def test_predictions_that_come_in_bursts_count_for_less():
    """Every minute of the past all predictions were alike, now low, now high: a drift needs far more of them."""
    instants = tuple(range(-3600, 1, 60))
    low = [float(sum(100 for k in range(i) if k % 3 == 0)) for i in range(len(instants))]
    total = [100.0 * i for i in range(len(instants))]
    past = Past(instants, tuple(Series(False, le, "s", tuple(low if le < 0.5 else total)) for le in BOUNDS))
    steady = predicting(0.25, windows=8).said["predictions"]
    bursts = predicting(0.25, windows=8, past={"predictions": past}).said["predictions"]
    assert float(bursts.harm) < float(steady.harm) / 5.0


def agreeing(bad: int, pairs: int, windows: int = 20) -> Feed:
    feed = Feed(analysis(AGREEMENT))
    for _ in range(windows):
        feed.rates("agreement", (pairs, bad), (0, 0))
        feed.window()
    return feed


@pytest.mark.parametrize(
    ("what", "bad", "pairs", "kind", "says"),
    [
        ("agrees", 0, 40, VerdictKind.PASS, "at least 98%: 0 of 800 pairs of answers disagree"),
        ("disagrees", 3, 40, VerdictKind.FAIL, "agreement missed (at least 98%): 60 of 800 pairs"),
        ("at the limit", 1, 50, VerdictKind.NO_DATA, "too close to 98% agreement to tell: 20 of 1000 pairs"),
        ("few pairs", 0, 1, VerdictKind.NO_DATA, "more pairs (about"),
        ("no pairs", 0, 0, VerdictKind.NO_DATA, "is the comparer running"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_agreement(what, bad, pairs, kind, says):
    feed = agreeing(bad, pairs)
    assert feed.last is not None
    assert feed.last.worst is kind
    assert says in feed.said["agreement"].message


def test_agreement_once_shown_holds_for_every_step():
    feed = agreeing(0, 40)
    feed.enter(50, 100)
    feed.window()
    assert feed.said["agreement"].verdict is VerdictKind.PASS
    assert feed.said["agreement"].candidate.requests == 800


def labelled(
    candidate: tuple[int, int], stable: tuple[int, int], windows: int = 20, old: tuple[int, int] | None = None
) -> Feed:
    """Let labels come; `old` ones are of predictions that stable made long before."""
    feed = Feed(analysis(QUALITY), now=6000, since=6000, waiting=[])
    feed.waiting = [(6000, feed.held())]
    feed.rates("quality", (1, 0), (1000, 100), cohort=0)
    for _ in range(windows):
        cohort = feed.now // 60 * 60
        feed.rates("quality", candidate, stable, cohort=cohort)
        if old:
            feed.rates("quality", (0, 0), old, cohort=5940)
        feed.window()
        if feed.last and feed.last.blamed:
            break
    return feed


@pytest.mark.parametrize(
    ("what", "candidate", "stable", "kind", "says"),
    [
        ("as good", (60, 6), (540, 54), VerdictKind.PASS, "safe at 20%"),
        ("worse", (60, 18), (540, 54), VerdictKind.FAIL, "quality worse than the tolerated drop of 2%: candidate"),
        ("a few", (5, 1), (540, 54), VerdictKind.NO_DATA, "more labelled predictions of the candidate"),
        ("mostly wrong, as stable", (60, 51), (540, 459), VerdictKind.PASS, "safe at 20%"),
        ("none", (0, 0), (540, 54), VerdictKind.PASS, "labels come later than this step: 0 of the candidate's"),
        ("none at all", (0, 0), (0, 0), VerdictKind.PASS, "labels come later than this step"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_quality(what, candidate, stable, kind, says):
    feed = labelled(candidate, stable)
    assert feed.last is not None
    assert feed.last.worst is kind, feed.said["quality"].message
    assert says in feed.said["quality"].message


def test_labels_of_predictions_before_the_trial_do_not_count():
    """The old ones are all right: next to them a candidate as good as stable would look bad."""
    plain, aligned = labelled((60, 6), (540, 54)), labelled((60, 6), (540, 54), old=(5000, 0))
    assert aligned.said["quality"].stable == plain.said["quality"].stable
    assert aligned.said["quality"].verdict is VerdictKind.PASS


def test_labels_in_time_for_one_step_need_not_be_so_for_the_next():
    feed = labelled((60, 6), (540, 54))
    feed.enter(50, 100)
    feed.window()
    assert feed.said["quality"].reason is Reason.UNLABELLED
    assert "so far wrong: candidate 120/1200" in feed.said["quality"].message
    feed.rates("quality", (40, 4), (40, 4), cohort=feed.now)
    feed.window()
    assert feed.said["quality"].verdict is VerdictKind.NO_DATA


def test_wrong_predictions_that_are_labelled_sooner_are_no_harm_while_the_weight_rises():
    """A tenth is wrong for both. Young predictions look worse, and a rising weight gives the candidate more of them."""
    rng, weights = np.random.default_rng(0), (5, 10, 25, 50)
    feed = Feed(analysis(QUALITY), now=6000, since=6000, waiting=[])
    coming: dict[int, list[tuple[str, int, bool, int]]] = {}

    def predict(now: int, weight: int) -> None:
        for side, share in (("candidate", weight / 100), ("stable", 1 - weight / 100)):
            for bad, many, delay in ((True, 15, 120.0), (False, 135, 400.0)):
                late = (rng.exponential(delay, rng.poisson(many * share)) // 15).astype(int)
                for steps, n in zip(*np.unique(late, return_counts=True), strict=True):
                    coming.setdefault(now + 15 * int(steps + 1), []).append((side, now // 60 * 60, bad, int(n)))

    def arrive(now: int) -> None:
        for side, cohort, bad, n in coming.pop(now, []):
            feed.count(side, "quality", n, bad=bad, cohort=cohort)

    for now in range(3000, 6000, 15):
        predict(now, 0)
        arrive(now + 15)
    feed.waiting = [(6000, feed.held())]
    for window in range(80):
        if window and window % 16 == 0 and window // 16 < 4:
            feed.enter(weights[window // 16], (*weights, 100)[window // 16 + 1])
        predict(feed.now, weights[min(window // 16, 3)])
        arrive(feed.now + 15)
        feed.window()
        assert feed.last is not None
        assert feed.last.blamed is None
        assert len(feed.said["quality"].evidence) < 300
    assert float(feed.said["quality"].harm) < 1.0


def test_slices_of_quality_are_judged_apart():
    feed = Feed(analysis({**QUALITY, "slices": {"label": "country", "values": ["de", "fr"]}}))
    feed.rates("quality", (1, 0), (1, 0), cohort=0, part="de")
    feed.rates("quality", (1, 0), (1, 0), cohort=0, part="fr")
    for _ in range(20):
        feed.rates("quality", (60, 6), (540, 54), cohort=0, part="de")
        feed.rates("quality", (60, 30), (540, 54), cohort=0, part="fr")
        feed.window()
        if feed.last and feed.last.blamed:
            break
    assert feed.last is not None
    assert feed.last.blamed is not None
    assert feed.last.blamed.name == "quality[fr]"


def asked(features: int, moved: float, windows: int = 40, missing: float = 0.0) -> Feed:
    """Let rows come; one feature of the candidate's has moved, or misses more values."""
    feed, rng = Feed(analysis(ERRORS, INPUTS)), np.random.default_rng(11)
    for window in range(windows):
        if window:
            feed.rates("errors", (75, 0), (1425, 1))
        for feature in range(features):
            for side, rows in (("stable", 1425), ("candidate", 75)):
                shares = np.array([0.0] + [0.1] * 10)
                if side == "candidate" and feature == features - 1:
                    shares += np.array([missing] + [-moved / 5 - missing / 10] * 5 + [moved / 5 - missing / 10] * 5)
                for place, cell in enumerate(rng.multinomial(rows, shares)):
                    feed.count(side, "inputs", int(cell), le=float(place - 1), part=f"f{feature:02}")
        feed.window()
    return feed


@pytest.mark.parametrize(
    ("features", "moved", "missing", "reason", "says"),
    [
        (3, 0.0, 0.0, Reason.SAFE, "alike for both revisions: f0"),
        (3, 0.05, 0.0, Reason.SAFE, "alike for both revisions"),
        (3, 0.4, 0.0, Reason.DRIFTED, "differ: f02 differs most, by 0.3"),
        (20, 0.4, 0.0, Reason.DRIFTED, "differ: f19 differs most"),
        (3, 0.0, 0.3, Reason.DRIFTED, "differ: f02 differs most"),
    ],
)
def test_inputs_are_told_and_never_hold(features, moved, missing, reason, says):
    feed = asked(features, moved, missing=missing)
    said = feed.said["inputs"]
    assert (said.verdict, said.reason) == (VerdictKind.PASS, reason), said.message
    assert says in said.message
    assert feed.last is not None
    assert feed.last.worst is VerdictKind.PASS, feed.said["errors"].message
    assert len(said.evidence) < 300


def test_inputs_without_an_answer_do_not_hold_either():
    feed = asked(3, 0.0, windows=10)
    feed.silence("timed out")
    assert feed.said["errors"].verdict is VerdictKind.PROVIDER_ERROR
    assert feed.said["inputs"].verdict is VerdictKind.PASS
    feed.enter(20, 50)
    assert feed.said["inputs"].verdict is VerdictKind.PASS


def test_a_model_server_without_bins_does_not_hold():
    feed = Feed(analysis(ERRORS, INPUTS))
    for window in range(20):
        feed.rates("errors", (75, 0) if window else (0, 0), (1425, 1))
        feed.window()
    assert feed.said["inputs"].reason is Reason.WAITING
    assert feed.last is not None
    assert feed.last.worst is VerdictKind.PASS


@pytest.mark.parametrize(
    ("reason", "status"), [(Reason.DRIFTED, "True"), (Reason.SAFE, "False"), (Reason.WAITING, "Unknown"), (None, None)]
)
def test_the_condition_follows_the_verdict_on_inputs(reason, status):
    rows = [Verdict(name="errors", verdict=VerdictKind.PASS, message="")]
    if reason is not None:
        rows.append(Verdict(name="inputs", verdict=VerdictKind.PASS, reason=reason, message="differ: amount"))
    found = conditions(Status(verdicts=rows), None, datetime(2026, 1, 1, tzinfo=UTC))
    drift = {c.type: (c.status, c.message) for c in found}.get("InputDrift")
    assert drift == (None if status is None else (status, "inputs differ: amount"))
    assert len(found) == (4 if status is None else 5)


def memory_of(feed: Feed) -> inputs.Memory:
    found = inputs.unpack(feed.said["inputs"].evidence)
    assert found is not None
    assert found.pack() == feed.said["inputs"].evidence
    return found


@pytest.mark.parametrize("windows", [3, 12])
def test_no_window_of_inputs_raises_the_expectation_on_the_null(windows):
    """All values in the lowest or the highest bin, so that counts at all boundaries are one: enumerated."""
    memory = memory_of(asked(3, 0.15, windows=windows))
    n_c, n_s, p_s = 5, 9, 0.45

    def after(x_c: int, x_s: int) -> float:
        window = np.array([[[x_s] * inputs.POINTS + [n_s], [x_c] * inputs.POINTS + [n_c]]] * 3, dtype=float)
        return math.exp(inputs._update(memory, 0.1, window, memory.end + 15).log_harm)

    for p_c in (p_s + 0.1, p_s, p_s - 0.1):
        mean = math.fsum(
            math.comb(n_c, x_c) * p_c**x_c * (1 - p_c) ** (n_c - x_c)
            * math.comb(n_s, x_s) * p_s**x_s * (1 - p_s) ** (n_s - x_s)
            * after(x_c, x_s)
            for x_c in range(n_c + 1)
            for x_s in range(n_s + 1)
        )  # fmt: skip
        assert mean <= math.exp(memory.log_harm) * (1.0 + 1e-6)


@pytest.mark.parametrize("story", ["predictions", "inputs", "agreement", "quality"])
def test_looking_less_often_changes_nothing(story):
    """The judge looks at every window, or at four at once: the same windows give the same evidence."""
    metric = {"predictions": PREDICTIONS, "inputs": INPUTS, "agreement": AGREEMENT, "quality": QUALITY}[story]
    rng, feeds = np.random.default_rng(5), [Feed(analysis(ERRORS, metric)) for _ in range(2)]
    for window in range(24):
        rows, low = int(rng.integers(1, 60)), int(rng.integers(0, 20))
        candidate, stable = scores(rng, rows), scores(rng, 900)
        for feed in feeds:
            feed.rates("errors", (rows, 0), (900, 1))
            if story == "predictions":
                feed.histogram(story, BOUNDS, candidate, stable)
            elif story != "inputs":
                feed.rates(story, (rows, min(low, rows)), (900, 100), cohort=window * 15 // 60 * 60)
            for side, cells in (("candidate", candidate), ("stable", stable)):
                for place, cell in enumerate(cells if story == "inputs" else ()):
                    feed.count(side, story, cell, le=float(place), part="amount")
        feeds[0].window()
        feeds[1].window(judged=window % 4 == 3)
    often, seldom = (feed.said[story] for feed in feeds)
    assert often.evidence == seldom.evidence
    assert (often.candidate, often.stable, often.verdict) == (seldom.candidate, seldom.stable, seldom.verdict)


@pytest.mark.parametrize("name", ["predictions", "inputs", "agreement", "quality"])
@pytest.mark.parametrize("garbage", ["", "x", "1 2", "1 2 3 4 5", "AAAA", "7 0 " + "A" * 200])
def test_a_state_of_another_version_begins_anew(name, garbage):
    feed = {
        "predictions": lambda: predicting(0.0, windows=3),
        "inputs": lambda: asked(2, 0.0, windows=3),
        "agreement": lambda: agreeing(0, 5, windows=2),
        "quality": lambda: labelled((60, 6), (540, 54), windows=2),
    }[name]()
    feed.verdicts = [v.model_copy(update={"evidence": garbage}) for v in feed.verdicts]
    feed.window()
    assert feed.last is not None
    assert feed.last.blamed is None
