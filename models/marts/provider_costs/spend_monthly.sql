{{ config(materialized='table', meta={'boundary': 'local_day'}) }}

with

calls as (
    select
        tenant_id,
        date,
        calls,
        cost_usd,
        loaded_through,
    from {{ ref('provider_calls_daily') }}
    where calls > 0
),

executions as (
    select
        tenant_id,
        date,
        total_executions,
        loaded_through,
    from {{ ref('execution_rollup_daily') }}
),

budgets as (
    select
        budgets.tenant_id,
        {{ month_of(local_date('budgets')) }} as month,
        budgets.occurred_at,
        budgets.event_id,
        budgets.monthly_budget_usd,
        budgets.load_id,
    from {{ ref('stg_billing__budgets') }} as budgets
    {{ tenant_calendar('budgets') }}
),

activity as (
    select
        tenant_id,
        date,
        calls,
        cost_usd,
        0 as executions,
        loaded_through,
    from calls
    union all
    select
        tenant_id,
        date,
        0 as calls,
        0 as cost_usd,
        total_executions as executions,
        loaded_through,
    from executions
),

-- The data clock's day where the tenant is: what lies before it is complete.
clocks as (
    select
        tenant_id,
        {{ clock_date('timezone') }} as clock_date,
    from {{ ref('tenants') }}
),

dated as (
    select
        activity.*,
        {{ month_of('activity.date') }} as month,
        coalesce(clocks.clock_date, cast({{ as_of() }} as date)) as clock_date,
    from activity
    left join clocks on activity.tenant_id = clocks.tenant_id
),

monthly as (
    select
        tenant_id,
        month,
        clock_date,
        {{ sum_money('cost_usd') }} as spend_usd,
        {{ sum_money('case when ' ~ is_paced('date', 'clock_date') ~ ' then cost_usd end') }} as paced_spend_usd,
        {{ sum_count('calls') }} as calls,
        {{ sum_count('executions') }} as executions,
        max(loaded_through) as loaded_through,
    from dated
    group by tenant_id, month, clock_date
),

budgets_by_month as (
    select
        monthly.tenant_id,
        monthly.month,
        budgets.monthly_budget_usd,
        budgets.load_id,
        row_number() over (
            partition by monthly.tenant_id, monthly.month order by budgets.occurred_at desc, budgets.event_id desc
        ) as recency,
    from monthly
    inner join budgets on monthly.tenant_id = budgets.tenant_id and monthly.month >= budgets.month
),

-- projected spend = paced_spend_usd x pace_numerator / pace_denominator, kept exact for the comparison with the budget
budgeted as (
    select
        monthly.*,
        budgets.monthly_budget_usd as budget_usd,
        {{ pace_numerator('monthly.month', 'monthly.clock_date') }} as pace_numerator,
        {{ pace_denominator('monthly.month', 'monthly.clock_date') }} as pace_denominator,
        budgets.load_id as budget_load_id,
    from monthly
    left join budgets_by_month as budgets
        on monthly.tenant_id = budgets.tenant_id
        and monthly.month = budgets.month
        and budgets.recency = 1
),

-- 80% of the budget, in whole numbers: pace x numerator / denominator >= budget x 80 / 100.
judged as (
    select
        *,
        {{ to_micros('paced_spend_usd') }} * pace_numerator * 100 as projected_share,
        {{ to_micros('budget_usd') }} * pace_denominator * 80 as warning_share,
    from budgeted
)

select
    tenant_id,
    month,
    calls,
    spend_usd,
    paced_spend_usd,
    executions,
    {{ money_ratio('spend_usd', 1, 'executions') }} as cost_per_execution_usd,
    budget_usd,
    {{ money_ratio('paced_spend_usd', 'pace_numerator', 'pace_denominator') }} as projected_spend_usd,
    {{ pct('spend_usd', 'budget_usd') }} as budget_used_pct,
    case
        when budget_usd is null then 'no_budget'
        when spend_usd > budget_usd then 'over'
        when pace_denominator > 0 and projected_share >= warning_share then 'warning'
        else 'ok'
    end as budget_status,
    greatest(loaded_through, coalesce(budget_load_id, 0)) as loaded_through,
from judged
