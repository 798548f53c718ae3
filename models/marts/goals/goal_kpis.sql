{{ config(materialized='table', meta={'boundary': 'instant', 'stale_rows_by': 'family'}) }}

with

-- Two rows, each joined to what happened in it: a period without anything is measured too.
periods as (
    {{ goal_periods() }}
),

messages as (
    select
        periods.periods_back,
        {{ sum_count('days.messages') }} as messages,
        max(days.load_id) as loaded_through,
    from periods
    left join {{ ref('int_message_days') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

users as (
    select
        periods.periods_back,
        count(distinct days.user_id) as unique_users,
        max(days.load_id) as loaded_through,
    from periods
    left join {{ ref('int_user_days') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

spend as (
    select
        periods.periods_back,
        {{ sum_money('days.spend_usd') }} as spend_usd,
        max(days.load_id) as loaded_through,
    from periods
    left join {{ ref('int_spend_days') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

execution_days as (
    select
        cast(hour as date) as date,
        total_executions,
        successful_executions,
        loaded_through,
    from {{ ref('execution_rollup_hourly') }}
),

executions as (
    select
        periods.periods_back,
        {{ rate('sum(days.successful_executions)', 'sum(days.total_executions)') }} as execution_success_rate,
        max(days.loaded_through) as loaded_through,
    from periods
    left join execution_days as days {{ of_period('days') }}
    group by periods.periods_back
),

savings as (
    select
        periods.periods_back,
        {{ sum_money('days.alternative_cost_usd - days.actual_cost_usd') }} as routing_savings_usd,
        max(days.load_id) as loaded_through,
    from periods
    left join {{ ref('int_savings_days') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

revenue as (
    select
        periods.periods_back,
        coalesce(months.closing_mrr_usd, 0) as mrr_usd,
        months.net_revenue_retention,
        months.loaded_through,
    from periods
    left join {{ ref('revenue_monthly') }} as months on periods.month = months.month
),

-- A tenant's newest complete day is that of its own calendar.
health_days as (
    select
        days.churn_risk,
        {{ days_between('days.date', clock_date('tenants.timezone')) }} - 1 as periods_back,
        days.loaded_through,
    from {{ ref('customer_health_daily') }} as days
    left join {{ ref('tenants') }} as tenants on days.tenant_id = tenants.tenant_id
    where days.date >= {{ add_days(clock_day(), -3) }}
),

health as (
    select
        periods.periods_back,
        {{ count_where("days.churn_risk = 'high'") }} as customers_at_high_risk,
        max(days.loaded_through) as loaded_through,
    from periods
    left join health_days as days on periods.periods_back = days.periods_back
    group by periods.periods_back
),

activation as (
    select
        periods.periods_back,
        weeks.overall_completion_rate as activation_rate,
        weeks.loaded_through,
    from periods
    left join {{ ref('activation_funnel_weekly') }} as weeks on periods.week = weeks.week
),

cycles as (
    select
        periods.periods_back,
        {{ sum_count('days.completions') }} as crc_completions,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('crc_throughput_daily') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

delivery as (
    select
        periods.periods_back,
        count(days.deployment_id) as deployments,
        {{ rate('count(failures.deployment_id)', 'count(days.deployment_id)') }} as change_failure_rate,
        greatest(max(days.load_id), coalesce(max(failures.loaded_through), 0)) as loaded_through,
    from periods
    left join {{ ref('int_production_deployments') }} as days {{ of_period('days') }}
    left join {{ ref('int_deployment_failures') }} as failures
        on days.tenant_id = failures.tenant_id
        and days.service = failures.service
        and days.deployment_id = failures.deployment_id
    group by periods.periods_back
),

swarm as (
    select
        periods.periods_back,
        {{ rate('sum(days.successful_resolutions)', 'sum(days.assignments)') }} as efficiency_ratio,
        {{ rate('sum(days.resolution_microseconds)', 'sum(days.resolutions)') }} / 60e6 as mttr_minutes,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('int_swarm_days') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

runs as (
    select
        periods.periods_back,
        case
            when exists (select 1 as one from {{ ref('notebook_update_cadence_daily') }})
                then {{ rate(sum_count('days.runs'), '30 * 24') }}
        end as notebook_cadence_per_hour,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('notebook_update_cadence_daily') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

active_workspaces as (
    select distinct
        periods.periods_back,
        days.tenant_id,
        days.workspace_id,
    from periods
    inner join {{ ref('int_workspace_days') }} as days {{ of_period('days') }}
),

-- All workspaces, registered or ever seen, in both periods.
workspaces as (
    select
        periods.periods_back,
        {{ rate('count(active_workspaces.workspace_id)', 'count(known.workspace_id)') }} as notebook_coverage,
        max(known.loaded_through) as loaded_through,
    from periods
    left join {{ ref('notebook_adoption') }} as known on true
    left join active_workspaces
        on periods.periods_back = active_workspaces.periods_back
        and known.tenant_id = active_workspaces.tenant_id
        and known.workspace_id = active_workspaces.workspace_id
    group by periods.periods_back
),

patterns as (
    select
        periods.periods_back,
        {{ rate('sum(days.successes)', 'sum(days.executions)') }} as pattern_success_rate,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('pattern_metrics_daily') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

adventures as (
    select
        periods.periods_back,
        {{ rate('sum(days.completions)', 'sum(days.sessions)') }} as game_completion_rate,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('game_kpis_daily') }} as days {{ of_period('days') }}
    group by periods.periods_back
),

-- A session is stuck in a period if it is on one of its days.
played_sessions as (
    select
        periods.periods_back,
        days.session_id,
        sum(days.turns) as turns,
        sum(days.fallbacks) as fallbacks,
        max(case when days.is_stuck then 1 else 0 end) as stuck,
        max(days.loaded_through) as loaded_through,
    from periods
    left join {{ ref('int_game_session_days') }} as days {{ of_period('days') }}
    group by periods.periods_back, days.tenant_id, days.session_id
),

turns as (
    select
        periods_back,
        {{ rate('sum(fallbacks)', 'sum(turns)') }} as game_fallback_rate,
        {{ rate('sum(stuck)', 'count(session_id)') }} as game_stuck_rate,
        max(loaded_through) as loaded_through,
    from played_sessions
    group by periods_back
),

-- What is significant now: what was, nobody kept.
experiments as (
    select
        0 as periods_back,
        count(distinct case when significance = 'significant' then experiment end) as significant_experiments,
        max(loaded_through) as loaded_through,
    from {{ ref('experiment_readouts') }}
),

goals as (
    {%- for goal in goals() %}
    select
        '{{ goal.goal }}' as goal,
        '{{ goal.family }}' as family,
        '{{ goal.unit }}' as unit,
        '{{ goal.source_mart }}' as source_mart,
        {{ "'" ~ goal.kpi ~ "'" if goal.kpi else 'cast(null as varchar)' }} as kpi,
        max(case when periods_back = 0 then cast({{ goal.goal }} as double) end) as value,
        max(case when periods_back = 1 then cast({{ goal.goal }} as double) end) as previous_value,
        coalesce(max(loaded_through), 0) as loaded_through,
    from {{ goal.measured_in }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- A threshold on one named member says nothing of the whole.
thresholds as (
    select
        kpi,
        operator,
        value,
        severity,
    from {{ ref('kpi_thresholds') }}
    where enabled and scope_ref is null
),

judged as (
    select
        goals.goal,
        thresholds.severity,
        {{ compares('goals.value', 'thresholds.operator', 'cast(thresholds.value as double)') }} as is_broken,
    from goals
    left join thresholds on goals.kpi = thresholds.kpi
),

statuses as (
    select
        goal,
        case
            when count(is_broken) = 0 then 'none'
            when {{ count_where("is_broken and severity = 'critical'") }} > 0 then 'critical'
            when {{ count_where('is_broken') }} > 0 then 'warning'
            else 'ok'
        end as status,
    from judged
    group by goal
)

select
    goals.goal,
    goals.family,
    goals.value,
    goals.unit,
    goals.previous_value,
    {{ change_pct('goals.value', 'goals.previous_value') }} as change_pct,
    statuses.status,
    goals.source_mart,
    {{ as_of() }} as as_of,
    false as is_stale,
    goals.loaded_through,
from goals
inner join statuses on goals.goal = statuses.goal
where {{ as_of() }} is not null
