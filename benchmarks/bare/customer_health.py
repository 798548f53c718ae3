"""customer_health as bare SQL; platform_events, platform_days and user_days are those of platform_usage."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "failed_payments": """
select e.load_id, e.tenant_id, local_day(e.occurred_at, t.timezone, z) as date
from {billing} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
where e.event_type = 'payment.failed'""",
    "tickets": """
select
    e.load_id, e.tenant_id, e.ticket_id, local_day(e.occurred_at, t.timezone, z) as date,
    e.event_type = 'ticket.opened' as is_opening, e.severity = 'urgent' as is_urgent
from {crm} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
where e.event_type like 'ticket.%'""",
}

DAY = ("tenant_id", "date")
VALUE = {
    "signed_up": "event_type = 'user.signed_up'",
    "first_agent": "event_type = 'agent.created'",
    "first_deploy": "event_type = 'agent.deployed'",
    "first_conversation": "event_type = 'conversation.started'",
    "first_resolved": "event_type = 'conversation.ended' and resolved",
}

STEPS = (
    Step(
        "feature_days",
        """
select tenant_id, date, feature, user_id, count(*) as uses, max(load_id) as loaded_through
from platform_events as e {only} where feature is not null group by all""",
        DAY,
        "select tenant_id, date from new_platform_events where feature is not null",
    ),
    Step(
        "value_days",
        f"""
select
    tenant_id, date, max(load_id) as loaded_through,
    {", ".join(f"min(occurred_at) filter (where {condition}) as {step}_at" for step, condition in VALUE.items())}
from platform_events as e {{only}}
where event_type in (
    'user.signed_up', 'agent.created', 'agent.deployed', 'conversation.started', 'conversation.ended'
)
group by tenant_id, date""",
        DAY,
        "select tenant_id, date from new_platform_events",
    ),
    Step(
        "user_weeks",
        """
select user_id, week, max(load_id) as loaded_through
from platform_events as e {only} where user_id is not null group by all""",
        ("week",),
        "select week from new_platform_events",
    ),
)

MARTS = (
    Mart(
        "customer_health",
        "customer_health_daily",
        DAY,
        """
with dense as (
    select tenant_id, unnest(generate_series(first_day, last_day, interval 1 day))::date as date
    from (
        select
            tenant_id, min(date)::timestamp as first_day,
            (any_value(coalesce(today, {as_of}::date)) - 1)::timestamp as last_day
        from platform_days left join clock using (tenant_id) group by tenant_id
    )
),

-- Whoever comes again counts once: up to the day before the next time.
users as (
    select tenant_id, date + i as date, count(*) filter (where i < 7) as active_users_7d, count(*) as active_users_28d
    from (
        select tenant_id, date, unnest(range(least(coalesce(next - date, 28), 28)))::int as i
        from (
            select tenant_id, date,
            lead(date) over (partition by tenant_id, user_id order by date) as next from user_days
        )
    )
    group by all
),

features as (
    select tenant_id, date + i as date, count(*) as features_used_28d
    from (
        select tenant_id, date, unnest(range(least(coalesce(next - date, 28), 28)))::int as i
        from (
            select tenant_id, date, lead(date) over (partition by tenant_id, feature order by date) as next
            from (select distinct tenant_id, feature, date from feature_days)
        )
    )
    group by all
),

urgent as (
    select tenant_id, date + i as date, count(*) as urgent_tickets_28d
    from (
        select tenant_id, date, unnest(range(least(coalesce(next - date, 28), 28)))::int as i
        from (
            select tenant_id, date, lead(date) over (partition by tenant_id, ticket_id order by date) as next
            from (select distinct tenant_id, ticket_id, date from tickets where is_urgent)
        )
    )
    group by all
),

opened as (
    select tenant_id, date, count(*) as open_tickets
    from (
        select tenant_id, unnest(range(opened_on, until, interval 1 day))::date as date
        from (
            select
                tenant_id, ticket_id, (min(date) filter (where is_opening))::timestamp as opened_on,
                coalesce(min(date) filter (where not is_opening), {as_of}::date + 2)::timestamp as until
            from tickets group by all
        )
    )
    group by all
),

