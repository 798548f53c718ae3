{{ config(materialized='table', meta={'boundary': 'local_day'}) }}

with

-- The data clock's day where the tenant is: what lies before it is complete.
tenants as (
    select
        tenant_id,
        plan,
        {{ clock_date('timezone') }} as clock_date,
    from {{ ref('tenants') }}
),

executions as (
    select
        rollup.tenant_id,
        rollup.date,
        {{ month_of('rollup.date') }} as month,
        coalesce(tenants.clock_date, cast({{ as_of() }} as date)) as clock_date,
        tenants.plan as tenant_plan,
        rollup.total_executions,
        rollup.total_tokens,
        rollup.loaded_through,
    from {{ ref('execution_rollup_daily') }} as rollup
    left join tenants on rollup.tenant_id = tenants.tenant_id
),

monthly as (
    select
        tenant_id,
        month,
        tenant_plan,
        {{ sum_count('total_executions') }} as executions,
        {{ sum_count('total_tokens') }} as tokens,
        {{ sum_count('case when ' ~ is_paced('date', 'clock_date') ~ ' then total_executions end') }}
            as pace_executions,
        {{ sum_count('case when ' ~ is_paced('date', 'clock_date') ~ ' then total_tokens end') }}
            as pace_tokens,
        {{ pace_numerator('month', 'clock_date') }} as pace_numerator,
        {{ pace_denominator('month', 'clock_date') }} as pace_denominator,
        max(loaded_through) as loaded_through,
    from executions
    group by tenant_id, month, clock_date, tenant_plan
),

plan_periods as (
    {{ plan_periods('local_month') }}
),

-- Projected usage = scaled usage / pace_denominator, kept exact for what depends on it.
planned as (
    select
        monthly.*,
        {{ to_wide('monthly.pace_executions') }} * monthly.pace_numerator as scaled_executions,
        {{ to_wide('monthly.pace_tokens') }} * monthly.pace_numerator as scaled_tokens,
        coalesce(plan_periods.plan, monthly.tenant_plan) as plan,
        plan_periods.loaded_through as plan_loaded_through,
    from monthly
    left join plan_periods
        on monthly.tenant_id = plan_periods.tenant_id
        and monthly.month >= plan_periods.valid_from
        and monthly.month < plan_periods.valid_to
),

tiers as (
    select * from {{ ref('plan_tiers') }}
),

-- What the projected usage would cost on each plan; nothing is projected on the first day of a month.
bills as (
    select
        planned.tenant_id,
        planned.month,
        tiers.plan,
        tiers.tier_rank,
        {{ bill_nanos('planned.scaled_executions', 'planned.scaled_tokens', 'tiers', 'planned.pace_denominator') }}
            as scaled_nanos,
    from planned
    cross join tiers
    where planned.pace_denominator > 0
),

ranked_bills as (
    select
        *,
        row_number() over (partition by tenant_id, month order by scaled_nanos, tier_rank) as place,
    from bills
),

cheapest_bills as (
    select * from ranked_bills
    where place = 1
),

judged as (
    select
        planned.*,
        tiers.included_executions,
        tiers.included_tokens,
        {{ above('planned.executions', 'tiers.included_executions') }} as overage_executions,
        {{ above('planned.tokens', 'tiers.included_tokens') }} as overage_tokens,
        {{ overage_nanos('planned.executions', 'planned.tokens', 'tiers') }} as overage_nanos,
        {{ overage_nanos('planned.scaled_executions', 'planned.scaled_tokens', 'tiers', 'planned.pace_denominator') }}
            as scaled_overage_nanos,
        cheapest_bills.plan as recommended_plan,
        present_bills.scaled_nanos - cheapest_bills.scaled_nanos as scaled_saving_nanos,
    from planned
    left join tiers on planned.plan = tiers.plan
    left join cheapest_bills
        on planned.tenant_id = cheapest_bills.tenant_id
        and planned.month = cheapest_bills.month
    left join bills as present_bills
        on planned.tenant_id = present_bills.tenant_id
        and planned.month = present_bills.month
        and planned.plan = present_bills.plan
)

select
    tenant_id,
    month,
    plan,
    executions,
    tokens,
    included_executions,
    included_tokens,
    {{ pct('executions', 'included_executions') }} as executions_used_pct,
    {{ pct('tokens', 'included_tokens') }} as tokens_used_pct,
    cast(overage_executions as bigint) as overage_executions,
    cast(overage_tokens as bigint) as overage_tokens,
    {{ micros_ratio('overage_nanos', '1000') }} as overage_usd,
    {{ rate('scaled_executions', 'pace_denominator') }} as projected_executions,
    {{ rate('scaled_tokens', 'pace_denominator') }} as projected_tokens,
    {{ rate('scaled_overage_nanos', '1e9 * pace_denominator') }} as projected_overage_usd,
    case
        when included_executions is null then null
        when executions > included_executions or tokens > included_tokens then 'exceeded'
        when {{ reaches('executions', 80, 'included_executions') }} or {{ reaches('tokens', 80, 'included_tokens') }}
            then 'warning'
        else 'ok'
    end as limit_status,
    recommended_plan,
    {{ micros_ratio('scaled_saving_nanos', '1000 * pace_denominator') }} as recommended_saving_usd,
    greatest(loaded_through, coalesce(plan_loaded_through, 0)) as loaded_through,
from judged
