"""customer_health: activity and risk of tenants, adoption of features, retention and paths of users."""

from expectations import (
    Expectation,
    accepted,
    counts,
    fresh,
    holds,
    mart,
    nothing,
    rates,
    ratio,
    recent,
    reconciles,
    suite,
    usual_volume,
)

PLATFORM_DAYS = "intermediate.int_platform_days"
USER_DAYS = "intermediate.int_platform_user_days"
USER_WEEKS = "intermediate.int_user_weeks"
REASONS = {
    "usage_down_severe": 2,
    "usage_down": 1,
    "idle_long": 3,
    "idle": 1,
    "payment_failed": 2,
    "urgent_ticket": 1,
    "low_engagement": 1,
}
POINTS = " + ".join(
    f"case when list_contains(string_split(churn_reasons, ','), '{reason}') then {points} else 0 end"
    for reason, points in REASONS.items()
)

# A day is complete where the tenant is; a day later it is so everywhere on earth.
COMPLETE_WEEKS = f"{USER_WEEKS} where week < date_trunc('week', (select as_of from ops.run))"
COMPLETE_DAYS = f"{PLATFORM_DAYS} where date < cast((select as_of from ops.run) as date) - 1"

FEATURE_USES = "staging.stg_platform__feature_uses"
CONVERSATIONS = "staging.stg_platform__conversations"
STEPS = ("first_agent", "first_deploy", "first_conversation", "first_resolved")


def first_is(column: str, of: str) -> Expectation:
    """The time is that of the tenant's first event of a kind, and NULL without any."""
    query = f"""
        select tenant_id, {column}, first_at
        from mart
        full join (select tenant_id, min(occurred_at) as first_at from {of} group by tenant_id) using (tenant_id)
        where {column} is distinct from first_at
    """
    return nothing(f"{column}_is_the_first", query, f"{column} is the first event of {of}.", column)


