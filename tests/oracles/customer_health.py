"""The customer_health marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import median

from oracles.platform_usage import Event, Row, day_of, grouped, instant, local_day, platform

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MESSAGES = ("message.sent", "message.received")


def monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())


def customer_health_daily(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, date], Row]:
    """Rows by (tenant_id, date), from the tenant's first platform event to the day before the clock's where it is."""
    events = list(events)
    others = grouped(
        (event for event in events if event["source"] in ("crm", "billing")), lambda event: event["tenant_id"]
    )
    rows = {}
    for tenant, acts in grouped(platform(events), lambda event: event["tenant_id"]).items():
        by_day = grouped(acts, day_of)
        tickets = grouped(
            (event for event in others.get(tenant, []) if event["event_type"].startswith("ticket.")),
            lambda event: event["properties"]["ticket_id"],
        )
        failed = Counter(day_of(event) for event in others.get(tenant, []) if event["event_type"] == "payment.failed")
        day, last_day = min(by_day), local_day(as_of, tenant) - DAY
        last_active = day
        while day <= last_day:
            last_active = day if day in by_day else last_active
            rows[tenant, day] = health(by_day, list(tickets.values()), failed, day, (day - last_active).days)
            day += DAY
    return rows


def health(
    by_day: dict[date, list[Event]], tickets: list[list[Event]], failed: Counter[date], day: date, idle: int
) -> Row:
    """One day of one tenant."""
    four_weeks = window(by_day, day, 28)
    users_7d, users_28d = users(window(by_day, day, 7)), users(four_weeks)
    messages = sum(event["event_type"] in MESSAGES for event in window(by_day, day, 7))
    messages_before = sum(event["event_type"] in MESSAGES for event in window(by_day, day - WEEK, 7))
    row: Row = {
        "active_users_7d": users_7d,
        "active_users_28d": users_28d,
        "stickiness": users_7d / users_28d if users_28d else None,
        "messages_7d": messages,
        "messages_previous_7d": messages_before,
        "usage_change_pct": 100 * (messages - messages_before) / messages_before if messages_before else None,
        "features_used_28d": len(
            {event["properties"]["feature"] for event in four_weeks if event["event_type"] == "feature.used"}
        ),
        "open_tickets": sum(is_open(ticket, day) for ticket in tickets),
        "urgent_tickets_28d": sum(
            any(
                event["properties"].get("severity") == "urgent" and day - 28 * DAY < day_of(event) <= day
                for event in ticket
            )
            for ticket in tickets
        ),
        "failed_payments_28d": sum(failed[day - n * DAY] for n in range(28)),
        "days_since_last_activity": idle,
    }
    return row | risk(row)


def window(by_day: dict[date, list[Event]], last: date, days: int) -> list[Event]:
    return [event for n in range(days) for event in by_day.get(last - n * DAY, [])]


def users(events: list[Event]) -> int:
    return len({event["user_id"] for event in events if event.get("user_id") is not None})


def is_open(ticket: list[Event], day: date) -> bool:
    so_far = {event["event_type"] for event in ticket if day_of(event) <= day}
    return so_far == {"ticket.opened"}


def risk(row: Row) -> Row:
    """The score, and the signals of a row's measures with their points."""
    score = (
        40 * min(1, row["active_users_7d"] / 10)
        + 30 * (row["stickiness"] or 0)
        + 20 * min(1, row["features_used_28d"] / 5)
        + (10 if row["days_since_last_activity"] <= 1 else 0)
    )
    change, idle = row["usage_change_pct"] or 0, row["days_since_last_activity"]
    signals = {
        "usage_down_severe": 2 if change < -50 else 0,
        "usage_down": 1 if -50 <= change <= -20 else 0,
        "idle_long": 3 if idle > 14 else 0,
        "idle": 1 if 7 <= idle <= 14 else 0,
        "payment_failed": 2 if row["failed_payments_28d"] else 0,
        "urgent_ticket": 1 if row["urgent_tickets_28d"] else 0,
        "low_engagement": 1 if round(score, 9) < 20 else 0,
    }
    points = sum(signals.values())
    return {
        "engagement_score": score,
        "churn_points": points,
        "churn_risk": "high" if points >= 4 else "medium" if points >= 2 else "low",
        "churn_reasons": ",".join(name for name, worth in signals.items() if worth),
    }


def retention_weekly(events: Iterable[Event], as_of: datetime) -> dict[tuple[date, int], Row]:
    """Rows by (cohort_week, weeks_since), up to the week before the clock's."""
    weeks: dict[str, set[date]] = defaultdict(set)
    for event in platform(events):
        if event.get("user_id") is not None:
            weeks[event["user_id"]].add(monday(instant(event)))
    rows = {}
    for cohort in {min(seen) for seen in weeks.values()}:
        members = [seen for seen in weeks.values() if min(seen) == cohort]
        week = cohort
        while week < monday(as_of.astimezone(UTC)):
            active = sum(week in seen for seen in members)
            rows[cohort, (week - cohort).days // 7] = {
                "cohort_users": len(members),
                "active_users": active,
                "retention": active / len(members),
            }
            week += WEEK
    return rows


def user_paths_weekly(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[date, str, str], Row]:
    """Rows by (week, from_event, to_event). `as_of` makes no difference to this mart."""
    known = [event for event in platform(events) if event.get("user_id") is not None]
    found: dict[tuple[date, str, str], list[tuple[str, float]]] = defaultdict(list)
    for own in grouped(known, lambda event: event["user_id"]).values():
        own.sort(key=lambda event: (instant(event), event["event_id"]))
        for earlier, later in pairwise(own):
            between = instant(later) - instant(earlier)
            if between <= timedelta(minutes=30):
                key = (monday(instant(later)), earlier["event_type"], later["event_type"])
                found[key].append((later["user_id"], between / timedelta(seconds=1)))
    return {
        key: {
            "transitions": len(pairs),
            "users": len({user for user, _ in pairs}),
            "median_seconds_between": median(seconds for _, seconds in pairs),
        }
        for key, pairs in found.items()
    }


MARTS = {
    "customer_health_daily": customer_health_daily,
    "retention_weekly": retention_weekly,
    "user_paths_weekly": user_paths_weekly,
}
