"""When a rollout may move forward: windows of the week that allow moves, and windows that freeze them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from modelrollout.api.strategy import Schedule, Window
from modelrollout.core.draft import Draft

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
AHEAD: Final = 8
"""Days that are looked through for the end of a freeze; everything repeats after a week."""

Span = tuple[datetime, datetime]


def frozen(draft: Draft) -> bool:
    """Say whether the rollout must stay where it is by its schedule, and until when."""
    schedule = draft.spec.strategy.schedule
    until = frozen_until(schedule, draft.now) if schedule else None
    if until is None or schedule is None:
        return False
    if until > draft.now:
        draft.wait(until)
        local = until.astimezone(ZoneInfo(schedule.time_zone)).strftime("%a %H:%M")
        draft.say(f"ready to move on, but frozen by its schedule until {local} {schedule.time_zone}")
    return True


def frozen_until(schedule: Schedule, now: datetime) -> datetime | None:
    """Return when moves are allowed again, None where they are allowed now.

    A schedule that allows none within a week gives the end of that week; it is looked at anew then.
    """
    spans = _freezes(schedule, now)
    moment = now
    for _ in range(4 * len(spans) + 1):
        over = next((end for start, end in spans if start <= moment < end), None)
        if over is None:
            break
        moment = over
    return moment.astimezone(UTC) if moment > now else None


def _freezes(schedule: Schedule, now: datetime) -> list[Span]:
    """Return every span around now in which nothing may move."""
    zone = ZoneInfo(schedule.time_zone)
    spans = _spans(schedule.freeze, zone, now)
    if not schedule.allow:
        return spans
    edge = now - timedelta(days=2)
    for start, end in sorted(_spans(schedule.allow, zone, now)):
        if start > edge:
            spans.append((edge, start))
        edge = max(edge, end)
    return [*spans, (edge, now + timedelta(days=AHEAD))]


def _spans(windows: Sequence[Window], zone: ZoneInfo, now: datetime) -> list[Span]:
    """Return the windows as spans of time, from the day before yesterday on."""
    today = now.astimezone(zone).date()
    found = []
    for offset in range(-2, AHEAD):
        day = today + timedelta(days=offset)
        for window in windows:
            if not window.days or DAYS[day.weekday()] in window.days:
                length = _minutes(window.to) - _minutes(window.start)
                length += 24 * 60 if length <= 0 else 0
                begin = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=_minutes(window.start))
                # Wall-clock arithmetic: a window keeps its hours when the clocks change.
                found.append((begin.astimezone(UTC), (begin + timedelta(minutes=length)).astimezone(UTC)))
    return found


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