SUITE = suite(
    "customer_health",
    mart(
        "customer_health_daily",
        key=["tenant_id", "date"],
        fed_by=COMPLETE_DAYS,
        rebuilt=True,
        expect=[
            counts(
                "active_users_7d",
                "active_users_28d",
                "messages_7d",
                "messages_previous_7d",
                "features_used_28d",
                "open_tickets",
                "urgent_tickets_28d",
                "failed_payments_28d",
                "days_since_last_activity",
                "churn_points",
            ),
            holds("windows_nest", "active_users_7d <= active_users_28d", "active_users_7d", "active_users_28d"),
            ratio("stickiness", "active_users_7d", "active_users_28d"),
            ratio("usage_change_pct", "(messages_7d - messages_previous_7d)", "messages_previous_7d", factor=100),
            holds("score_in_range", "engagement_score between 0 and 100", "engagement_score"),
            holds(
                "score_of_its_parts",
                """
                abs(
                    engagement_score - 40 * least(1, active_users_7d / 10) - 30 * coalesce(stickiness, 0)
                    - 20 * least(1, features_used_28d / 5) - case when days_since_last_activity <= 1 then 10 else 0 end
                ) < 1e-9
                """,
                "engagement_score",
                "active_users_7d",
                "stickiness",
                "features_used_28d",
                "days_since_last_activity",
            ),
            accepted("churn_risk", "low", "medium", "high"),
            holds(
                "risk_follows_points",
                """
                churn_risk
                = case when churn_points >= 4 then 'high' when churn_points >= 2 then 'medium' else 'low' end
                """,
                "churn_risk",
                "churn_points",
            ),
            holds("points_follow_reasons", f"churn_points = {POINTS}", "churn_points", "churn_reasons"),
            nothing(
                "messages_of_the_week",
                f"""
                with weeks as (
                    select tenant_id, date + cast(later.number as integer) as date,
                        sum(messages_sent + messages_received) as messages
                    from {PLATFORM_DAYS} cross join (select unnest(generate_series(0, 6)) as number) as later
                    group by all
                )
                select mart.tenant_id, mart.date, mart.messages_7d, coalesce(weeks.messages, 0) as messages
                from mart left join weeks on mart.tenant_id = weeks.tenant_id and mart.date = weeks.date
                where mart.messages_7d <> coalesce(weeks.messages, 0)
                """,
                "messages_7d is the sum of the messages of the 7 days.",
                "messages_7d",
            ),
            nothing(
                "users_of_the_newest_day",
                f"""
                select mart.tenant_id, mart.date, mart.active_users_28d, count(distinct user_days.user_id) as users
                from mart
                inner join (select tenant_id, max(date) as date from mart group by tenant_id) as newest
                    on mart.tenant_id = newest.tenant_id and mart.date = newest.date
                left join {USER_DAYS} as user_days
                    on mart.tenant_id = user_days.tenant_id and user_days.date between mart.date - 27 and mart.date
                group by all
                having mart.active_users_28d <> count(distinct user_days.user_id)
                """,
                "active_users_28d of each tenant's newest day is the number of distinct users in its 28 days.",
                "active_users_28d",
            ),
            nothing(
                "every_active_day",
                f"""
                select active.tenant_id, active.date
                from (select tenant_id, date from {COMPLETE_DAYS}) as active
                anti join mart on active.tenant_id = mart.tenant_id and active.date = mart.date
                """,
                "Each complete day with a platform event has a row.",
                "tenant_id",
                "date",
            ),
            nothing(
                "dense",
                """
                with clock as (select cast(as_of as date) as day from ops.run)
                select tenant_id, min(date) as first_day, max(date) as last_day, count(*) as days, clock.day
                from mart cross join clock
                group by tenant_id, clock.day
                having count(*) <> max(date) - min(date) + 1 or max(date) not between clock.day - 2 and clock.day
                """,
                "For each tenant_id: no day is missing, up to the last complete one.",
                "tenant_id",
                "date",
            ),
            fresh("date", hours=72),
            usual_volume("date", "messages_7d", tenant_local=True),
        ],
    ),
    mart(
        "retention_weekly",
        key=["cohort_week", "weeks_since"],
        fed_by=COMPLETE_WEEKS,
        rebuilt=True,
        expect=[
            counts("weeks_since", "cohort_users", "active_users"),
            holds("users_of_the_cohort", "active_users <= cohort_users", "active_users", "cohort_users"),
            holds(
                "all_begin_in_the_first_week",
                "cohort_users > 0 and (weeks_since > 0 or active_users = cohort_users)",
                "cohort_users",
                "active_users",
                "weeks_since",
            ),
            ratio("retention", "active_users", "cohort_users"),
            holds("week_begins", "cohort_week = date_trunc('week', cohort_week)", "cohort_week"),
            nothing(
                "dense",
                """
                with clock as (select cast(date_trunc('week', as_of) as date) as week from ops.run)
                select cohort_week, min(weeks_since) as first_week, count(*) as weeks, clock.week as clock_week
                from mart cross join clock
                group by cohort_week, clock.week
                having min(weeks_since) <> 0 or count(*) <> (clock.week - cohort_week) / 7
                    or min(cohort_users) <> max(cohort_users)
                """,
                "Each cohort has a row for every week up to the last complete one, with the same cohort_users.",
                "cohort_week",
                "weeks_since",
                "cohort_users",
            ),
            nothing(
                "all_user_weeks",
                f"""
                select week, sum(in_mart) as in_mart, sum(in_source) as in_source
                from (
                    select cohort_week + 7 * weeks_since::integer as week, active_users as in_mart, 0 as in_source
                    from mart
                    union all
                    select week, 0 as in_mart, 1 as in_source from {COMPLETE_WEEKS}
                )
                group by week
                having sum(in_mart) <> sum(in_source)
                """,
                "Each user that is active in a complete week counts once in it.",
                "active_users",
            ),
            fresh("cohort_week", hours=8 * 7 * 24),
        ],
    ),
    mart(
        "user_paths_weekly",
        key=["week", "from_event", "to_event"],
        # So many events of one day can't all be half an hour apart, be it a day of 25 hours.
        fed_by=f"{USER_DAYS} where events > 51",
        expect=[
            counts("transitions", "users"),
            holds("users_take_paths", "users > 0 and users <= transitions", "users", "transitions"),
            holds("within_half_an_hour", "median_seconds_between between 0 and 1800", "median_seconds_between"),
            holds("week_begins", "week = date_trunc('week', week)", "week"),
            nothing(
                "fewer_than_events",
                f"""
                select sum(transitions) as transitions, any_value(seen.events) as events, any_value(seen.paths) as paths
                from mart
                cross join (
                    select sum(events) as events, count(distinct (tenant_id, user_id)) as paths from {USER_DAYS}
                ) as seen
                having sum(transitions) > any_value(seen.events - seen.paths)
                """,
                "Each event of a user but the first ends one transition at most.",
                "transitions",
            ),
            fresh("week", hours=14 * 24),
        ],
    ),
    mart(
        "feature_adoption_daily",
        key=["tenant_id", "feature", "date"],
        fed_by=FEATURE_USES,
        expect=[
            counts("uses", "users"),
            holds("users_have_uses", "uses > 0 and users <= uses", "uses", "users"),
            reconciles("all_uses", "sum(uses)", "count(*)", FEATURE_USES, by=["tenant_id", "feature"]),
            reconciles(
                "all_user_days",
                "sum(users)",
                "count(*)",
                "intermediate.int_feature_user_days where user_id is not null",
                by=["tenant_id", "feature", "date"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "uses", tenant_local=True),
        ],
    ),
    mart(
        "feature_adoption",
        key=["feature"],
        fed_by=FEATURE_USES,
        rebuilt=True,
        expect=[
            counts("tenants_28d", "users_28d"),
            rates("adoption_rate_28d"),
            reconciles("all_features", "count(*)", "count(distinct feature)", FEATURE_USES, by=["feature"]),
            reconciles(
                "same_tenants_as_daily",
                "sum(tenants_28d)",
                "count(distinct tenant_id)",
                recent("customer_health.feature_adoption_daily"),
                by=["feature"],
            ),
            nothing(
                "rate_of_the_active",
                f"""
                with active as (select count(distinct tenant_id) as tenants from {recent(PLATFORM_DAYS)})
                select *
                from mart cross join active
                where coalesce(abs(adoption_rate_28d * tenants - tenants_28d) > 1e-9, tenants > 0)
                """,
                "adoption_rate_28d is tenants_28d over the tenants that were active.",
                "adoption_rate_28d",
                "tenants_28d",
            ),
            nothing(
                "first_used_on_the_first_day",
                """
                select mart.feature, mart.first_used_on, min(daily.date) as first_day
                from mart left join customer_health.feature_adoption_daily as daily on mart.feature = daily.feature
                group by mart.feature, mart.first_used_on
                having mart.first_used_on is distinct from min(daily.date)
                """,
                "first_used_on is the first day of feature_adoption_daily.",
                "first_used_on",
            ),
        ],
    ),
    mart(
        "time_to_value",
        key=["tenant_id"],
        fed_by=f"{CONVERSATIONS} where event_type = 'conversation.started'",
        expect=[
            holds(
                "tenants_with_steps",
                "coalesce(signed_up_at, first_agent_at, first_deploy_at, first_conversation_at, first_resolved_at)"
                " is not null",
                "signed_up_at",
                *(f"{step}_at" for step in STEPS),
            ),
            *(
                holds(
                    f"hours_to_{step}_between_the_times",
                    f"hours_to_{step} is not distinct from epoch_us({step}_at - signed_up_at) / 3600e6",
                    f"hours_to_{step}",
                    "signed_up_at",
                    f"{step}_at",
                )
                for step in STEPS
            ),
            holds(
                "value_is_resolved",
                "hours_to_value is not distinct from hours_to_first_resolved",
                "hours_to_value",
                "hours_to_first_resolved",
            ),
            first_is("signed_up_at", "staging.stg_platform__users where event_type = 'user.signed_up'"),
            first_is("first_agent_at", "staging.stg_platform__agents where event_type = 'agent.created'"),
            first_is("first_deploy_at", "staging.stg_platform__agents where event_type = 'agent.deployed'"),
            first_is("first_conversation_at", f"{CONVERSATIONS} where event_type = 'conversation.started'"),
            first_is("first_resolved_at", f"{CONVERSATIONS} where event_type = 'conversation.ended' and resolved"),
        ],
    ),
)
