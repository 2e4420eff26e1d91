"""Small charts as SVG: colours and fonts come from the page's style sheet, so that they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

Points = Sequence[tuple[float, float]]

_TIME_STEPS: Final = (5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot: its size in pixels, and the values at its edges."""

    x_end: float
    y_end: float
    y_start: float = 0.0
    width: float = 920.0
    height: float = 170.0
    left: float = 64.0
    right: float = 132.0
    """Room for the names of lines."""
    top: float = 12.0
    bottom: float = 26.0

    def x(self, value: float) -> float:
        """Return where a value of the horizontal axis lies."""
        return self.left + (self.width - self.left - self.right) * value / (self.x_end or 1.0)

    def y(self, value: float) -> float:
        """Return where a value of the vertical axis lies; what is outside lies at the edge."""
        inside = min(max(value, self.y_start), self.y_end)
        share = (inside - self.y_start) / ((self.y_end - self.y_start) or 1.0)
        return self.height - self.bottom - (self.height - self.top - self.bottom) * share

    def svg(self, label: str, parts: Sequence[str]) -> str:
        """Return the whole picture."""
        size = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        return f'<svg {size} role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'

    def time_axis(self, *, labels: bool = True) -> str:
        """Return vertical grid lines at round times."""
        step = next((step for step in _TIME_STEPS if self.x_end / step <= 9), _TIME_STEPS[-1])
        parts = []
        for tick in range(0, int(self.x_end) + 1, step):
            x = self.x(tick)
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{self.height - self.bottom}"/>'
            )
            if labels:
                parts.append(text(x, self.height - 8, clock(tick), "tick", anchor="middle"))
        return "".join(parts)

    def value_axis(self, ticks: Sequence[tuple[float, str]]) -> str:
        """Return horizontal grid lines with their labels."""
        parts = []
        for value, label in ticks:
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            parts.append(text(self.left - 8, y + 4, label, "tick", anchor="end"))
        return "".join(parts)

    def line(self, points: Points, name: str) -> str:
        """Return a line."""
        if not points:
            return ""
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline class="line {name}" points="{places}"/>'

    def stairs(self, points: Points, name: str) -> str:
        """Return a line that keeps each value until the next, filled below."""
        if not points:
            return ""
        floor = self.y(self.y_start)
        path = [f"M{self.x(points[0][0]):.1f},{floor:.1f}"]
        for (x, y), (after, _) in zip(points, [*points[1:], (self.x_end, 0.0)], strict=True):
            path += [f"L{self.x(x):.1f},{self.y(y):.1f}", f"L{self.x(after):.1f},{self.y(y):.1f}"]
        return f'<path class="area {name}" d="{" ".join(path)} L{self.x(self.x_end):.1f},{floor:.1f}Z"/>'

    def names(self, ends: Sequence[tuple[float, str, str]]) -> str:
        """Write the names of lines at their ends (value, name, class), moved apart where they would overlap."""
        placed, last = [], -math.inf
        for y, name, kind in sorted((self.y(value), name, kind) for value, name, kind in ends):
            last = max(y + 4, last + 15)
            placed.append((last, name, kind))
        beyond = max(0.0, last - (self.height - self.bottom + 4))
        return "".join(
            text(self.width - self.right + 8, y - beyond, name, f"name {kind}", anchor="start")
            for y, name, kind in placed
        )

    def moments(self, times: Sequence[tuple[float, str, str]]) -> str:
        """Return vertical lines at moments (time, class, title)."""
        return "".join(
            f'<line class="moment {kind}" x1="{self.x(time):.1f}" x2="{self.x(time):.1f}" y1="{self.top}" '
            f'y2="{self.height - self.bottom}"><title>{escape(title)}</title></line>'
            for time, kind, title in times
        )


def text(x: float, y: float, words: str, kind: str, *, anchor: str) -> str:
    """Return a piece of text."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def clock(seconds: float) -> str:
    """Write a time: `7:30`, `1:07:30`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def round_ticks(top: float, most: int = 4) -> list[float]:
    """Return round values from 0 to at least `top`."""
    if top <= 0.0:
        return [0.0, 1.0]
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * (1 - 1e-9))
    return [step * index for index in range(math.ceil(top / step - 1e-9) + 1)]


def histogram(values: Sequence[float], name: str, unit: str, label: str) -> str:
    """Return a histogram of values as SVG, with median and 95th percentile marked."""
    ordered = sorted(values)
    low, high = min(0.0, ordered[0]), max(ordered[-1], 1e-9)
    bins = min(40, max(8, round(math.sqrt(len(ordered)) * 1.5)))
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in ordered:
        counts[min(bins - 1, int((value - low) / width))] += 1
    ticks = round_ticks(max(counts), 3)
    frame = Frame(high - low, ticks[-1], width=450, height=190, left=48, right=16, top=22)
    parts = [frame.value_axis([(tick, f"{tick:g}") for tick in ticks])]
    for index, count in enumerate(counts):
        x, y = frame.x(index * width), frame.y(count)
        parts.append(
            f'<rect class="bar {name}" x="{x + 0.5:.1f}" width="{max(1.0, frame.x((index + 1) * width) - x - 1):.1f}" '
            f'y="{y:.1f}" height="{frame.height - frame.bottom - y:.1f}">'
            f"<title>{_shown(low + index * width, unit)} to {_shown(low + (index + 1) * width, unit)}: {count}</title>"
            "</rect>"
        )
    for tick in _time_ticks(high) if unit == "time" else [low + tick for tick in round_ticks(high - low, 5)]:
        if low <= tick <= high:
            parts.append(text(frame.x(tick - low), frame.height - 8, _shown(tick, unit), "tick", anchor="middle"))
    median, p95 = (float(value) for value in np.percentile(ordered, [50, 95]))
    right = frame.width - 4.0
    for value, word in ((p95, "p95"), (median, "median")):
        x, words = frame.x(value - low), f"{word} {_shown(value, unit)}"
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.height - frame.bottom}"/>'
        )
        place = min(max(x, 40.0), right - 3.4 * len(words))
        parts.append(text(place, 14, words, "tick strong", anchor="middle"))
        right = place - 3.4 * len(words) - 8.0
    return frame.svg(label, parts)


def _time_ticks(end: float) -> list[float]:
    step = next((step for step in _TIME_STEPS if end / step <= 6), _TIME_STEPS[-1])
    return [float(tick) for tick in range(0, int(end) + 1, step)]


def _shown(value: float, unit: str) -> str:
    return clock(value) if unit == "time" else f"{value:.3g}"
