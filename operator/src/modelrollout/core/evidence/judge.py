"""The judge: readings in, one verdict for each metric out. Everything it remembers is in the verdicts themselves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from modelrollout.api.spec import Analysis
from modelrollout.api.status import Reason, Tally, Verdict, VerdictKind
from modelrollout.api.units import parse_percent
from modelrollout.core.evidence import eprocess, wording
from modelrollout.core.evidence.eprocess import State
from modelrollout.core.evidence.metrics import METRICS, Baseline, Choice
from modelrollout.core.evidence.rates import Margin
from modelrollout.core.evidence.windows import Reading, Window

MIN_REQUESTS: Final = 5
"""Windows are joined until the candidate got this many requests; depends on traffic only, never on outcomes."""
MAX_JOINED: Final = 120
"""Seconds after which joined windows count even so."""
GUARD_SHARE: Final = 0.1
"""Share of alpha kept for the guard after promotion, where no stable traffic is left to compare with."""
SILENCE: Final = 30
"""Seconds without one candidate request after which the hold is blamed on missing traffic."""
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
    """The candidate's weight now."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge found."""

    verdicts: tuple[Verdict, ...]
    end: int
    """Evidence of every metric is counted at least up to here."""
    blamed: Verdict | None = field(default=None)
    """The metric that the rollback is for."""

    @property
    def worst(self) -> VerdictKind:
        """Return the verdict that rules: Fail, then ProviderError, then NoData, then Pass."""
        if self.blamed is not None:
            return VerdictKind.FAIL
        kinds = [verdict.verdict for verdict in self.verdicts]
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
    whatever their dependence (Vovk and Wang, arXiv 1912.06116). It passes when every metric passes on its own.
    """
    analysis = question.analysis
    judged = [_judge_metric(question, choice) for choice in choices(analysis)]
    shares = harm_shares(analysis)
    scores = [math.log(shares[v.name]) + s.log_harm if s else -math.inf for v, s in judged]
    failed = eprocess.log_sum_exp(scores) >= -math.log(parse_percent(analysis.false_rollback))
    verdicts = [verdict for verdict, _ in judged]
    blamed = None
    if failed:
        index = max(range(len(scores)), key=scores.__getitem__)
        blamed = verdicts[index].model_copy(
            update={
                "verdict": VerdictKind.FAIL,
                "reason": Reason.HARMFUL,
                "message": wording.failed(verdicts[index], analysis),
            }
        )
        verdicts[index] = blamed
    ends = [state.end if state else _seen_up_to(question, verdict.name) for verdict, state in judged]
    return Judgement(tuple(verdicts), min(ends, default=question.since), blamed)


def _seen_up_to(question: Question, name: str) -> int:
    """Return from where a metric that could not begin has to be read again: stable's past adds up over an hour."""
    reading = question.readings.get(name)
    return max(question.since, reading.instants[-1] - LOOKBACK) if reading and reading.instants else question.since


def choices(analysis: Analysis) -> list[Choice]:
    """Return the metrics of an analysis with the way each is counted."""
    return [METRICS[metric.name](metric) for metric in analysis.metrics]


def harm_shares(analysis: Analysis) -> dict[str, float]:
    """Return each metric's share of alpha; they sum to 1 less the guard's."""
    sizes = {metric.name: METRICS[metric.name](metric).share for metric in analysis.metrics}
    total = sum(sizes.values())
    return {name: (1.0 - GUARD_SHARE) * size / total for name, size in sizes.items()}


