"""How bad requests scatter: measured where the past can tell, and not where it cannot."""

import math
import random

import pytest

from modelrollout.core.evidence.dispersion import Cell, Dispersion, measure

ALPHA = 0.01
LIMIT = math.log(100.0)
N = 4700


def past(seed: int, minutes: int, sources: int, rate: float, batch: int = 1) -> list[list[Cell]]:
    """Return minutes in which each source has bad requests in batches, at a rate a minute."""
    chance = random.Random(seed)  # noqa: S311
    cells = []
    for _ in range(minutes):
        bad = [0] * sources
        for _ in range(sum(chance.random() < rate / batch / 1000 for _ in range(1000))):
            bad[chance.randrange(sources)] += batch
        cells.append([(N // sources, x) for x in bad])
    return cells


UNKNOWN = Dispersion(cap=LIMIT * 2 / 3)


@pytest.mark.parametrize("cells", [[], [[(N, x)] for x in (4, 5, 2, 1, 8)]])
def test_a_short_past_tells_nothing_however_it_looks(cells):
    assert measure(cells, ALPHA).phi == 1.0
    assert measure(cells, ALPHA).cap == pytest.approx(UNKNOWN.cap)


@pytest.mark.parametrize("sources", [1, 4])
def test_independent_ones_seldom_slow_a_rollout_down(sources):
    found = [measure(past(seed, 60, sources, 5.0), ALPHA) for seed in range(100)]
    assert sum(one.phi == 1.0 for one in found) >= 98
    assert sum(one == Dispersion() for one in found) >= 75


@pytest.mark.parametrize(("batch", "sources", "least"), [(3, 4, 60), (8, 4, 60), (8, 1, 60), (3, 1, 30)])
def test_batches_are_found(batch, sources, least):
    """One gateway alone does not always tell batches of three."""
    found = [measure(past(seed, 60, sources, 20.0, batch), ALPHA).phi for seed in range(60)]
    assert sum(phi > 1.5 for phi in found) >= least
    assert max(found) < 5 * batch


def test_an_incident_of_all_is_no_scatter():
    for sources in (1, 4):
        calm = past(1, 60, sources, 5.0)
        for minute in (23, 24, 25):
            calm[minute] = [(N // sources, 800 // sources) for _ in range(sources)]
        assert measure(calm, ALPHA).phi == 1.0


def test_a_batch_never_decides_in_one_window():
    assert measure(past(3, 60, 4, 20.0, 8), ALPHA).cap == pytest.approx(LIMIT / 2)
