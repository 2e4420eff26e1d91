"""The judge: readings in, one verdict for each metric out. Everything it remembers is in the verdicts themselves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import eprocess, wording
from modelrollout.core.evidence.case import Case, Outcome, Test
from modelrollout.core.evidence.metrics import PAST, TOLD, tests_of, traffic
from modelrollout.core.evidence.stages import Stage, awake
from modelrollout.core.evidence.windows import Reading

GUARD_SHARE: Final = 0.1
"""Share of alpha kept for the guard after promotion, where no stable traffic is left to compare with."""
EAGER: Final = ("errors",)
"""Metrics that count from the moment at which the route was written, not only from when it has settled."""
LOOKBACK: Final = 3600
"""Seconds of stable's past that are read again while they do not suffice to begin."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the judge is asked."""

    analysis: Analysis
    verdicts: Sequence[Verdict]
    """What it said last, with the state of its tests."""
    readings: Mapping[str, Reading]
    since: int
    """Windows that begin before this instant do not count."""
    next_weight: int
    """The weight to be earned, in per cent."""
    weight: int
    """The candidate's weight now; 0 in a shadow, and where requests reach it by what they carry: a share of clients is
    no share of requests, so nothing can be said of their split."""
    stage: Stage | None = None
    """Where a rollout with a shadow is."""
    settled: int = 0
    """From this instant on the gateway splits requests as the step says; most metrics count nothing before."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge found."""

    verdicts: tuple[Verdict, ...]
    end: int
    """Evidence of every metric is counted at least up to here."""
    blamed: Verdict | None = field(default=None)
    """The metric that the rollback is for."""
    peak: float | None = field(default=None)
    """At least what the combined log e-value for harm was after any window read; None where nobody can tell."""
    asleep: frozenset[str] = frozenset()
    """Names of verdicts that are kept from another stage, and do not rule this one."""

    @property
    def worst(self) -> VerdictKind:
        """Return the verdict that rules: Fail, then ProviderError, then NoData, then Pass."""
        if self.blamed is not None:
            return VerdictKind.FAIL
        kinds = [verdict.verdict for verdict in self.verdicts if verdict.name not in self.asleep]
        for kind in (VerdictKind.FAIL, VerdictKind.PROVIDER_ERROR, VerdictKind.NO_DATA):
            if kind in kinds:
                return kind
        return VerdictKind.PASS


class Judge(Protocol):
    """One way to turn readings into verdicts."""

    def __call__(self, question: Question) -> Judgement:
        """Judge; pure."""


def judge(question: Question) -> Judgement:
    """Judge by e-processes, one harm and one safety test a metric, under one alpha for all of them.

    The rollout fails when the weighted mean of the harm e-values reaches 1/alpha: a mean of e-values is an e-value
    whatever their dependence (Vovk and Wang, arXiv 1912.06116). A plain threshold fails it too, outside of alpha. It
    passes when every metric passes on its own.
    """
    analysis = question.analysis
    tests = tests_of(analysis, question.stage)
    shares = _shares(tests)
    asleep = frozenset(test.name for test in tests if not awake(test, question.stage))
    need = -math.log(parse_percent(analysis.false_rollback))
    outcomes = [
        _kept(question, test)
        if test.name in asleep
        else _judge_one(question, test, need - math.log(share) if share else math.inf)
        for test, share in zip(tests, shares, strict=True)
    ]
    scores = [
        math.log(share) + outcome.log_harm if share else -math.inf
        for share, outcome in zip(shares, outcomes, strict=True)
    ]
    verdicts = [outcome.verdict for outcome in outcomes]
    blamed, index = None, next((place for place, outcome in enumerate(outcomes) if outcome.failed), None)
    if eprocess.log_sum_exp(scores) >= need:
        index = max(range(len(scores)), key=scores.__getitem__)
    if index is not None:
        verdicts[index] = wording.with_effect(verdicts[index])
        message = wording.failed(verdicts[index], tests[index].metric, analysis)
        changes = {"verdict": VerdictKind.FAIL, "reason": Reason.HARMFUL, "message": message}
        blamed = verdicts[index] = verdicts[index].model_copy(update=changes)
    ends = [
        _seen_up_to(question, test.metric.name) if outcome.end is None else outcome.end
        for test, outcome in zip(tests, outcomes, strict=True)
        if test.name not in asleep
    ]
    beside = [outcome.beside for outcome in outcomes if outcome.beside is not None]
    peak = _peak(shares, outcomes)
    told = [v for v in verdicts if v.name not in asleep or v.evidence]
    return Judgement((*told, *beside), min(ends, default=question.since), blamed, peak, asleep)


def _peak(shares: Sequence[float], outcomes: Sequence[Outcome]) -> float | None:
    """Return a bound of the combined log e-value over all windows read: every metric at its own highest."""
    scores = []
    for share, outcome in zip(shares, outcomes, strict=True):
        if outcome.peak is None:
            return None
        scores.append(math.log(share) + outcome.peak if share else -math.inf)
    return eprocess.log_sum_exp(scores)


