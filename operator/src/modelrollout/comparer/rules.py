"""What counts as the same answer, and what was found when two were compared."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from modelrollout.comparer.paths import Location, Paths

Mode = Literal["auto", "exact", "json", "protocol"]

EVERYTHING: Final = Paths()
NOTHING: Final = Paths()


class Kind(StrEnum):
    """How two answers differ; of several the gravest, which comes first here."""

    STATUS = "status"
    MISSING = "missing"
    SHAPE = "shape"
    BYTES = "bytes"
    VALUE = "value"


GRAVITY: Final = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Rules:
    """How answers are compared."""

    mode: Mode = "auto"
    tolerance: float = 1e-6
    """Numbers that differ by no more agree."""
    relative_tolerance: float = 0.0
    """Allowed in addition, as a share of the larger of both magnitudes."""
    top1: bool = False
    """Where a row has a score for each class, only the highest one has to be the same class."""
    paths: Paths = EVERYTHING
    """Only what they name is compared; empty: everything."""
    ignore: Paths = NOTHING

    def allowed(self, one: float, other: float) -> float:
        """Return how far apart two numbers may be."""
        if not self.relative_tolerance:
            return self.tolerance
        try:
            return self.tolerance + self.relative_tolerance * max(abs(one), abs(other))
        except OverflowError:  # a whole number that no float can hold
            return math.inf


@dataclass(frozen=True, slots=True)
class Difference:
    """The gravest difference of two answers."""

    kind: Kind
    location: Location = ()
    """Where it is; empty: the answer as a whole."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The outcome for a pair of answers."""

    difference: Difference | None = None
    """None: they agree."""
    largest: float | None = None
    """Largest absolute difference of two numbers, those within tolerance too; None where no numbers were compared."""
    rows: int = 1
    agreeing: int = 1
    """Rows that agree; the pair agrees when all of them do."""

    @property
    def agree(self) -> bool:
        """Whether the answers are the same."""
        return self.difference is None


@dataclass(slots=True)
class Findings:
    """Collects differences while two answers are walked through."""

    difference: Difference | None = None
    largest: float | None = None
    bad_rows: set[int] = field(default_factory=set)
    row: int = 0
    """The row that is looked at."""

    def differ(self, kind: Kind, location: Location = ()) -> None:
        """Note a difference in the present row."""
        self.bad_rows.add(self.row)
        if self.difference is None or GRAVITY[kind] < GRAVITY[self.difference.kind]:
            self.difference = Difference(kind, location)

    def apart(self, distance: float) -> None:
        """Note how far two numbers are apart."""
        if self.largest is None or distance > self.largest:
            self.largest = distance

    def outcome(self, rows: int = 1) -> Compared:
        """Return what was found in answers of so many rows."""
        rows = max(1, rows)
        return Compared(self.difference, self.largest, rows, rows - min(rows, len(self.bad_rows)))
