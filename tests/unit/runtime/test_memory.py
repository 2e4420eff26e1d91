"""What is kept of a rollout between two plans."""

from datetime import UTC, datetime, timedelta

from modelrollout.api.status import Phase, Status
from modelrollout.core.actions import Plan, Watch
from modelrollout.core.observed import Workload
from modelrollout.ports import Key
from modelrollout.runtime.memory import FIRST_LOOK, LONGEST_LOOK, Memories, Memory

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
ACTIVE = Plan((), Status(phase=Phase.PROGRESSING, window_end=15), watch=Watch("s", "c", 15, ("errors",)))


def test_a_plan_goes_on_from_the_last_one_and_not_from_what_was_saved_before_it() -> None:
    memory, saved = Memory(), Status(phase=Phase.PROGRESSING)
    assert memory.status(saved) is saved
    memory.planned(ACTIVE)
    assert memory.status(saved) is ACTIVE.status


def test_a_saved_status_is_recognised_when_it_comes_back_cut_to_the_second() -> None:
    memory, status = Memory(), Status(phase=Phase.GUARDING, guard_until=NOW)
    memory.saved(status)
    back = Status.model_validate(status.model_dump(mode="json", exclude_none=True))
    assert memory.status(back) is status


def test_a_status_that_somebody_else_wrote_wins() -> None:
    memory = Memory()
    memory.status(Status(phase=Phase.PROGRESSING))
    memory.planned(ACTIVE)
    theirs = Status(phase=Phase.ROLLED_BACK)
    assert memory.status(theirs) is theirs


def test_a_status_that_the_resource_holds_is_not_kept_a_second_time() -> None:
    memory, until = Memory(), NOW.replace(microsecond=0)
    plan = Plan((), Status(phase=Phase.GUARDING, guard_until=until), requeue_after=timedelta(seconds=9))
    memory.saved(plan.status)
    memory.planned(plan)
    assert (memory.base, memory.working) == (None, None)
    saved = Status.model_validate(plan.status.model_dump(mode="json", exclude_none=True))
    assert memory.status(saved) == plan.status


def test_a_refusal_holds_for_its_generation_and_is_tried_again_ever_more_rarely() -> None:
    memory = Memory()
    memory.refused(3, "no such field", NOW)
    assert memory.terminal(3, NOW + timedelta(seconds=29)) == "no such field"
    assert memory.terminal(3, NOW + timedelta(seconds=30)) is None
    assert memory.terminal(4, NOW) is None
    memory.refused(3, "no such field", NOW)
    assert memory.terminal(3, NOW + timedelta(seconds=59)) == "no such field"
    memory.refused(4, "another", NOW)
    assert memory.terminal(4, NOW + timedelta(seconds=30)) is None


def test_missing_pods_are_looked_at_after_a_while_and_then_ever_more_rarely() -> None:
    memory, workload = Memory(), Workload("r1", 2, 0)
    trouble = memory.unready(workload, NOW)
    assert trouble.look_at == NOW + FIRST_LOOK
    assert memory.unready(workload, NOW + FIRST_LOOK) is trouble
    gaps = []
    for _ in range(10):
        before = trouble.look_at
        trouble.looked(before, "ImagePullBackOff", False)
        gaps.append(trouble.look_at - before)
    assert gaps == sorted(gaps)
    assert gaps[0] == FIRST_LOOK
    assert gaps[-1] == LONGEST_LOOK


def test_an_idle_rollout_leaves_nothing() -> None:
    memories, key = Memories(), Key("ml", "fraud")
    memories.of(key).planned(ACTIVE)
    memories.tidy(key)
    assert list(memories) == [key]
    memories.of(key).planned(Plan((), Status(phase=Phase.PROMOTED)))
    memories.tidy(key)
    assert list(memories) == []


def test_it_knows_whether_evidence_was_read_since_the_takeover() -> None:
    memory = Memory()
    memory.planned(ACTIVE)
    assert not memory.caught_up
    memory.planned(ACTIVE, read=True)
    memory.planned(ACTIVE)
    assert memory.caught_up
