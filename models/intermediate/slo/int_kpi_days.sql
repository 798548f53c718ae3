{{ config(materialized='table', meta={'boundary': 'local_day'}) }}

{#- The window (0) and the one before it (1). -#}
{%- set periods = [0, 1] %}

with

blueprints_seen as (
    select
        blueprint_id,
        max(loaded_through) as loaded_through,
    from {{ ref('crc_throughput_daily') }}
    group by blueprint_id
),

-- Over all cycles of a blueprint that began on the day, wherever.
blueprint_days as (
    select
        blueprint_id,
        started_on as date,
        count(*) as cycles,
        {{ percentiles('completions', [0.9]) }} as completion_percentiles,
    from {{ ref('crc_cycles') }}
    where {{ in_complete_days('started_on', 9) }}
    group by blueprint_id, started_on
),

-- A 90th percentile of whole numbers is a whole number of tenths.
blueprint_tenths as (
    select
        blueprint_id,
        date,
        cycles,
        cast(round(10 * {{ percentile('completion_percentiles', 1) }}) as bigint) as p90_tenths,
    from blueprint_days
),

blueprint_falls as (
    {%- for back in periods %}
    select
        'blueprint' as scope,
        blueprints_seen.blueprint_id as scope_ref,
        'day' as window_type,
        {{ back }} as periods_back,
        sum(case when {{ in_complete_days('days.date', 1, ago=back) }} then days.cycles end) as cycles,
        sum(case when {{ in_complete_days('days.date', 1, ago=back) }} then days.p90_tenths end) as p90_tenths,
        sum(case when {{ in_complete_days('days.date', 7, ago=back + 1) }} then days.p90_tenths end) as p90_tenths_before,
        {{ count_where(in_complete_days('days.date', 7, ago=back + 1)) }} as days_before,
        blueprints_seen.loaded_through,
    from blueprints_seen
    left join blueprint_tenths as days on blueprints_seen.blueprint_id = days.blueprint_id
    group by blueprints_seen.blueprint_id, blueprints_seen.loaded_through
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

cadences as (
    {%- for back in periods %}
    select
        'scope' as scope,
        scope as scope_ref,
        'day' as window_type,
        {{ back }} as periods_back,
        {{ sum_count('case when ' ~ in_complete_days('date', 1, ago=back) ~ ' then runs end') }} as runs,
        max(loaded_through) as loaded_through,
    from {{ ref('notebook_update_cadence_daily') }}
    group by scope
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

swarms as (
    {%- for back in periods %}
    {%- set in_week = in_complete_days('date', 7, ago=7 * back) %}
    select
        'swarm' as scope,
        swarm_id as scope_ref,
        '7d' as window_type,
        {{ back }} as periods_back,
        {{ sum_count('case when ' ~ in_week ~ ' then assignments end') }} as assignments,
        {{ sum_count('case when ' ~ in_week ~ ' then successful_resolutions end') }} as successful_resolutions,
        {{ sum_count('case when ' ~ in_week ~ ' then policy_checks end') }} as policy_checks,
        {{ sum_count('case when ' ~ in_week ~ ' then compliant_checks end') }} as compliant_checks,
        sum(assignments) > 0 as was_assigned,
        sum(policy_checks) > 0 as was_checked,
        max(loaded_through) as loaded_through,
    from {{ ref('int_swarm_days') }}
    group by swarm_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

assigned_swarms as (
    select * from swarms
    where was_assigned
),

checked_swarms as (
    select * from swarms
    where was_checked
),

services as (
    {%- for back in periods %}
    select
        'service' as scope,
        service as scope_ref,
        '7d' as window_type,
        {{ back }} as periods_back,
        {{ sum_count('case when ' ~ in_complete_days('date', 7, ago=7 * back) ~ ' then deployments end') }} as deployments,
        max(loaded_through) as loaded_through,
    from {{ ref('deployment_frequency_daily') }}
    group by service
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- The data clock's day where the tenant is.
clocks as (
    select
        tenant_id,
        {{ clock_date('timezone') }} as clock_date,
    from {{ ref('tenants') }}
),

spend_months as (
    select
        spend.tenant_id,
        spend.month,
        coalesce(clocks.clock_date, {{ clock_day() }}) as clock_date,
        spend.calls,
        spend.paced_spend_usd,
        spend.budget_usd,
        spend.loaded_through,
    from {{ ref('spend_monthly') }} as spend
    left join clocks on spend.tenant_id = clocks.tenant_id
),

-- Projected spend is paced_spend_usd x pace numerator / pace denominator.
budgets as (
    select
        tenant_id,
        {{ months_back('month', 'clock_date') }} as months_back,
        calls,
        {{ to_micros('paced_spend_usd') }} * {{ pace_numerator('month', 'clock_date') }} as projected,
        nullif({{ pace_denominator('month', 'clock_date') }}, 0) * {{ to_micros('budget_usd') }} as budgeted,
        loaded_through,
    from spend_months
),

spends as (
    {%- for back in periods %}
    select
        'tenant' as scope,
        tenant_id as scope_ref,
        'month' as window_type,
        {{ back }} as periods_back,
        sum(case when months_back = {{ back }} then calls end) as calls,
        sum(case when months_back = {{ back }} then projected end) as projected,
        sum(case when months_back = {{ back }} then budgeted end) as budgeted,
        max(loaded_through) as loaded_through,
    from budgets
    group by tenant_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

usage_months as (
    select
        usage.tenant_id,
        {{ months_back('usage.month', 'coalesce(clocks.clock_date, ' ~ clock_day() ~ ')') }} as months_back,
        usage.executions,
        usage.tokens,
        usage.included_executions,
        usage.included_tokens,
        usage.loaded_through,
    from {{ ref('plan_usage_monthly') }} as usage
    left join clocks on usage.tenant_id = clocks.tenant_id
),

plans as (
    {%- for back in periods %}
    select
        'tenant' as scope,
        tenant_id as scope_ref,
        'month' as window_type,
        {{ back }} as periods_back,
        {%- for column in ['executions', 'tokens', 'included_executions', 'included_tokens'] %}
        sum(case when months_back = {{ back }} then {{ column }} end) as {{ column }},
        {%- endfor %}
        max(loaded_through) as loaded_through,
    from usage_months
    group by tenant_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

kpis as (
    {{ kpi_rows(
        'crc_p90_drop_pct',
        'blueprint_falls',
        'cycles',
        '100 * (p90_tenths_before - days_before * p90_tenths)',
        'p90_tenths_before',
    ) }}
    union all
    {{ kpi_rows('cadence_per_hour', 'cadences', 'runs', 'runs', '24') }}
    union all
    {{ kpi_rows('efficiency_ratio', 'assigned_swarms', 'assignments', 'successful_resolutions', 'assignments') }}
    union all
    {{ kpi_rows('governance_score', 'checked_swarms', 'policy_checks', 'compliant_checks', 'policy_checks') }}
    union all
    {{ kpi_rows('deployments_7d', 'services', 'deployments', 'deployments', '1') }}
    union all
    {{ kpi_rows('spend_vs_budget_pct', 'spends', 'calls', '100 * projected', 'budgeted') }}
    union all
    {{ kpi_rows('plan_executions_used_pct', 'plans', 'executions', '100 * ' ~ to_wide('executions'), 'included_executions') }}
    union all
    {{ kpi_rows('plan_tokens_used_pct', 'plans', 'executions', '100 * ' ~ to_wide('tokens'), 'included_tokens') }}
)

select
    kpi,
    scope,
    scope_ref,
    window_type,
    periods_back,
    numerator,
    denominator,
    measure,
    sample_size,
    loaded_through,
from kpis
