{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id'], 'boundary': 'local_day'},
) }}

{%- call touched_partitions() %}
    select executions.tenant_id
    from {{ ref('int_executions_priced') }} as executions
    left join {{ ref('tenants') }} as tenants on executions.tenant_id = tenants.tenant_id
    where {{ is_new('executions.load_id') }}
        and executions.date >= {{ add_days(clock_date('tenants.timezone'), -30) }}
        and executions.date < {{ clock_date('tenants.timezone') }}
    union all
    -- a new day where the tenant is: the 30 days end elsewhere
    select rollup.tenant_id
    from {{ ref('execution_rollup_daily') }} as rollup
    left join {{ ref('tenants') }} as tenants on rollup.tenant_id = tenants.tenant_id
    where {{ clock_date('tenants.timezone') }} is distinct from {{ clock_date('tenants.timezone', as_of_before()) }}
{%- endcall %}

with

tenants_seen as (
    select distinct rollup.tenant_id
    from {{ ref('execution_rollup_daily') }} as rollup
    {{ in_touched_partitions('rollup') }}
),

-- The 30 days that end with the tenant's last complete day.
windows as (
    select
        tenants_seen.tenant_id,
        {{ add_days(clock_date('tenants.timezone'), -30) }} as first_date,
        {{ clock_date('tenants.timezone') }} as end_date,
    from tenants_seen
    left join {{ ref('tenants') }} as tenants on tenants_seen.tenant_id = tenants.tenant_id
),

executions as (
    select
        executions.tenant_id,
        executions.task_type,
        executions.provider,
        executions.event_type,
        executions.is_successful,
        executions.cost_usd,
        executions.duration_ms,
        executions.load_id,
    from {{ ref('int_executions_priced') }} as executions
    inner join windows
        on executions.tenant_id = windows.tenant_id
        and executions.date >= windows.first_date
        and executions.date < windows.end_date
),

eligible as (
    select
        tenant_id,
        task_type,
        provider,
        count(*) as executions,
        {{ count_where('is_successful') }} as successes,
        {{ sum_money('cost_usd') }} as cost_usd,
        {{ percentiles('duration_ms', [0.95]) }} as duration_percentiles,
        max(load_id) as loaded_through,
    from executions
    group by tenant_id, task_type, provider
    -- a failure's cost of 0 doesn't say what the provider costs
    having count(*) >= 30 and count(case when is_successful then cost_usd end) > 0
),

-- Whole micro-dollars over whole successes: equal costs per success are equal DOUBLEs.
compared as (
    select
        *,
        cast({{ to_micros('cost_usd') }} as double) / nullif(successes, 0) as micros_per_success,
        count(*) over (partition by tenant_id, task_type) as providers,
        max(loaded_through) over (partition by tenant_id, task_type) as group_loaded_through,
        first_value(successes) over best as best_successes,
        first_value(executions) over best as best_executions,
    from eligible
    window best as (
        partition by tenant_id, task_type order by cast(successes as double) / executions desc, provider asc
        rows between unbounded preceding and unbounded following
    )
),

-- Within 0.02 of the best success rate, in whole numbers: s/n >= b/m - 1/50.
shortlisted as (
    select
        *,
        50 * successes * best_executions >= (50 * best_successes - best_executions) * executions as is_near_best,
    from compared
),

ranked as (
    select
        *,
        row_number() over (partition by tenant_id, task_type order by executions desc, provider asc) as current_rank,
        row_number() over (
            partition by tenant_id, task_type
            order by is_near_best desc, micros_per_success asc nulls last, provider asc
        ) as recommended_rank,
    from shortlisted
    where providers >= 2
),

current_providers as (
    select * from ranked
    where current_rank = 1
),

recommended_providers as (
    select * from ranked
    where recommended_rank = 1
)

select
    current_providers.tenant_id,
    current_providers.task_type,
    current_providers.provider as current_provider,
    recommended_providers.provider as recommended_provider,
    {{ money_ratio('current_providers.cost_usd', 1, 'current_providers.successes') }} as current_cost_per_success_usd,
    {{ money_ratio('recommended_providers.cost_usd', 1, 'recommended_providers.successes') }}
        as recommended_cost_per_success_usd,
    {{ rate('current_providers.successes', 'current_providers.executions') }} as current_success_rate,
    {{ rate('recommended_providers.successes', 'recommended_providers.executions') }} as recommended_success_rate,
    {{ percentile('current_providers.duration_percentiles', 1) }} as current_p95_duration_ms,
    {{ percentile('recommended_providers.duration_percentiles', 1) }} as recommended_p95_duration_ms,
    -- successes x (current cost per success - recommended cost per success), over one denominator
    {{ micros_ratio(
        to_micros('current_providers.cost_usd') ~ ' * recommended_providers.successes - '
        ~ to_micros('recommended_providers.cost_usd') ~ ' * current_providers.successes',
        'recommended_providers.successes',
    ) }} as estimated_saving_usd,
    current_providers.group_loaded_through as loaded_through,
from current_providers
inner join recommended_providers
    on current_providers.tenant_id = recommended_providers.tenant_id
    and current_providers.task_type = recommended_providers.task_type