def unearned(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts as a new weight is set: what was passed before says nothing about it yet."""
    changes = {"verdict": VerdictKind.NO_DATA, "reason": Reason.WAITING, "message": wording.WAITING}
    return [verdict.model_copy(update=changes) for verdict in verdicts]


def enter_step(verdicts: Sequence[Verdict], since: int) -> list[Verdict]:
    """Return the verdicts as a new step begins: safety to be earned anew, nothing counted before `since`."""
    fresh = []
    for verdict in unearned(verdicts):
        state = eprocess.unpack(verdict.evidence)
        evidence = "" if state is None else eprocess.pack(eprocess.next_step(state, since))
        fresh.append(verdict.model_copy(update={"evidence": evidence}))
    return fresh


@dataclass(frozen=True, slots=True)
class _Case:
    """One metric of a question."""

    question: Question
    choice: Choice
    last: Verdict
    """What was said of it last."""

    def without(self, reason: Reason, message: str) -> Verdict:
        changes = {"verdict": VerdictKind.NO_DATA, "reason": reason, "message": message}
        return self.last.model_copy(update=changes)


def _judge_metric(question: Question, choice: Choice) -> tuple[Verdict, State | None]:
    unseen = Verdict(name=choice.name, verdict=VerdictKind.NO_DATA, message=wording.WAITING)
    case = _Case(question, choice, next((v for v in question.verdicts if v.name == choice.name), unseen))
    state = eprocess.unpack(case.last.evidence)
    reading = question.readings.get(choice.name)
    if reading is None:
        return case.last, state
    if reading.error is not None:
        text = wording.provider_error(reading.error)
        changes = {"verdict": VerdictKind.PROVIDER_ERROR, "reason": Reason.PROVIDER_ERROR, "message": text}
        return case.last.model_copy(update=changes), state
    start = _first_instant(reading, question.since if state is None else state.end)
    if start is None:
        return case.last, state
    if state is None:
        start, first = _first_baseline(choice, reading, start)
        if first.missing:
            return case.without(Reason.WAITING if first.waits else Reason.UNREADABLE, first.missing), None
        state = replace(
            eprocess.begin(choice.test, reading.instants[start], first.rate, first.requests),
            bucket=first.bucket,
            shift=first.shift,
        )
    problem = choice.problem(reading, state)
    if problem is not None:
        return case.without(Reason.UNREADABLE, problem), state
    folded, state = _fold(case, state, reading, start)
    return _conclude(folded, state, reading), state


def _first_baseline(choice: Choice, reading: Reading, start: int) -> tuple[int, Baseline]:
    """Return the first instant at which stable's past suffices to begin; the last one tried where none does."""
    past, index = choice.baseline(reading, start, start), start
    while past.missing and index < len(reading.instants) - 2:
        index += 1
        past = choice.baseline(reading, start, index)
    return index, past


def _first_instant(reading: Reading, end: int) -> int | None:
    """Return the index of the first instant not before `end`, if a window follows it."""
    for index, instant in enumerate(reading.instants[:-1]):
        if instant >= end:
            return index
    return None


def _fold(case: _Case, state: State, reading: Reading, start: int) -> tuple[_Case, State]:
    safe = safe_margin(case.question.analysis, case.choice, case.question.next_weight)
    stable, candidate = case.last.stable, case.last.candidate
    counts = case.choice.windows(reading, state, start)
    for end, (n_c, x_c, n_s, x_s) in zip(reading.instants[start + 1 :], counts, strict=True):
        candidate = Tally(requests=candidate.requests + n_c, bad=candidate.bad + x_c)
        stable = Tally(requests=stable.requests + n_s, bad=stable.bad + x_s)
        p = state.pending
        joined = (p[0] + n_c, p[1] + x_c, p[2] + n_s, p[3] + x_s)
        if joined[0] >= MIN_REQUESTS or (joined[0] > 0 and end - state.pending_since >= MAX_JOINED):
            state = eprocess.update(state, case.choice.test, safe, Window(end, *joined))
            state = replace(state, pending=(0, 0, 0, 0), pending_since=end)
        else:
            state = replace(state, end=end, pending=joined)
    return replace(case, last=case.last.model_copy(update={"stable": stable, "candidate": candidate})), state


def safe_margin(analysis: Analysis, choice: Choice, next_weight: int) -> Margin:
    """Return the margin that a candidate must be shown to stay below before it gets `next_weight` per cent.

    The harm budget is a share of all traffic, so the more traffic is at stake, the tighter the margin.
    """
    budget = parse_percent(analysis.harm_budget) * choice.budget_factor
    return Margin(choice.test.margin.rho, min(0.5, choice.test.margin.delta + budget / (next_weight / 100.0)))


def _conclude(case: _Case, state: State, reading: Reading) -> Verdict:
    question = case.question
    need = -math.log(parse_percent(question.analysis.false_promotion))
    passed = state.safety_best >= need and state.log_harm <= wording.MAX_LOG_DOUBT
    finding = wording.Finding(
        verdict=case.last,
        state=state,
        safe=safe_margin(question.analysis, case.choice, question.next_weight),
        need=need,
        weight=question.weight,
        next_weight=question.next_weight,
        silent=state.pending[0] == 0 and state.end - state.pending_since >= SILENCE,
        per_second=_candidate_rate(case.choice, state, reading),
    )
    reason, message = (Reason.SAFE, wording.passed(finding)) if passed else wording.missing(finding)
    return case.last.model_copy(
        update={
            "verdict": VerdictKind.PASS if passed else VerdictKind.NO_DATA,
            "reason": reason,
            "message": message,
            "harm": f"{state.log_harm:.2f}",
            "safety": f"{state.log_safety:.2f}",
            "evidence": eprocess.pack(state),
        }
    )


def _candidate_rate(choice: Choice, state: State, reading: Reading) -> float | None:
    seconds = reading.instants[-1] - reading.instants[0]
    return sum(window[0] for window in choice.windows(reading, state, 0)) / seconds if seconds > 0 else None
