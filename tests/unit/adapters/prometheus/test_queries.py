"""Which queries a window needs."""

from hypothesis import given
from hypothesis import strategies as st

from modelrollout.adapters.prometheus.patterns import Subject
from modelrollout.adapters.prometheus.presets import Presets
from modelrollout.adapters.prometheus.queries import MOST_ROLLOUTS, MOST_STEPS, Ask, plan_queries
from modelrollout.ports import Key

WINDOW = 15
NOW = 1_800_000_000


def ask(number: int, since: int) -> Ask:
    name = f"m{number}"
    return Ask(Key("ns", name), since, Subject("ns", name, "bbbbbbbbbb"), Subject("ns", name, "cccccccccc"))


def test_rollouts_that_are_up_to_date_share_one_query_of_two_instants() -> None:
    (query,) = plan_queries([ask(n, NOW - WINDOW) for n in range(MOST_ROLLOUTS)], NOW, WINDOW)
    assert query.instants == (NOW - WINDOW, NOW)
    assert len(query.asks) == MOST_ROLLOUTS


def test_a_laggard_has_a_query_of_its_own() -> None:
    asks = [ask(0, NOW - 100 * WINDOW), *(ask(n, NOW - WINDOW) for n in range(1, 50))]
    queries = sorted(plan_queries(asks, NOW, WINDOW), key=lambda query: query.start)
    assert [len(query.asks) for query in queries] == [1, 49]
    assert [len(query.instants) for query in queries] == [101, 2]


def test_a_day_behind_is_read_in_long_steps() -> None:
    (query,) = plan_queries([ask(0, NOW - 86400)], NOW, WINDOW)
    assert query.step == 48 * WINDOW
    assert query.instants[0] == NOW - 86400
    assert query.instants[-1] == NOW


def test_nothing_new_needs_no_query() -> None:
    assert list(plan_queries([ask(0, NOW), ask(1, NOW + WINDOW)], NOW, WINDOW)) == []


def test_histograms_come_in_smaller_batches() -> None:
    asks = [ask(n, NOW - WINDOW) for n in range(200)]
    assert [len(query.asks) for query in plan_queries(asks, NOW, WINDOW, heft=20)] == [100, 100]


@given(st.lists(st.integers(1, 20_000), max_size=60), st.integers(1, 30), st.integers(0, 40), st.sampled_from([1, 20]))
def test_every_rollout_is_asked_once_from_its_own_instant(
    behind: list[int], window: int, offset: int, heft: int
) -> None:
    asks = [ask(n, NOW - windows * window - (offset if n % 2 else 0)) for n, windows in enumerate(behind)]
    queries = list(plan_queries(asks, NOW, window, heft))
    assert sorted(one.key for query in queries for one in query.asks) == sorted(one.key for one in asks)
    for query in queries:
        assert query.step % window == 0
        assert len(query.instants) <= MOST_STEPS + 1
        assert NOW - query.step < query.instants[-1] <= NOW
        assert {one.since for one in query.asks} <= set(query.instants[:-1])


def test_the_selector() -> None:
    preset = Presets.installed()["model-server"]
    (query,) = plan_queries([ask(0, NOW - WINDOW)], NOW, WINDOW)
    assert query.text(preset.source_of("errors"), preset.shapes) == (
        'model_server_requests_total{pod=~"(?:m0-(?:bbbbbbbbbb|cccccccccc))-[0-9a-z]+-[0-9a-z]+",namespace=~"ns"}'
    )
