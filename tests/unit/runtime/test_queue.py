"""The delay queue: earliest due time, one worker a key, nothing lost."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.runtime.queue import Backoff, DelayQueue, QueueClosedError
from tests.unit.runtime.virtual import run


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_comes_when_due_and_no_earlier() -> None:
    async def story() -> float:
        queue: DelayQueue[str] = DelayQueue()
        begin = now()
        queue.add("a", 5.0)
        assert await queue.get() == "a"
        return now() - begin

    assert run(story()) == pytest.approx(5.0)


@pytest.mark.parametrize(("first", "second"), [(5.0, 2.0), (2.0, 5.0), (2.0, 2.0)])
def test_two_additions_keep_the_earlier_and_come_once(first: float, second: float) -> None:
    async def story() -> tuple[float, bool]:
        queue: DelayQueue[str] = DelayQueue()
        begin = now()
        queue.add("a", first)
        queue.add("a", second)
        await queue.get()
        came = now() - begin
        queue.done("a")
        try:
            await asyncio.wait_for(queue.get(), 100.0)
        except TimeoutError:
            return came, True
        return came, False

    came, alone = run(story())
    assert came == pytest.approx(2.0)
    assert alone


def test_an_addition_during_work_is_remembered() -> None:
    async def story() -> list[str]:
        queue: DelayQueue[str] = DelayQueue()
        queue.add("a")
        first = await queue.get()
        queue.add("a")
        assert queue.due()[0] == 0
        queue.done("a")
        return [first, await queue.get()]

    assert run(story()) == ["a", "a"]


def test_backoff_grows_and_success_resets_it() -> None:
    async def story() -> list[float]:
        queue: DelayQueue[str] = DelayQueue(backoff=Backoff(base=1.0, cap=5.0, jitter=0.5), chance=lambda: 0.5)
        delays = [queue.retry("a") for _ in range(4)]
        queue.succeeded("a")
        return [*delays, queue.retry("a")]

    assert run(story()) == [1.0, 2.0, 4.0, 5.0, 1.0]


@given(failures=st.integers(1, 500), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(failures: int, chance: float) -> None:
    backoff = Backoff(base=0.5, cap=30.0, jitter=0.2)
    middle = backoff.delay(failures, 0.5)
    assert 0.8 * middle <= backoff.delay(failures, chance) <= 1.2 * middle


def test_a_cancelled_worker_loses_no_key() -> None:
    async def story() -> str:
        queue: DelayQueue[str] = DelayQueue()
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return await queue.get()

    assert run(story()) == "a"


def test_closing_wakes_everyone_and_lets_work_end() -> None:
    async def story() -> None:
        queue: DelayQueue[str] = DelayQueue()
        queue.add("a")
        assert await queue.get() == "a"
        waiter = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        queue.close()
        queue.done("a")
        with pytest.raises(QueueClosedError):
            await waiter
        with pytest.raises(QueueClosedError):
            await queue.get()

    run(story())


def test_depth_and_age_count_only_what_is_due() -> None:
    async def story() -> tuple[int, float]:
        queue: DelayQueue[str] = DelayQueue()
        queue.add("a")
        queue.add("b", 100.0)
        await asyncio.sleep(3.0)
        return queue.due()

    depth, age = run(story())
    assert depth == 1
    assert age == pytest.approx(3.0)


def test_old_due_times_do_not_pile_up() -> None:
    async def story() -> int:
        queue: DelayQueue[str] = DelayQueue()
        for turn in range(10_000):
            queue.add("a", 1e6 - turn)
        return len(queue._heap)

    assert run(story()) < 200


operations = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0, 20), st.floats(0, 5), st.booleans()), min_size=1, max_size=60
)


@given(plan=operations, workers=st.integers(1, 4))
def test_never_two_hands_and_every_addition_is_followed_by_work(
    plan: list[tuple[str, float, float, bool]], workers: int
) -> None:
    async def story() -> None:
        queue: DelayQueue[str] = DelayQueue(chance=lambda: 0.5)
        hands: Counter[str] = Counter()
        began: dict[str, float] = {}
        wanted: dict[str, float] = {}

        async def work(turn: int) -> None:
            while True:
                try:
                    key = await queue.get()
                except QueueClosedError:
                    return
                hands[key] += 1
                assert hands[key] == 1
                began[key] = now()
                await asyncio.sleep(plan[turn % len(plan)][2])
                hands[key] -= 1
                queue.done(key)

        crew = [asyncio.create_task(work(turn)) for turn in range(workers)]
        for key, delay, pause, _ in plan:
            queue.add(key, delay)
            wanted[key] = max(wanted.get(key, 0.0), now())
            await asyncio.sleep(pause)
        await asyncio.sleep(10_000.0)
        assert all(began[key] >= moment for key, moment in wanted.items())
        queue.close()
        await asyncio.gather(*crew)

    run(story())
