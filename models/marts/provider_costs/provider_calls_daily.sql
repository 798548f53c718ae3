{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_provider_calls_priced') }} where {{ is_new() }}
    union all
    select tenant_id, date from {{ ref('int_provider_faults') }} where {{ is_new() }}
{%- endcall %}

with

calls as (
    select calls.*
    from {{ ref('int_provider_calls_priced') }} as calls
    {{ in_touched_partitions('calls') }}
),

faults as (
    select faults.*
    from {{ ref('int_provider_faults') }} as faults
    {{ in_touched_partitions('faults') }}
),

call_measures as (
    select
        tenant_id,
        date,
        provider,
        model,
        count(*) as calls,
        {{ count_where('not succeeded') }} as failed_calls,
        avg(latency_ms) as avg_latency_ms,
        {{ percentiles('latency_ms', [0.5, 0.95, 0.99]) }} as latency_percentiles,
        {{ sum_count('tokens_in') }} as tokens_in,
        {{ sum_count('tokens_out') }} as tokens_out,
        {{ sum_money('cost_usd') }} as cost_usd,
        {{ count_where('cost_usd is null') }} as unpriced_calls,
        max(load_id) as loaded_through,
    from calls
    group by tenant_id, date, provider, model
),

fault_measures as (
    select
        tenant_id,
        date,
        provider,
        model,
        {{ count_where("event_type = 'provider.rate_limited'") }} as rate_limited,
        {{ count_where("event_type = 'provider.errored'") }} as errors,
        max(load_id) as loaded_through,
    from faults
    group by tenant_id, date, provider, model
)

select
    coalesce(call_measures.tenant_id, fault_measures.tenant_id) as tenant_id,
    coalesce(call_measures.date, fault_measures.date) as date,
    coalesce(call_measures.provider, fault_measures.provider) as provider,
    coalesce(call_measures.model, fault_measures.model) as model,
    coalesce(call_measures.calls, 0) as calls,
    coalesce(call_measures.failed_calls, 0) as failed_calls,
    coalesce(fault_measures.rate_limited, 0) as rate_limited,
    coalesce(fault_measures.errors, 0) as errors,
    call_measures.avg_latency_ms,
    {{ percentile('call_measures.latency_percentiles', 1) }} as p50_latency_ms,
    {{ percentile('call_measures.latency_percentiles', 2) }} as p95_latency_ms,
    {{ percentile('call_measures.latency_percentiles', 3) }} as p99_latency_ms,
    coalesce(call_measures.tokens_in, 0) as tokens_in,
    coalesce(call_measures.tokens_out, 0) as tokens_out,
    coalesce(call_measures.cost_usd, 0) as cost_usd,
    coalesce(call_measures.unpriced_calls, 0) as unpriced_calls,
    greatest(
        coalesce(call_measures.loaded_through, 0), coalesce(fault_measures.loaded_through, 0)
    ) as loaded_through,
from call_measures
full outer join fault_measures
    on call_measures.tenant_id = fault_measures.tenant_id
    and call_measures.date = fault_measures.date
    and call_measures.provider = fault_measures.provider
    and call_measures.model = fault_measures.model
