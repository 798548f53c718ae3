{{ config(materialized='incremental', incremental_strategy='append') }}

with

executions as (
    select
        *,
        event_type = 'agent.completed' as is_successful,
    from {{ ref('stg_provider__executions') }}
    where {{ is_new() }}
),

priced as (
    select
        executions.*,
        {{ local_date('executions') }} as date,
        case when executions.is_successful and executions.cost_usd is null then {{ priced_picos('executions') }} end
            as priced_picos,
        case when executions.is_successful then {{ dearest_picos('executions', 'defaults.prices') }} end
            as dearest_picos,
    from executions
    {{ tenant_calendar('executions') }}
    {{ price_joins('executions') }}
    left join {{ ref('int_default_price_periods') }} as defaults
        on cast(executions.occurred_at as date) >= defaults.valid_from
        and cast(executions.occurred_at as date) < defaults.valid_to
)

select
    load_id,
    event_type,
    occurred_at,
    tenant_id,
    {{ dbt.date_trunc('hour', 'occurred_at') }} as hour,
    date,
    provider,
    task_type,
    is_successful,
    duration_ms,
    queue_ms,
    tokens_in,
    tokens_out,
    case
        when cost_usd is not null then cost_usd
        when is_successful then {{ picos_to_money('priced_picos') }}
        else 0
    end as cost_usd,
    {{ picos_to_money('dearest_picos') }} as alternative_cost_usd,
from priced
