"""A good version, from its first requests to the end of its guard."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Begin
from tests.support.story import WEIGHTS, Story, restarts

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FIRST = WEIGHTS[0]
RATE = 70


def test_a_good_version_is_promoted_and_nobody_notices(begin: Begin, served: Callable[[Story], None]) -> None:
    good = begin("good")
    served(good)
    good.start_load(RATE).wait_for_answers(1)
    good.release(2)
    good.until_weight(FIRST)
    candidate = good.status["candidate"]
    before = good.pods(candidate)
    promoted = good.until_move("Promoted", 180)
    good.until_move("Completed", 30)
    status = good.status
    assert (status["phase"], status["stable"]) == ("Promoted", candidate)
    assert [move["weight"] for move in good.moves("Weight")] == list(WEIGHTS)
    after = good.pods(candidate)
    assert len(after) == 2
    assert before.keys() <= after.keys(), "promotion must not replace a pod"
    assert all(pod["metadata"]["creationTimestamp"] <= promoted["at"] for pod in after.values())
    assert restarts(after) == 0
    tally = good.stop_load()
    assert tally.failed == 0, tally
    assert tally.versions.keys() == {"1", "2"}
