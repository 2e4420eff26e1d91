"""Durations and percentages."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.units import format_duration, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("1h30m", 5400), ("1h30m5s", 5405), ("100ms", 0.1), ("1m500ms", 60.5), ("0s", 0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "10 m", "m", "-5s", "1.5h", "5s1h", "1d", "30s\n", "٣s", "1234567h"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write for instance 30s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "fraction"), [("1%", 0.01), ("0.02%", 0.0002), ("100%", 1.0), ("250%", 2.5)])
def test_a_percentage_is_read_as_a_fraction(text: str, fraction: float) -> None:
    assert parse_percent(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["", "1", "%", "1 %", "-1%", "1%%", ".5%", "1%\n", "NaN%", "1e2%"])
def test_anything_else_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"write for instance 1% or 0\.02%"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (61.4, "1m1s"), (3600, "1h"), (5405, "1h30m"), (-3, "0s"), (90000, "25h")],
)
def test_a_duration_is_written_in_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(min_value=0, max_value=3599))
def test_what_is_written_can_be_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
