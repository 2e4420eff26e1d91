"""One file a suite."""

from collections.abc import Mapping
from typing import Final

from benchmarks.decision.suite import Suite
from benchmarks.decision.suites import (
    s1_aa,
    s2_detect,
    s3_bound,
    s4_robust,
    s5_latency,
    s6_drift,
    s7_shadow,
    s8_labels,
    s9_pacing,
    s10_ops,
)

SUITES: Final[Mapping[str, Suite]] = {
    "S1": s1_aa,
    "S2": s2_detect,
    "S3": s3_bound,
    "S4": s4_robust,
    "S5": s5_latency,
    "S6": s6_drift,
    "S7": s7_shadow,
    "S8": s8_labels,
    "S9": s9_pacing,
    "S10": s10_ops,
}
