"""The clock of evidence, in virtual time: when it asks, whom it tells, and that it asks nothing in between."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelrollout.api.resource import ModelRollout, parse
from modelrollout.core.actions import Watch
from modelrollout.core.evidence.windows import Reading
from modelrollout.ports import Key
from modelrollout.runtime.collector import Collector
from tests.unit.runtime.virtual import run

KEY, OTHER = Key("ml", "fraud"), Key("ml", "other")
EPOCH = 1_800_000_000
"""On the grid of 15 s windows."""


class LoopClock:
    """Unix time that goes with the event loop's; 3 s past a window's end when a test begins."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(EPOCH + 3.0 + asyncio.get_running_loop().time() - 1000.0, UTC)


@dataclass
class Provider:
    """Answers or fails, and remembers what it was asked."""

    asked: list[tuple[float, int, tuple[Key, ...]]] = field(default_factory=list)
    fails: bool = False
    raises: bool = False
    slow: float = 0.0

    async def read(
        self, watches: Mapping[Key, tuple[ModelRollout, Watch]], until: int
    ) -> Mapping[Key, Mapping[str, Reading]]:
        self.asked.append((LoopClock().now().timestamp() - EPOCH, until - EPOCH, tuple(watches)))
        if self.raises:
            raise RuntimeError("broken promise")
        await asyncio.sleep(self.slow)
        error = "connection refused" if self.fails else None
        return {key: {"errors": Reading(instants=(until,), error=error)} for key in watches}


ROLLOUT = parse(
    {
        "metadata": {"name": "fraud", "namespace": "ml"},
        "spec": {
            "template": {"spec": {"containers": [{"name": "m", "image": "model:1"}]}},
            "traffic": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            "analysis": {"preset": "traefik"},
        },
    }
)
WATCH = Watch("s", "c", EPOCH, ("errors",))
Story = Callable[[Collector, Provider, list[Key]], Coroutine[Any, Any, None]]


def tell(story: Story, *, window: int = 15) -> Provider:
    provider = Provider()

    async def main() -> None:
        told: list[Key] = []
        collector = Collector(provider, LoopClock(), window=window, enqueue=told.append, lag=0.5, chance=lambda: 0.5)
        task = asyncio.create_task(collector.run())
        await story(collector, provider, told)
        assert not task.done()
        task.cancel()

    run(main())
    return provider


def test_nobody_watches_so_nobody_asks() -> None:
    async def story(_: Collector, __: Provider, told: list[Key]) -> None:
        await asyncio.sleep(3600.0)
        assert told == []

    assert tell(story).asked == []


def test_one_question_a_window_on_the_grid_for_all() -> None:
    async def story(collector: Collector, _: Provider, told: list[Key]) -> None:
        collector.watch(KEY, ROLLOUT, WATCH)
        collector.watch(OTHER, ROLLOUT, WATCH)
        await asyncio.sleep(40.0)
        assert told == [KEY, OTHER] * 2
        collector.watch(KEY, ROLLOUT, None)
        collector.watch(OTHER, ROLLOUT, None)
        await asyncio.sleep(3600.0)

    asked = tell(story).asked
    assert [at for at, _, _ in asked] == pytest.approx([15.5, 30.5])
    assert [(until, keys) for _, until, keys in asked] == [(15, (KEY, OTHER)), (30, (KEY, OTHER))]


def test_readings_stay_until_they_are_consumed_and_newer_ones_replace_them() -> None:
    async def story(collector: Collector, _: Provider, __: list[Key]) -> None:
        collector.watch(KEY, ROLLOUT, WATCH)
        await asyncio.sleep(14.0)
        first = collector.peek(KEY)
        assert first["errors"].instants == (EPOCH + 15,)
        await asyncio.sleep(15.0)
        second = collector.peek(KEY)
        assert second["errors"].instants == (EPOCH + 30,)
        collector.consume(KEY, first)
        assert collector.peek(KEY) is second
        collector.consume(KEY, second)
        assert collector.peek(KEY) == {}

    tell(story)


def test_readings_of_a_replaced_candidate_are_not_handed_out() -> None:
    async def story(collector: Collector, _: Provider, __: list[Key]) -> None:
        collector.watch(KEY, ROLLOUT, WATCH)
        await asyncio.sleep(14.0)
        collector.watch(KEY, ROLLOUT, replace(WATCH, candidate="new"))
        assert collector.peek(KEY) == {}

    tell(story)


def test_an_answer_that_comes_after_the_candidate_changed_tells_nobody() -> None:
    async def story(collector: Collector, provider: Provider, told: list[Key]) -> None:
        provider.slow = 2.0
        collector.watch(KEY, ROLLOUT, WATCH)
        await asyncio.sleep(13.5)
        collector.watch(KEY, ROLLOUT, replace(WATCH, candidate="new"))
        await asyncio.sleep(3.0)
        assert told == []

    tell(story)


def test_windows_that_are_counted_already_are_not_asked_for() -> None:
    async def story(collector: Collector, _: Provider, __: list[Key]) -> None:
        collector.watch(KEY, ROLLOUT, replace(WATCH, since=EPOCH + 30))
        await asyncio.sleep(45.0)

    assert [until for _, until, _ in tell(story).asked] == [45]


def test_a_slow_answer_skips_windows_and_stays_on_the_grid() -> None:
    async def story(collector: Collector, provider: Provider, _: list[Key]) -> None:
        provider.slow = 20.0
        collector.watch(KEY, ROLLOUT, WATCH)
        await asyncio.sleep(60.0)

    assert [until for _, until, _ in tell(story).asked] == [15, 45]


@pytest.mark.parametrize("raises", [False, True])
def test_errors_reach_the_rollouts_and_questions_become_rarer(raises: bool) -> None:
    async def story(collector: Collector, provider: Provider, told: list[Key]) -> None:
        provider.fails, provider.raises = True, raises
        collector.watch(KEY, ROLLOUT, WATCH)
        await asyncio.sleep(60.0)
        assert collector.peek(KEY)["errors"].error
        assert len(told) == len(provider.asked)
        provider.fails = provider.raises = False
        await asyncio.sleep(30.0)
        assert collector.peek(KEY)["errors"].error is None

    asked = tell(story, window=1).asked
    failing = [at for at, _, _ in asked if at < 63.0]
    gaps = [later - earlier for earlier, later in itertools.pairwise(failing)]
    assert max(gaps) <= 15.0
    assert len(failing) < 12
    assert len([at for at, _, _ in asked if at > 80.0]) >= 10