failed as (
    select tenant_id, date, count(*) as n, max(load_id) as loaded from failed_payments group by all
),

news as (
    select tenant_id, date, max(load_id) as loaded from tickets group by all
),

windowed as (
    select
        tenant_id, date, coalesce(active_users_7d, 0) as active_users_7d,
        coalesce(active_users_28d, 0) as active_users_28d,
        coalesce(sum(messages_sent + messages_received) over (w rows 6 preceding), 0)::bigint as messages_7d,
        coalesce(sum(messages_sent + messages_received) over (w rows between 13 preceding and 7 preceding), 0)::bigint
            as messages_previous_7d,
        coalesce(features_used_28d, 0) as features_used_28d, coalesce(open_tickets, 0) as open_tickets,
        coalesce(urgent_tickets_28d, 0) as urgent_tickets_28d,
        coalesce(sum(f.n) over (w rows 27 preceding), 0)::bigint as failed_payments_28d,
        (date - max(p.date) over (w rows unbounded preceding))::bigint as days_since_last_activity,
        max(greatest(p.loaded_through, f.loaded, news.loaded)) over (w rows 27 preceding) as loaded_through
    from dense
    left join platform_days as p using (tenant_id, date)
    left join users using (tenant_id, date)
    left join features using (tenant_id, date)
    left join urgent using (tenant_id, date)
    left join opened using (tenant_id, date)
    left join failed as f using (tenant_id, date)
    left join news using (tenant_id, date)
    window w as (partition by tenant_id order by date)
),

signalled as (
    select
        *, active_users_7d / nullif(active_users_28d, 0) as stickiness,
        4 * least(active_users_7d, 10) + 4 * least(features_used_28d, 5)
            + 10 * (days_since_last_activity <= 1)::int as base,
        2 * messages_7d < messages_previous_7d as usage_down_severe,
        messages_previous_7d > 0 and 2 * messages_7d >= messages_previous_7d
            and 5 * messages_7d <= 4 * messages_previous_7d as usage_down,
        days_since_last_activity > 14 as idle_long, days_since_last_activity between 7 and 14 as idle,
        failed_payments_28d > 0 as payment_failed, urgent_tickets_28d > 0 as urgent_ticket,
        base * greatest(active_users_28d, 1) + 30 * active_users_7d < 20 * greatest(active_users_28d, 1)
            as low_engagement
    from windowed
),

judged as (
    select
        *, (2 * usage_down_severe::int + usage_down::int + 3 * idle_long::int + idle::int + 2 * payment_failed::int
            + urgent_ticket::int + low_engagement::int)::bigint as churn_points
    from signalled
)

select
    tenant_id, date, active_users_7d, active_users_28d, stickiness, messages_7d, messages_previous_7d,
    100 * (messages_7d - messages_previous_7d) / nullif(messages_previous_7d, 0) as usage_change_pct, features_used_28d,
    open_tickets, urgent_tickets_28d, failed_payments_28d, days_since_last_activity,
    base + 30 * coalesce(stickiness, 0) as engagement_score, churn_points,
    case when churn_points >= 4 then 'high' when churn_points >= 2 then 'medium' else 'low' end as churn_risk,
    concat_ws(
        ',', if(usage_down_severe, 'usage_down_severe', null), if(usage_down, 'usage_down', null),
        if(idle_long, 'idle_long', null), if(idle, 'idle', null), if(payment_failed, 'payment_failed', null),
        if(urgent_ticket, 'urgent_ticket', null), if(low_engagement, 'low_engagement', null)
    ) as churn_reasons,
    loaded_through
from judged""",
    ),
    Mart(
        "customer_health",
        "feature_adoption_daily",
        ("tenant_id", "feature", "date"),
        """
select
    tenant_id, feature, date, sum(uses)::bigint as uses, count(distinct user_id) as users,
    max(loaded_through) as loaded_through
