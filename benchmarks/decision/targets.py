"""The numbers that the benchmark is held to: what is simulated, how often, and what must come out of it."""

from dataclasses import dataclass
from typing import Final

SEED: Final = 20261121
"""With the CRC-32 of a scenario's name, the seed of its random numbers (PCG64)."""
ALPHA: Final = 0.01
BETA: Final = 0.05
WINDOW: Final = 15
HORIZON: Final = 3600
STEPS: Final = ((0.05, 900), (0.1, 900), (0.25, 900), (0.5, 900))
"""(candidate's share of traffic, seconds) of the schedule that all methods are judged on."""
CHUNK: Final = 100
"""Runs that are simulated at a time."""

RPS: Final = (1, 10, 100, 1000)
RATES: Final = (0.001, 0.01)
CASES: Final = ("2x", "5x", "+1pp", "+5pp")


@dataclass(frozen=True, slots=True)
class Size:
    """How many runs a cell gets."""

    name: str
    aa: int
    """Runs of equal revisions."""
    detect: int
    """Runs of a bad candidate."""

    @property
    def few(self) -> int:
        """Runs of equal revisions where one is costly: latency, drift, clusters."""
        return max(self.detect, self.aa // 10)


SIZES: Final = {
    "smoke": Size("smoke", 60, 30),
    "quick": Size("quick", 1000, 200),
    "ci": Size("ci", 2000, 300),
    "nightly": Size("nightly", 20000, 1000),
}


@dataclass(frozen=True, slots=True)
class Detection:
    """Seconds in which a bad candidate must be found."""

    rps: int
    p0: float
    case: str
    median: float
    p95: float
    missed: bool = True
    """Whether a single miss is one too many."""


DETECT_SHARP: Final = (
    Detection(100, 0.001, "5x", 345, 900),
    Detection(100, 0.01, "2x", 345, 900),
    Detection(10, 0.01, "5x", 345, 900),
    Detection(1000, 0.001, "5x", 60, 120),
    Detection(1000, 0.001, "2x", 345, 900),
    Detection(10, 0.001, "+5pp", 165, 360),
    Detection(1, 0.001, "+5pp", 1500, 2400),
)
DETECT_DEFAULT: Final = (
    Detection(100, 0.001, "5x", 660, 1300, missed=False),
    Detection(1000, 0.001, "5x", 90, 180, missed=False),
    Detection(100, 0.01, "5x", 90, 165, missed=False),
    Detection(100, 0.001, "+5pp", 45, 75, missed=False),
)

FALSE_ROLLBACK: Final = 0.01
RATIO_MEAN: Final = 1.40
RATIO_MAX: Final = 1.60
STRETCH_MEAN: Final = 1.25
STRETCH_MAX: Final = 1.45
BOUND_LEAST: Final = 200.0
"""Bounds below it are dominated by the window's length."""

BUDGET: Final = 0.005
PROMOTED: Final = 0.99
DWELL: Final = 60
PACE_FAST: Final = 300.0
"""Seconds to full traffic for a good version, at 100 requests a second or more."""
PACE_SLOW: Final = 720.0
"""At 10 a second and a rate of 0.1 %; 616 s is the least where each weight asks for evidence of its own."""
PACE_CARRIED: Final = 480.0
"""The goal where evidence of lower weights counts on."""
CPU_MS: Final = 1.0


def degraded(p0: float, case: str) -> float:
    """Return the candidate's rate in a case: a factor, or percentage points more."""
    return p0 * float(case[:-1]) if case.endswith("x") else p0 + float(case[1:-2]) / 100.0


LAYOUTS: Final = {
    "geo1.25": tuple(0.005 * 1.25**k for k in range(36)),
    "prom-default": (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
}
"""Bounds of latency histograms in seconds; infinity follows."""
LATENCY_MEDIAN: Final = 0.080
LATENCY_SIGMA: Final = 0.6
"""Lognormal response times."""
LATENCY: Final = {("geo1.25", 100, "+10%"): 135.0, ("geo1.25", 10, "+50%"): 90.0, ("geo1.25", 10, "tail"): 330.0}
"""Median seconds to rollback, by layout, requests a second and case."""

DISAGREE: Final = 0.02
"""Share of pairs that may disagree."""
SHADOW_HOURS: Final = 6
SHADOW_RATIO: Final = 1.4

TOLERANCE: Final = 0.05
"""Kolmogorov-Smirnov distance that is tolerated."""
DRIFT: Final = {(10, 0.2): 360.0, (100, 0.1): 360.0}
"""Median seconds, by requests a second and distance."""
LABELS: Final = 1.4
"""Median delay over the information bound for five points fewer right answers at 200 requests a second."""
