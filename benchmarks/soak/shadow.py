"""What a shadow costs users: the times of their answers with and without one, in one run."""

import time
from dataclasses import dataclass
from typing import Final

from benchmarks.soak.play import Play

SECONDS: Final = 20.0
"""Of one stretch."""
SETTLE: Final = 5.0
"""Seconds for the gateway to route as it was told."""
ROUNDS: Final = 3
QUANTILE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Cost:
    """Times of users' answers, in milliseconds."""

    cell: str
    without: tuple[float, ...]
    """99th percentile of each stretch without a shadow."""
    mirrored: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The middle one with a shadow over the middle one without."""
        return sorted(self.mirrored)[len(self.mirrored) // 2] / sorted(self.without)[len(self.without) // 2]


def cost(play: Play) -> Cost:
    """Measure stretches without and with a shadow by turns."""
    without, mirrored = [], []
    for _ in range(ROUNDS):
        without.append(_p99(play))
        steps = [{"shadow": {"percent": 20}, "minDuration": "10m"}]
        play.story.spec["strategy"] = {"type": "Shadow", "steps": steps}
        play.release()
        play.story.until_move("Shadow", 120)
        mirrored.append(_p99(play))
        del play.story.spec["strategy"]
        play.ask("abort")
        play.story.until(60, phase="RolledBack")
    return Cost(play.cell.name, tuple(without), tuple(mirrored))


def _p99(play: Play) -> float:
    time.sleep(SETTLE)
    before = play.load.mark()
    time.sleep(SECONDS)
    return play.load.mark().since(before).quantile(QUANTILE)
