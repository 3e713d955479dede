"""Windows of time as RDS writes them: `03:00-04:00` every day, `sun:04:30-sun:05:30` once a week, UTC."""

from __future__ import annotations

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_DAY = f"({'|'.join(_WEEKDAYS)})"
DAILY_WINDOW = rf"^{_TIME}-{_TIME}$"
WEEKLY_WINDOW = rf"^{_DAY}:{_TIME}-{_DAY}:{_TIME}$"
_MINUTES_A_DAY = 24 * 60
_MINUTES_A_WEEK = 7 * _MINUTES_A_DAY


def overlap(*, weekly: str, daily: str) -> bool:
    """Return whether the two windows have a minute in common."""
    first, last = (_minute_of_week(time) for time in weekly.split("-"))
    weekly_minutes = {(first + n) % _MINUTES_A_DAY for n in range((last - first) % _MINUTES_A_WEEK)}
    start, end = (_minute_of_day(time) for time in daily.split("-"))
    daily_minutes = {(start + n) % _MINUTES_A_DAY for n in range((end - start) % _MINUTES_A_DAY)}
    return bool(weekly_minutes & daily_minutes)


def _minute_of_week(time: str) -> int:
    day, _, clock = time.partition(":")
    return _WEEKDAYS.index(day) * _MINUTES_A_DAY + _minute_of_day(clock)


def _minute_of_day(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
