{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'date'], 'boundary': 'local_day'},
) }}

{#-
    What is new on a day shows in the 28 days from it. Days without activity count from the last active day, so a new active
    day shows until the next one; a ticket shows as long as it is open. A new day where the tenant is completes the one before.
-#}
{%- call touched_partitions() %}
    with clocks as (
        select
            days.tenant_id,
            {{ clock_date('tenants.timezone') }} as clock_date,
            {{ clock_date('tenants.timezone', as_of_before()) }} as clock_date_before,
        from (select distinct tenant_id from {{ ref('int_platform_days') }}) as days
        left join {{ ref('tenants') }} as tenants on days.tenant_id = tenants.tenant_id
    ),

    active_days as (
        select
            tenant_id,
            date,
            loaded_through,
            lead(date) over (partition by tenant_id order by date) as next_date,
        from {{ ref('int_platform_days') }}
    ),

    spans as (
        select
            tenant_id,
            date as first_day,
            case
                when next_date is not null then greatest({{ add_days('next_date', -1) }}, {{ add_days('date', 27) }})
            end as last_day,
        from active_days
        where {{ is_new('loaded_through') }}
        union all
        select tenant_id, date as first_day, null as last_day from {{ ref('int_ticket_events') }}
        where {{ is_new() }}
        union all
        select tenant_id, date as first_day, {{ add_days('date', 27) }} as last_day from {{ ref('int_failed_payments') }}
        where {{ is_new() }}
        union all
        select
            tenant_id,
            least(clock_date, clock_date_before) as first_day,
            greatest(clock_date, clock_date_before) as last_day,
        from clocks
        where clock_date is distinct from clock_date_before
    ),

    clipped as (
        select
            spans.tenant_id,
            spans.first_day,
            {{ add_days('greatest(clocks.clock_date, clocks.clock_date_before)', -1) }} as end_day,
            spans.last_day,
        from spans
        inner join clocks on spans.tenant_id = clocks.tenant_id
    ),

    calendar as (
        {{ date_series('(select min(first_day) from clipped)', '(select max(end_day) from clipped)') }}
    )

    select clipped.tenant_id, calendar.date_day as date
    from clipped
    inner join calendar
        on calendar.date_day >= clipped.first_day
        and calendar.date_day <= least(clipped.end_day, coalesce(clipped.last_day, clipped.end_day))
{%- endcall %}

{#-
    Each measure is a sum of what counts on the day: [measure, amount, relation, first day, first day on which it no longer
    counts, condition].
-#}
{%- set users = "member_type = 'user'" -%}
{%- set features = "member_type = 'feature'" -%}
{%- set urgent_tickets = "member_type = 'urgent ticket'" -%}
{%- set parts = [
    ['active_users_7d', '1', 'members', 'date', 'least(next_date, ' ~ add_days('date', 7) ~ ')', users],
    ['active_users_28d', '1', 'members', 'date', 'least(next_date, ' ~ add_days('date', 28) ~ ')', users],
    ['features_used_28d', '1', 'members', 'date', 'least(next_date, ' ~ add_days('date', 28) ~ ')', features],
    ['urgent_tickets_28d', '1', 'members', 'date', 'least(next_date, ' ~ add_days('date', 28) ~ ')', urgent_tickets],
    ['messages_7d', 'messages', 'activity', 'date', add_days('date', 7), 'true'],
    ['messages_previous_7d', 'messages', 'activity', add_days('date', 7), add_days('date', 14), 'true'],
    ['failed_payments_28d', '1', 'failed_payments', 'date', add_days('date', 28), 'true'],
    ['open_tickets', '1', 'tickets', 'opened_on', 'resolved_on', 'resolved_on is null or resolved_on > opened_on'],
] -%}

with

tenants_seen as (
    select
        days.tenant_id,
        min(days.date) as first_day,
        min({{ add_days(clock_date('tenants.timezone'), -1) }}) as last_day,
    from {{ ref('int_platform_days') }} as days
    left join {{ ref('tenants') }} as tenants on days.tenant_id = tenants.tenant_id
    group by days.tenant_id
),

{% if is_incremental() -%}
days as (
    select touched.tenant_id, touched.date
    from {{ touched_relation() }} as touched
    inner join tenants_seen
        on touched.tenant_id = tenants_seen.tenant_id
        and touched.date between tenants_seen.first_day and tenants_seen.last_day
),

days_before as (
    {{ number_series(0, 27) }}
),

windows as (
    select distinct
        days.tenant_id,
        {{ add_days('days.date', '-days_before.number') }} as date,
    from days
    cross join days_before
),
{%- else -%}
calendar as (
    {{ date_series('(select min(first_day) from tenants_seen)', '(select max(last_day) from tenants_seen)') }}
),

days as (
    select
        tenants_seen.tenant_id,
        calendar.date_day as date,
    from tenants_seen
    inner join calendar on calendar.date_day between tenants_seen.first_day and tenants_seen.last_day
),
{%- endif %}

user_days as (
    select user_days.*
    from {{ ref('int_platform_user_days') }} as user_days
    {{ in_windows('user_days') }}
),

feature_days as (
    select feature_days.*
    from {{ ref('int_feature_user_days') }} as feature_days
    {{ in_windows('feature_days') }}
),

urgent_tickets as (
    select urgent_tickets.*
    from {{ ref('int_ticket_events') }} as urgent_tickets
    {{ in_windows('urgent_tickets') }}
    where urgent_tickets.is_urgent
),

seen as (
    select
        tenant_id,
        date,
        'user' as member_type,
        user_id as member,
    from user_days
    union all
    select
        tenant_id,
        date,
        'feature' as member_type,
        feature as member,
    from feature_days
    union all
    select
        tenant_id,
        date,
        'urgent ticket' as member_type,
        ticket_id as member,
    from urgent_tickets
),

-- Whoever is seen again in a window counts once: on a day, only the last time before it counts.
members as (
    select
        tenant_id,
        date,
        member_type,
        lead(date) over (partition by tenant_id, member_type, member order by date) as next_date,
    from seen
),

activity as (
    select
        activity.tenant_id,
        activity.date,
        activity.messages_sent + activity.messages_received as messages,
        activity.loaded_through,
    from {{ ref('int_platform_days') }} as activity
    {{ in_windows('activity') }}
),

failed_payments as (
    select
        failed_payments.tenant_id,
        failed_payments.date,
        failed_payments.load_id,
    from {{ ref('int_failed_payments') }} as failed_payments
    {{ in_windows('failed_payments') }}
),

tickets as (
    select
        tenant_id,
        min(case when is_opening then date end) as opened_on,
        min(case when not is_opening then date end) as resolved_on,
    from {{ ref('int_ticket_events') }}
    group by tenant_id, ticket_id
),

-- What begins to count on a day, and what ceases to.
changes as (
    {% for measure, amount, relation, first_day, end_day, condition in parts -%}
    select
        tenant_id,
        {{ first_day }} as date,
        '{{ measure }}' as measure,
        {{ amount }} as amount,
    from {{ relation }}
    where {{ condition }}
    union all
    select
        tenant_id,
        {{ end_day }} as date,
        '{{ measure }}' as measure,
        -({{ amount }}) as amount,
    from {{ relation }}
    where {{ condition }}
    union all
    {% endfor -%}
    select
        tenant_id,
        date,
        null as measure,
        0 as amount,
    from days
),

changed as (
    select
        tenant_id,
        date,
        {%- for part in parts %}
        sum(case when measure = '{{ part[0] }}' then amount else 0 end) as {{ part[0] }},
        {%- endfor %}
    from changes
    where date is not null
    group by tenant_id, date
),

counted as (
    select
        tenant_id,
        date,
        {%- for part in parts %}
        cast(sum({{ part[0] }}) over (partition by tenant_id order by date) as bigint) as {{ part[0] }},
        {%- endfor %}
    from changed
),

-- The last active day up to a day, and the newest load in what the day is computed from.
news as (
    select
        tenant_id,
        date,
        date as active_on,
        loaded_through,
        null as ticket_load_id,
    from {{ ref('int_platform_days') }}
    union all
    select
        tenant_id,
        date,
        null as active_on,
        load_id as loaded_through,
        null as ticket_load_id,
    from failed_payments
    union all
    select
        tenant_id,
        date,
        null as active_on,
        null as loaded_through,
        load_id as ticket_load_id,
    from {{ ref('int_ticket_events') }}
    union all
    select
        tenant_id,
        date,
        null as active_on,
        null as loaded_through,
        null as ticket_load_id,
    from days
),

daily_news as (
    select
        tenant_id,
        date,
        max(active_on) as active_on,
        max(loaded_through) as loaded_through,
        max(ticket_load_id) as ticket_load_id,
    from news
    group by tenant_id, date
),

latest as (
    select
        tenant_id,
        date,
        max(active_on) over (partition by tenant_id order by date) as last_active_on,
        max(loaded_through) over (
            partition by tenant_id order by date range between interval '27' day preceding and current row
        ) as loaded_through,
        max(ticket_load_id) over (partition by tenant_id order by date) as ticket_load_id,
    from daily_news
),

measured as (
    select
        days.tenant_id,
        days.date,
        {%- for part in parts %}
        counted.{{ part[0] }},
        {%- endfor %}
        {{ days_between('latest.last_active_on', 'days.date') }} as days_since_last_activity,
        greatest(
            last_active_days.loaded_through, coalesce(latest.loaded_through, 0), coalesce(latest.ticket_load_id, 0)
        ) as loaded_through,
    from days
    inner join counted
        on days.tenant_id = counted.tenant_id
        and days.date = counted.date
    inner join latest
        on days.tenant_id = latest.tenant_id
        and days.date = latest.date
    inner join {{ ref('int_platform_days') }} as last_active_days
        on latest.tenant_id = last_active_days.tenant_id
        and latest.last_active_on = last_active_days.date
),

signalled as (
    select
        *,
        {%- for name, _, condition in churn_signals() %}
        {{ condition }} as {{ name }},
        {%- endfor %}
    from measured
),

judged as (
    select
        *,
        {{ churn_points() }} as churn_points,
        {{ comma_separated(churn_signals() | map('first') | list) }} as churn_reasons,
    from signalled
)

select
    tenant_id,
    date,
    active_users_7d,
    active_users_28d,
    {{ rate('active_users_7d', 'active_users_28d') }} as stickiness,
    messages_7d,
    messages_previous_7d,
    {{ change_pct('messages_7d', 'messages_previous_7d') }} as usage_change_pct,
    features_used_28d,
    open_tickets,
    urgent_tickets_28d,
    failed_payments_28d,
    cast(days_since_last_activity as bigint) as days_since_last_activity,
    {{ engagement_score() }} as engagement_score,
    cast(churn_points as bigint) as churn_points,
    case
        when churn_points >= 4 then 'high'
        when churn_points >= 2 then 'medium'
        else 'low'
    end as churn_risk,
    churn_reasons,
    loaded_through,
from judged
