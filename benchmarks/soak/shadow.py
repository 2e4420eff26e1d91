"""What a shadow costs users: the times of their answers with and without one, in one run."""

import time
from dataclasses import dataclass
from typing import Final

from tests.support.lab import eventually

from benchmarks.soak.play import Play

SECONDS: Final = 20.0
"""Of one stretch."""
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
        verified = lambda: (play.story.status.get("step") or {}).get("verified")  # noqa: E731
        eventually(f"{play.cell.name}: the mirror is confirmed", verified, 60, play.story.diagnosis)
        mirrored.append(_p99(play))
        del play.story.spec["strategy"]
        play.ask("abort")
        play.story.until(60, phase="RolledBack")
    return Cost(play.cell.name, tuple(without), tuple(mirrored))


def _p99(play: Play) -> float:
    time.sleep(2.0)
    before = play.load.mark()
    time.sleep(SECONDS)
    return play.load.mark().since(before).quantile(QUANTILE)
