"""What a route says: who gets which requests. Plain values, which routers write and read back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Pairs = tuple[tuple[str, str], ...]

COMPARER: Final = "comparer"
"""Target of a mirror that is no revision: the comparer of the rollout."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of live requests; users never see what comes of them."""

    percent: int
    """Per cent of live requests."""
    to: str
    """A revision, or COMPARER."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Requests that carry all of these go to one revision, whatever the weights."""

    revision: str
    headers: Pairs = ()
    """Name and exact value, sorted by name."""
    cookies: Pairs = ()
    patterns: Pairs = ()
    """Name of a header and pattern of its values (RE2, anchored), sorted by name."""


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which requests."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """Revision to per cent of requests; they sum to 100. Backends keep the order of the mapping: stable first."""
    mirror: Mirror | None = None
    matched: Matched | None = None
    sticky: str | None = None
    """Name of the cookie that the gateway issues to keep clients with their revision."""

    @property
    def served(self) -> tuple[str, ...]:
        """Revisions that some requests of users reach."""
        matched = [self.matched.revision] if self.matched else []
        return tuple(dict.fromkeys([*(one for one, weight in self.weights.items() if weight), *matched]))

    def share(self, revision: str | None) -> int:
        """Return the weight of a revision, 0 for one that it does not name."""
        return self.weights.get(revision, 0) if revision else 0

    def names(self, revision: str) -> bool:
        """Say whether any request, or copy of one, may reach a revision."""
        mirrored = self.mirror is not None and self.mirror.to == revision
        matched = self.matched is not None and self.matched.revision == revision
        return revision in self.weights or mirrored or matched

    def same(self, other: "Split") -> bool:
        """Say whether both treat every request alike: a weight of 0 is as good as none, but not the order."""
        mine, others = ({r: w for r, w in one.weights.items() if w} for one in (self, other))
        return mine == others and (self.mirror, self.matched, self.sticky) == (
            other.mirror,
            other.matched,
            other.sticky,
        )
