"""When a cron schedule of five fields runs next."""

from __future__ import annotations

from datetime import datetime, timedelta

# minute, hour, day of month, month, day of week (0 and 7 are Sunday)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
# 29 February comes every eight years at the latest.
HORIZON_DAYS = 366 * 8


def next_time(schedule: str, after: datetime) -> datetime | None:
    """The first minute later than `after`; None if there is none, or the schedule is in words that aren't understood.

    As cron does: if both day fields are restricted, either of them is enough.
    """
    try:
        minutes, hours, days, months, weekdays = (
            _values(text, *limits) for text, limits in zip(schedule.split(), RANGES, strict=True)
        )
    except ValueError:
        return None
    either = not any(schedule.split()[field].startswith("*") for field in (2, 4))
    begin = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for number in range(HORIZON_DAYS):
        day = begin.date() + timedelta(days=number)
        by_date, by_weekday = day.day in days, bool({day.isoweekday(), day.isoweekday() % 7} & weekdays)
        if day.month not in months or not (by_date or by_weekday if either else by_date and by_weekday):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                moment = datetime(day.year, day.month, day.day, hour, minute)
                if moment >= begin:
                    return moment
    return None


def _values(text: str, low: int, high: int) -> set[int]:
    """The numbers of one field: `*`, `5`, `1-5`, `*/15`, `1-30/5`, and lists of these. ValueError if it is none."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("", "", "") if span == "*" else span.partition("-")
        begin = int(first) if first else low
        end = int(last) if last else high if not first or step else begin
        if not low <= begin <= end <= high or (step and int(step) < 1):
            raise ValueError(part)
        found.update(range(begin, end + 1, int(step or 1)))
    return found