from feature_days as e {only} group by tenant_id, feature, date""",
        DAY,
        "select tenant_id, date from new_platform_events where feature is not null",
    ),
    Mart(
        "customer_health",
        "feature_adoption",
        ("feature",),
        """
select
    feature, count(distinct tenant_id) filter (where is_recent) as tenants_28d,
    count(distinct user_id) filter (where is_recent) as users_28d,
    count(distinct tenant_id) filter (where is_recent) / nullif((
        select count(distinct tenant_id) from platform_days left join clock using (tenant_id)
        where date >= coalesce(today, {as_of}::date) - 28 and date < coalesce(today, {as_of}::date)
    ), 0) as adoption_rate_28d,
    min(date) as first_used_on, max(loaded_through) as loaded_through
from (
    select
        f.*, date >= coalesce(today, {as_of}::date) - 28 and date < coalesce(today, {as_of}::date) as is_recent
    from feature_days as f left join clock using (tenant_id)
)
group by feature""",
    ),
    Mart(
        "customer_health",
        "time_to_value",
        ("tenant_id",),
        f"""
select
    *, hours_to_first_resolved as hours_to_value
from (
    select
        *, {
            ", ".join(
                f"(epoch_us({step}_at) - epoch_us(signed_up_at)) / 3600e6 as hours_to_{step}"
                for step in VALUE
                if step != "signed_up"
            )
        }
    from (
        select
            tenant_id, max(loaded_through) as loaded_through,
            {", ".join(f"min({step}_at) as {step}_at" for step in VALUE)}
        from value_days group by tenant_id
    )
    where coalesce({", ".join(f"{step}_at" for step in VALUE)}) is not null
)""",
    ),
    Mart(
        "customer_health",
        "retention_weekly",
        ("cohort_week", "weeks_since"),
        """
with cohorts as (
    select *, min(week) over (partition by user_id) as cohort_week
    from user_weeks where week < date_trunc('week', {as_of})
),

active as (
    select cohort_week, week, count(*) as active_users, max(loaded_through) as loaded from cohorts group by all
),

dense as (
    select
        cohort_week, active_users as cohort_users, loaded as first_loaded,
        unnest(generate_series(cohort_week::timestamp, date_trunc('week', {as_of}) - interval 1 day, interval 7 days))
            ::date as week
    from active where week = cohort_week
)

select
    cohort_week, (week - cohort_week) // 7 as weeks_since, cohort_users, coalesce(active_users, 0) as active_users,
    coalesce(active_users, 0) / cohort_users as retention, greatest(first_loaded, loaded) as loaded_through
from dense left join active using (cohort_week, week)""",
    ),
    Mart(
        "customer_health",
        "user_paths_weekly",
        ("week", "from_event", "to_event"),
        # An event of a week's last half hour also leads into the next week.
        """
with labelled as (
    select week, tenant_id, user_id, event_type, occurred_at, event_id, load_id
    from platform_events as e {only} where user_id is not null
    union all
    select week, tenant_id, user_id, event_type, occurred_at, event_id, load_id
    from (
        select * replace (week + 7 as week) from platform_events where occurred_at >= week + interval '6 days 23:30:00'
    ) as e {only}
    where user_id is not null
),

paired as (
    select
        week, occurred_at, user_id, event_type as to_event, lag(event_type) over path as from_event, load_id,
        epoch_us(occurred_at) - epoch_us(lag(occurred_at) over path) as gap
    from labelled
    window path as (partition by week, user_id order by occurred_at, event_id)
)

select
    week, from_event, to_event, count(*) as transitions, count(distinct user_id) as users,
    median(gap) / 1e6 as median_seconds_between, max(load_id) as loaded_through
from paired where gap <= 1800e6 and occurred_at >= week group by week, from_event, to_event""",
        ("week",),
        """
select week from new_platform_events
union all
select week + 7 from new_platform_events where occurred_at >= week + interval '6 days 23:30:00'""",
    ),
)
