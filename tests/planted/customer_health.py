"""Faults of customer_health."""

from planted import CLOCK_DAY, CLOCK_MOVES, keys, one_row, volume_drops

HEALTH = "customer_health.customer_health_daily"
RETENTION = "customer_health.retention_weekly"
PATHS = "customer_health.user_paths_weekly"

FAULTS = {
    **keys(HEALTH, "date"),
    f"{HEALTH}.counts": one_row(HEALTH, "open_tickets = -1"),
    f"{HEALTH}.windows_nest": one_row(HEALTH, "active_users_7d = active_users_28d + 1"),
    f"{HEALTH}.stickiness_is_a_ratio": one_row(HEALTH, "stickiness = null", "active_users_28d > 0"),
    f"{HEALTH}.usage_change_pct_is_a_ratio": one_row(HEALTH, "usage_change_pct = 7", "messages_previous_7d = 0"),
    f"{HEALTH}.score_in_range": one_row(HEALTH, "engagement_score = 100.5"),
    f"{HEALTH}.score_of_its_parts": one_row(HEALTH, "engagement_score = engagement_score + 1e-6"),
    f"{HEALTH}.churn_risk_accepted": one_row(HEALTH, "churn_risk = 'none'"),
    f"{HEALTH}.risk_follows_points": one_row(HEALTH, "churn_risk = 'high'", "churn_risk = 'low'"),
    f"{HEALTH}.points_follow_reasons": one_row(HEALTH, "churn_reasons = 'idle,payment_failed'", "churn_points = 0"),
    f"{HEALTH}.messages_of_the_week": one_row(HEALTH, "messages_7d = messages_7d + 1"),
    f"{HEALTH}.users_of_the_newest_day": f"""
        update {HEALTH} set active_users_28d = active_users_28d + 1 where date > {CLOCK_DAY} - 3
    """,
    f"{HEALTH}.every_active_day": f"delete from {HEALTH} where rowid = (select min(rowid) from {HEALTH})",
    f"{HEALTH}.dense": f"delete from {HEALTH} where date = {CLOCK_DAY} - 10",
    f"{HEALTH}.date_fresh": CLOCK_MOVES,
    f"{HEALTH}.messages_7d_usual_volume": volume_drops(HEALTH, "date", "messages_7d", days_ago=2),
    **keys(RETENTION, "cohort_week"),
    f"{RETENTION}.counts": one_row(RETENTION, "active_users = null"),
    f"{RETENTION}.users_of_the_cohort": one_row(RETENTION, "active_users = cohort_users + 1"),
    f"{RETENTION}.all_begin_in_the_first_week": one_row(RETENTION, "active_users = 0", "weeks_since = 0"),
    f"{RETENTION}.retention_is_a_ratio": one_row(RETENTION, "retention = null"),
    f"{RETENTION}.week_begins": one_row(RETENTION, "cohort_week = cohort_week + 1"),
    f"{RETENTION}.dense": one_row(RETENTION, "cohort_users = cohort_users + 1"),
    f"{RETENTION}.all_user_weeks": one_row(RETENTION, "active_users = active_users - 1", "active_users > 0"),
    f"{RETENTION}.cohort_week_fresh": CLOCK_MOVES,
    **keys(PATHS, "week"),
    f"{PATHS}.not_empty": f"update intermediate.int_platform_user_days set events = 100; delete from {PATHS}",
    f"{PATHS}.counts": one_row(PATHS, "users = -1"),
    f"{PATHS}.users_take_paths": one_row(PATHS, "users = transitions + 1"),
    f"{PATHS}.within_half_an_hour": one_row(PATHS, "median_seconds_between = 1800.5"),
    f"{PATHS}.week_begins": one_row(PATHS, "week = week + 1"),
    f"{PATHS}.fewer_than_events": f"update {PATHS} set transitions = 1000000",
    f"{PATHS}.week_fresh": CLOCK_MOVES,
}
