"""What came of a simulation, or of recorded data, as one self-contained page."""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

import numpy as np

from modelrollout.api.units import format_duration
from modelrollout.simulate.charts import Frame, clock, histogram, round_ticks
from modelrollout.simulate.story import Event, Mark, Story
from modelrollout.simulate.summary import CONFIDENCE, Summary, bound, clopper_pearson, needed_nats

_NAMES: Final = {
    "promoted": "promoted",
    "rolledBack": "rolled back",
    "paused": "paused",
    "open": "still open",
    "reported": "reported",
}
_SMOOTH: Final = 8
"""Windows over which shown error rates are taken."""
_LEAST: Final = -4.0
"""Least log10 e-value that is shown."""
_KINDS: Final = {"RolledBack": "bad", "TimedOut": "bad", "Aborted": "bad", "Promoted": "good", "Completed": "good"}


def page(summary: Summary) -> str:
    """Return the page of one run, or of many."""
    if len(summary.results) == 1:
        return single(_story(summary))
    return _page(summary.stage.scenario.name, list(_distribution(summary)))


def single(story: Story) -> str:
    """Return the page of one rollout: weight, error rates, e-values and moves on one time axis."""
    facts = [("outcome", f'<span class="{_tone(story.outcome)}">{_NAMES.get(story.outcome, story.outcome)}</span>')]
    facts += [(name, escape(value)) for name, value in story.facts]
    end = max([*(event.time for event in story.events), *(mark.time for mark in story.marks), 1.0])
    body = [
        f'<p class="sub">{escape(story.subtitle)}</p>',
        _facts(facts),
        _section("Candidate's share of requests", _weight_chart(story, end)),
        _section(f"Failed requests, over {_SMOOTH} windows", _errors_chart(story, end)),
        _section("Evidence against the candidate", _evidence_chart(story, end)),
        _moves(story.events),
    ]
    return _page(story.title, body)


def _page(title: str, body: Sequence[str]) -> str:
    template = files("modelrollout.simulate").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escape(title), body="\n".join(body))


def _tone(outcome: str) -> str:
    return {"promoted": "good", "reported": "good", "rolledBack": "bad"}.get(outcome, "neutral")


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return '<dl class="facts">' + "".join(f"<div><dt>{n}</dt><dd>{v}</dd></div>" for n, v in facts) + "</dl>"


