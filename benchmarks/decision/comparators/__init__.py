"""The rules of other tools, re-implemented from their documented behaviour and judged on the very same counts.

Each says which settings it is run with. None of them is the tool itself: weights follow the common schedule, so that
only the judgement differs. Every rule returns the second at which it rolls back, infinite for never.
"""

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.decision.comparators import argo, flagger, kayenta, ztest
from benchmarks.decision.traffic import Counts, Floats

Rule = Callable[[Counts, float], Floats]
"""From counts and stable's true rate (for rules that people tune to it) to seconds of rollback."""

RULES: Final[Mapping[str, Rule]] = {
    "Flagger 99 %": flagger.standard,
    "Flagger tuned": flagger.tuned,
    "Argo 1m": argo.every_minute,
    "Argo 5m": argo.every_five_minutes,
    "Kayenta": kayenta.judge,
    "z-test": ztest.repeated,
}
