"""Requests and bad ones in all: from a verdict, with what windows add, and back into it."""

from collections.abc import Iterable, Mapping, Sequence

from modelrollout.api.status import Tally, Verdict


def totals(verdict: Verdict) -> tuple[int, int, int, int]:
    """Return n_c, x_c, n_s, x_s as a verdict has them."""
    return verdict.candidate.requests, verdict.candidate.bad, verdict.stable.requests, verdict.stable.bad


def tallies(total: Sequence[int]) -> Mapping[str, Tally]:
    """Return what n_c, x_c, n_s, x_s are in a verdict."""
    n_c, x_c, n_s, x_s = total
    return {"candidate": Tally(requests=n_c, bad=x_c), "stable": Tally(requests=n_s, bad=x_s)}


def with_candidate(tally: Tally, windows: Iterable[Sequence[int]]) -> Tally:
    """Return a tally with the candidate's part of windows (n_c, x_c, ...) added."""
    n, x = tally.requests, tally.bad
    for n_c, x_c, *_ in windows:
        n, x = n + n_c, x + x_c
    return Tally(requests=n, bad=x)