def _section(title: str, chart: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{chart}</section>"


def _moments(story: Story) -> list[tuple[float, str, str]]:
    return [(event.time, _KINDS.get(event.kind, "step"), f"{event.kind}: {event.message}") for event in story.events]


def _weight_chart(story: Story, end: float) -> str:
    known = [(mark.time, mark.share) for mark in story.marks]
    moves = [(event.time, float(event.weight)) for event in story.events if event.kind != "Safe"]
    promoted = next((event.time for event in story.events if event.kind == "Promoted"), None)
    points = moves or known
    if promoted is not None:
        points = [(time, 100.0 if time >= promoted else weight) for time, weight in points]
    ticks = round_ticks(min(100.0, max(weight for _, weight in points)))
    frame = Frame(end, ticks[-1], height=150)
    axis = frame.value_axis([(tick, f"{tick:g}%") for tick in ticks])
    return frame.svg(
        "weight", [frame.time_axis(), axis, frame.stairs(points, "candidate"), frame.moments(_moments(story))]
    )


def _errors_chart(story: Story, end: float) -> str:
    sides = {
        "stable": _rates([(mark.time, *mark.stable) for mark in story.marks]),
        "candidate": _rates([(mark.time, *mark.candidate) for mark in story.marks]),
    }
    top = max((rate for points in sides.values() for _, rate in points), default=0.0)
    ticks = round_ticks(top * 100.0)
    frame = Frame(end, ticks[-1] / 100.0)
    parts = [frame.time_axis(), frame.value_axis([(tick / 100.0, f"{tick:.3g}%") for tick in ticks])]
    parts += [frame.moments(_moments(story)), *(frame.line(points, name) for name, points in sides.items())]
    ends = [(points[-1][1], name, name) for name, points in sides.items() if points]
    return frame.svg("error rates", [*parts, frame.names(ends)])


def _rates(counts: Sequence[tuple[float, int, int]]) -> list[tuple[float, float]]:
    """Return error rates over the last windows from running totals; a total that falls begins anew."""
    points = []
    for index, (time, requests, bad) in enumerate(counts):
        before = counts[max(0, index - _SMOOTH)] if index else (0.0, 0, 0)
        n, x = requests - before[1], bad - before[2]
        if n < 0:
            n, x = requests, bad
        if n > 0:
            points.append((time, max(0, x) / n))
    return points


def _evidence_chart(story: Story, end: float) -> str:
    names = list(dict.fromkeys(name for mark in story.marks for name in mark.harm))
    limit = story.limit / math.log(10.0)
    lines = {name: [(m.time, m.harm[name] / math.log(10.0)) for m in story.marks if name in m.harm] for name in names}
    top = max(limit + 0.5, *(value for points in lines.values() for _, value in points), 1.0)
    top = min(top, 3.0 * limit)
    least = min(0.0, *(value for points in lines.values() for _, value in points))
    floor = max(_LEAST, math.floor(least))
    frame = Frame(end, top, floor, height=200)
    ticks = [(float(power), _power(power)) for power in range(int(floor), math.floor(top) + 1, 2 if top > 5 else 1)]
    parts = [frame.time_axis(), frame.value_axis(ticks), frame.moments(_moments(story))]
    y = frame.y(limit)
    parts.append(f'<line class="limit" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [frame.line(points, f"metric{index % 6}") for index, (_, points) in enumerate(lines.items())]
    ends = [(points[-1][1], name, f"metric{index % 6}") for index, (name, points) in enumerate(lines.items()) if points]
    words = "e-value of each metric; together, weighted, they roll back at the line (1/alpha)"
    below = f"; values below {_power(int(_LEAST))} are drawn there" if least < _LEAST else ""
    note = f'<p class="note">{words}{below}</p>'
    return frame.svg("e-values", [*parts, frame.names([*ends, (limit, "rollback", "bad")])]) + note


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -4 <= power <= 4 else f"1e{power}"


def _moves(events: Sequence[Event]) -> str:
    rows = "".join(
        f'<tr><td class="num">{clock(event.time)}</td><td class="num">{event.weight}%</td>'
        f'<td class="num {_KINDS.get(event.kind, "")}">{escape(event.kind)}</td><td>{escape(event.message)}</td></tr>'
        for event in events
    )
    head = "<tr><th>time</th><th>weight</th><th>move</th><th>why</th></tr>"
    return f"<section><h2>Moves</h2><table>{head}{rows}</table></section>"


def _story(summary: Summary) -> Story:
    """Return one run as a page tells it."""
    result, scenario = summary.results[0], summary.stage.scenario
    facts = [("seed", str(summary.seed))]
    if result.time is not None:
        facts.append(("after the first traffic", format_duration(timedelta(seconds=result.time))))
    facts.append(("failed beyond stable's rate", f"{result.excess:.1f}"))
    if (least := bound(summary)) is not None:
        facts.append(("earliest possible rollback", format_duration(timedelta(seconds=least))))
    facts += [("assumed", one) for one in summary.stage.assumed]
    events = [Event(told.time, told.move.weight, told.move.move, told.move.message) for told in result.moves]
    if result.outcome in ("paused", "open"):
        events.append(Event(scenario.horizon, result.weight, "(end)", result.reason))
    return Story(
        title=scenario.name,
        subtitle="one simulated run; times since the new template was applied",
        outcome=result.outcome,
        facts=tuple(facts),
        events=tuple(events),
        marks=tuple(Mark(p.time, float(p.weight), p.stable, p.candidate, p.harm) for p in result.points),
        limit=needed_nats(summary.stage.rollout.spec.analysis),
    )


def _distribution(summary: Summary) -> Iterator[str]:
    runs, excess = len(summary.results), [result.excess for result in summary.results]
    yield f'<p class="sub">{runs} simulated runs, seed {summary.seed}; times since the candidate\'s first traffic</p>'
    facts = [
        ("failed beyond stable's rate, mean", f"{np.mean(excess):.1f}"),
        ("p95", f"{np.percentile(excess, 95):.1f}"),
    ]
    if (least := bound(summary)) is not None:
        facts.append(("earliest possible rollback", format_duration(timedelta(seconds=least))))
    facts.append(("ordering rules broken", str(summary.violations)))
    facts += [("assumed", escape(one)) for one in summary.stage.assumed]
    yield _facts(facts)
    yield _outcomes(summary)
    charts = [
        _section(f"Time to {word}", histogram(times, _tone(outcome), "time", f"time to {word}"))
        for outcome, word in (("rolledBack", "rollback"), ("promoted", "promotion"))
        if len(times := summary.times(outcome)) > 1
    ]
    if max(excess) - min(excess) > 1e-6:
        charts.append(
            _section("Requests failed beyond stable's rate", histogram(excess, "neutral", "", "excess errors"))
        )
    yield f'<div class="pair">{"".join(charts)}</div>'


def _outcomes(summary: Summary) -> str:
    runs, rows, bar = len(summary.results), [], []
    for outcome in summary.outcomes:
        count = summary.count(outcome)
        low, high = clopper_pearson(count, runs, CONFIDENCE)
        times = summary.times(outcome)
        when = [clock(float(value)) for value in np.percentile(times, [50, 95, 100])] if times else ["", "", ""]
        cells = (_NAMES[outcome], str(count), f"{count / runs:.2%}", f"{low:.2%} to {high:.2%}", *when)
        rows.append("<tr>" + "".join(f'<td class="num">{cell}</td>' for cell in cells) + "</tr>")
        if count:
            bar.append(
                f'<span class="{_tone(outcome)}" style="flex:{count}" title="{_NAMES[outcome]}: {count}"></span>'
            )
    titles = ("outcome", "runs", "share", "99 % interval", "median", "p95", "longest")
    head = "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
    table = f'<table class="numbers">{head}{"".join(rows)}</table>'
    return f'<section><h2>Outcomes</h2><div class="share">{"".join(bar)}</div>{table}</section>'