def _last(question: Question, test: Test) -> Verdict:
    unseen = Verdict(name=test.name, verdict=VerdictKind.NO_DATA, message=wording.WAITING)
    return next((v for v in question.verdicts if v.name == test.name), unseen)


def _kept(question: Question, test: Test) -> Outcome:
    """Return what a test of another stage said last."""
    last = _last(question, test)
    return Outcome(last, float(last.harm), None, peak=float(last.harm))


def _judge_one(question: Question, test: Test, limit: float) -> Outcome:
    last = _last(question, test)
    reading = question.readings.get(test.metric.name)
    if reading is None or reading.error is not None:
        split = next((v for v in question.verdicts if v.reason is Reason.TRAFFIC_SPLIT), None)
        beside = split if isinstance(test, traffic.Watched) else None
        return Outcome(_unanswered(last, reading), float(last.harm), question.since, beside=beside)
    case = Case(
        analysis=question.analysis,
        last=last,
        reading=reading,
        since=_first(test, question.since, question.settled),
        weight=question.weight,
        next_weight=question.next_weight,
        limit=limit,
        settled=question.settled,
    )
    return test.judge(case)


def _first(test: Test, since: int, settled: int) -> int:
    """Return from where a test counts."""
    return since if test.metric.name in EAGER else max(since, settled)


def _unanswered(last: Verdict, reading: Reading | None) -> Verdict:
    """Return what is said of a metric of which nothing was read."""
    if reading is None or reading.error is None:
        return last
    kind = VerdictKind.PASS if last.name in TOLD else VerdictKind.PROVIDER_ERROR
    changes = {"verdict": kind, "reason": Reason.PROVIDER_ERROR, "message": wording.provider_error(reading.error)}
    return last.model_copy(update=changes)


def _seen_up_to(question: Question, name: str) -> int:
    """Return from where a metric that could not begin has to be read again: stable's past adds up over an hour."""
    reading = question.readings.get(name)
    return max(question.since, reading.instants[-1] - LOOKBACK) if reading and reading.instants else question.since


def harm_shares(analysis: Analysis, stage: Stage | None = None) -> dict[str, float]:
    """Return each test's share of alpha, by the name of its verdict; they sum to 1 less the guard's."""
    tests = tests_of(analysis, stage)
    return {test.name: share for test, share in zip(tests, _shares(tests), strict=True) if share}


def _shares(tests: Sequence[Test]) -> list[float]:
    total = sum(test.share for test in tests) or 1.0
    return [(1.0 - GUARD_SHARE) * test.share / total for test in tests]


def measured(analysis: Analysis, stage: Stage | None = None) -> tuple[str, ...]:
    """Return the metrics that are read at steps of this stage."""
    return tuple(dict.fromkeys(test.metric.name for test in tests_of(analysis, stage) if awake(test, stage)))


def looked_at(analysis: Analysis, verdicts: Sequence[Verdict], stage: Stage | None) -> list[Verdict]:
    """Return the verdicts that count at steps of this stage: not those that are kept from another one."""
    asleep = {test.name for test in tests_of(analysis, stage) if not awake(test, stage)}
    return [verdict for verdict in verdicts if verdict.name not in asleep]


def past_wanted(analysis: Analysis, verdicts: Sequence[Verdict], stage: Stage | None = None) -> tuple[str, ...]:
    """Return the metrics whose tests have not begun and look at stable's past first."""
    begun = {verdict.name for verdict in verdicts if verdict.evidence}
    tests = (test for test in tests_of(analysis, stage) if awake(test, stage) and test.name not in begun)
    return tuple(dict.fromkeys(test.metric.name for test in tests if test.metric.name in PAST))


def unearned(analysis: Analysis, verdicts: Sequence[Verdict], stage: Stage | None = None) -> list[Verdict]:
    """Return the verdicts as a new step is set: what was passed before says nothing about it yet."""
    changes = {"verdict": VerdictKind.NO_DATA, "reason": Reason.WAITING, "message": wording.WAITING}
    kept = {*TOLD, *(test.name for test in tests_of(analysis, stage) if not awake(test, stage))}
    mine = (verdict for verdict in verdicts if verdict.reason is not Reason.TRAFFIC_SPLIT)
    return [verdict if verdict.name in kept else verdict.model_copy(update=changes) for verdict in mine]


def enter_step(
    analysis: Analysis, verdicts: Sequence[Verdict], since: int, stage: Stage | None = None, settled: int = 0
) -> list[Verdict]:
    """Return the verdicts as a new step begins: safety to be earned anew, nothing counted before `since`.

    Most metrics count nothing before `settled` either.
    """
    tests = {test.name: test for test in tests_of(analysis, stage) if awake(test, stage)}
    fresh = []
    for verdict in unearned(analysis, verdicts, stage):
        test = tests.get(verdict.name)
        kept = stage is not None and test is None
        evidence = verdict.evidence if kept else ""
        if test is not None:
            evidence = test.enter_step(verdict.evidence, _first(test, since, settled))
        fresh.append(verdict.model_copy(update={"evidence": evidence}))
    return fresh
