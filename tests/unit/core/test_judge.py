"""The judge: which verdict comes of which reading, in words people can act on."""

from collections.abc import Mapping

import pytest

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.core.evidence.judge import Judgement, Question, enter_step, judge
from modelrollout.core.evidence.windows import Past, Reading, Series

ERRORS = Analysis.model_validate({"preset": "traefik", "metrics": [{"name": "errors"}]})
LATENCY = Analysis.model_validate({"preset": "traefik", "metrics": [{"name": "latency"}]})
BOUNDS = (0.01, 0.0125, 0.015625, 0.02, float("inf"))


def calm(*series: tuple[float | None, bool, float]) -> Past:
    """Return an hour of stable in which requests came steadily: bound, bad, and how many a minute of each counter."""
    instants = tuple(range(-3600, 1, 60))
    return Past(
        instants,
        tuple(
            Series(bad, le, "g", tuple(float(int(k * rate)) for k in range(len(instants)))) for le, bad, rate in series
        ),
    )


def errors(n_c: int, x_c: int, n_s: int = 1900, x_s: int = 2, past: int = 10_000) -> Reading:
    """Return one window of requests, after a past of stable."""

    def side(n: int, x: int, before: int) -> tuple[Series, ...]:
        return (
            Series(False, None, "g", (before, before + n - x)),
            Series(True, None, "g", (before // 1000, before // 1000 + x)),
        )

    return Reading(
        instants=(0, 10),
        stable=side(n_s, x_s, past),
        candidate=side(n_c, x_c, 0),
        past=calm((None, False, 499.5), (None, True, 0.5)),
    )


def histogram(fast_c: float, fast_s: float = 0.9, n_c: int = 100, bounds: tuple[float, ...] = BOUNDS) -> Reading:
    """Return a window of stable alone, and one in which a share of both takes at most 12.5 ms, all at most 20 ms."""
    usual = (0.2, 0.9, 0.99, 1.0, 1.0)

    def side(n: int, fast: float, before: int, first: int, les: tuple[float, ...]) -> tuple[Series, ...]:
        shares = (0.2, fast, 0.99 if fast > 0.5 else 0.3, 1.0, 1.0)
        return tuple(
            Series(False, le, "g", (round(before * p), middle := round((before + first) * p), middle + round(n * s)))
            for le, p, s in zip(les, usual, shares, strict=True)
        )

    past = calm(*((le, False, 10 * share) for le, share in zip(BOUNDS, usual, strict=True)))
    return Reading((0, 5, 10), side(1900, fast_s, 10_000, 100, BOUNDS), side(n_c, fast_c, 0, 0, bounds), past=past)


def ask(
    analysis: Analysis, readings: Mapping[str, Reading], verdicts: list[Verdict] | None = None, next_weight: int = 20
) -> Judgement:
    return judge(Question(analysis, verdicts or [], readings, since=0, next_weight=next_weight, weight=5))


@pytest.mark.parametrize(
    ("what", "reading", "kind", "says"),
    [
        ("as good as stable", errors(300, 0, 5700, 6), VerdictKind.PASS, "safe at 20%"),
        ("too little yet", errors(40, 0), VerdictKind.NO_DATA, "more candidate requests (about"),
        ("half fail", errors(20, 10), VerdictKind.FAIL, "worse than the tolerated increase of 25% + 0.02%"),
        ("all fail", errors(10, 10), VerdictKind.FAIL, "candidate 10/10 (100%)"),
        ("both fail alike", errors(100, 50, 1900, 950), VerdictKind.NO_DATA, ""),
        ("a few unlucky errors", errors(60, 2), VerdictKind.NO_DATA, "doubtful"),
        ("no request yet", errors(0, 0), VerdictKind.NO_DATA, "more candidate requests"),
        ("no series at all", Reading(instants=(0, 10)), VerdictKind.NO_DATA, ""),
        ("nothing read", Reading(), VerdictKind.NO_DATA, "waiting"),
        ("no answer", Reading(error="timed out"), VerdictKind.PROVIDER_ERROR, "timed out"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors(what, reading, kind, says):
    judgement = ask(ERRORS, {"errors": reading})
    assert judgement.worst is kind, judgement.verdicts[0].message
    assert says in judgement.verdicts[0].message
    assert (judgement.blamed is not None) == (kind is VerdictKind.FAIL)


@pytest.mark.parametrize(
    ("what", "reading", "kind", "says"),
    [
        ("as fast as stable", histogram(0.9), VerdictKind.PASS, "safe at 20%"),
        ("much slower", histogram(0.1), VerdictKind.FAIL, "latency worse than the tolerated increase"),
        (
            "other buckets",
            histogram(0.9, bounds=(0.01, 0.0125, 0.015, 0.02, float("inf"))),
            VerdictKind.NO_DATA,
            "buckets of stable and candidate differ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_latency(what, reading, kind, says):
    judgement = ask(LATENCY, {"latency": reading})
    assert judgement.worst is kind, judgement.verdicts[0].message
    assert says in judgement.verdicts[0].message


def test_latency_counts_stable_first_and_reads_it_again_until_it_suffices():
    reading = Reading((0, 10), tuple(Series(False, le, "g", (3, 9)) for le in BOUNDS), ())
    judgement = ask(LATENCY, {"latency": reading})
    assert judgement.verdicts[0].reason is Reason.WAITING
    assert "counting stable's latency first: 0 of 50 requests" in judgement.verdicts[0].message
    assert judgement.end == 0


def test_a_tolerance_beyond_all_buckets_is_said():
    lax = Analysis.model_validate(
        {"preset": "traefik", "metrics": [{"name": "latency", "maxIncrease": {"relative": "300%"}}]}
    )
    judgement = ask(lax, {"latency": histogram(0.9)})
    assert judgement.verdicts[0].reason is Reason.UNREADABLE
    assert "latency buckets are too coarse" in judgement.verdicts[0].message


@pytest.mark.parametrize("spoilt", ["past", "start"])
def test_a_slow_past_or_a_slow_start_of_stable_does_not_blind_latency(spoilt):
    """Either the whole past or the first window of stable was slow; a candidate three times as slow still fails."""
    slow, usual = (0.0, 0.05, 0.1, 0.2, 1.0), (0.2, 0.9, 0.99, 1.0, 1.0)
    past, first = (slow, usual) if spoilt == "past" else (usual, slow)
    stable = tuple(
        Series(False, le, "g", (round(400 * p), round(400 * p + 100 * f), round(400 * p + 100 * f + 1900 * u)))
        for le, p, f, u in zip(BOUNDS, past, first, usual, strict=True)
    )
    candidate = tuple(Series(False, le, "g", (0, 0, n)) for le, n in zip(BOUNDS, (0, 0, 10, 60, 100), strict=True))
    before = calm(*((le, False, 10 * share) for le, share in zip(BOUNDS, past, strict=True)))
    judgement = ask(LATENCY, {"latency": Reading((0, 5, 10), stable, candidate, past=before)})
    assert judgement.worst is VerdictKind.FAIL, judgement.verdicts[0].message


def test_no_answer_forgets_nothing_and_the_next_answer_goes_on():
    first = ask(ERRORS, {"errors": errors(100, 0)})
    silent = ask(ERRORS, {"errors": Reading(error="down")}, list(first.verdicts))
    assert silent.verdicts[0].evidence == first.verdicts[0].evidence
    assert silent.verdicts[0].candidate.requests == 100


def test_a_window_is_never_counted_twice():
    first = ask(ERRORS, {"errors": errors(100, 0)})
    again = ask(ERRORS, {"errors": errors(100, 0)}, list(first.verdicts))
    assert again.verdicts[0].candidate.requests == 100


def test_safety_is_earned_anew_at_every_weight_and_harm_is_kept():
    first = ask(ERRORS, {"errors": errors(300, 1)})
    entered = enter_step(ERRORS, first.verdicts, 20)
    assert entered[0].verdict is VerdictKind.NO_DATA
    later = Reading(
        instants=(20, 30),
        stable=(Series(False, None, "g", (0, 10)),),
        candidate=(Series(False, None, "g", (0, 0)),),
    )
    judgement = ask(ERRORS, {"errors": later}, entered)
    assert judgement.worst is VerdictKind.NO_DATA
    assert judgement.verdicts[0].harm == first.verdicts[0].harm


def test_what_is_kept_stays_small():
    judgement = ask(ERRORS, {"errors": errors(10**7, 10**3, 10**9, 10**5)})
    assert len(judgement.verdicts[0].evidence) < 300


def test_latency_of_stable_within_one_bucket_still_tells_three_times_as_much():
    """All of stable between 44 and 56 ms, boundaries rounded so that a step is a little less than the factor."""
    bounds = (0.03553, 0.04441, 0.05551, 0.06939, 0.08674, 0.1084, 0.1355, float("inf"))
    at = dict(zip(bounds, (0.0, 0.02, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0), strict=True))
    stable = tuple(
        Series(False, le, "g", tuple(round(n * p) for n in (9000, 10_000, 11_000, 12_000))) for le, p in at.items()
    )
    candidate = tuple(Series(False, le, "g", (0, 0, *((0, 0) if le <= 0.1084 else (60, 120)))) for le in bounds)
    past = calm(*((le, False, 10 * p) for le, p in at.items()))
    judgement = ask(LATENCY, {"latency": Reading((0, 5, 10, 15), stable, candidate, past=past)})
    assert judgement.worst is VerdictKind.FAIL, judgement.verdicts[0].message
