{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'date'], 'boundary': 'local_day'},
) }}

{%- set gigabyte = 10**9 %}

{#- A data clock on another day brings, or takes, the days of storage between. -#}
{%- call touched_partitions() %}
    with clocks as (
        select
            seen.tenant_id,
            {{ clock_date('tenants.timezone') }} as clock_day,
            {{ clock_date('tenants.timezone', as_of_before()) }} as clock_day_before,
        from (select distinct tenant_id from {{ ref('storage_daily') }}) as seen
        left join {{ ref('tenants') }} as tenants on seen.tenant_id = tenants.tenant_id
    ),

    known as (
        select tenant_id, date from {{ ref('storage_daily') }}
        union all
        select tenant_id, date from {{ this }}
    ),

    passed as (
        select
            known.tenant_id,
            known.date,
            coalesce(clocks.clock_day, known.date) as clock_day,
            coalesce(clocks.clock_day_before, known.date) as clock_day_before,
        from known
        inner join clocks on known.tenant_id = clocks.tenant_id
        where clocks.clock_day is distinct from clocks.clock_day_before
    )

    select tenant_id, date from passed
    where date between least(clock_day, clock_day_before) and greatest(clock_day, clock_day_before)
    union all
    select tenant_id, date from {{ ref('storage_daily') }} where {{ is_new('loaded_through') }}
    union all
    select tenant_id, date from {{ ref('provider_calls_daily') }} where {{ is_new('loaded_through') }}
    union all
    select tenant_id, date from {{ ref('int_platform_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

calls as (
    select calls.*
    from {{ ref('provider_calls_daily') }} as calls
    {{ in_touched_partitions('calls') }}
),

stores as (
    select stores.*
    from {{ ref('storage_daily') }} as stores
    {{ in_touched_partitions('stores') }}
),

days as (
    select days.*
    from {{ ref('int_platform_days') }} as days
    {{ in_touched_partitions('days') }}
),

usage as (
    select
        tenant_id,
        date,
        {{ to_micros('cost_usd') }} as llm_micros,
        0 as stored_bytes,
        0 as bytes_out,
        loaded_through,
    from calls
    union all
    select
        tenant_id,
        date,
        0 as llm_micros,
        stored_bytes,
        0 as bytes_out,
        loaded_through,
    from stores
    union all
    select
        tenant_id,
        date,
        0 as llm_micros,
        0 as stored_bytes,
        bytes_out,
        loaded_through,
    from days
),

daily as (
    select
        tenant_id,
        date,
        {{ to_wide('sum(llm_micros)') }} as llm_micros,
        {{ to_wide('sum(stored_bytes)') }} as stored_bytes,
        {{ to_wide('sum(bytes_out)') }} as bytes_out,
        max(loaded_through) as loaded_through,
    from usage
    group by tenant_id, date
),

prices as (
    select
        {{ to_micros("max(case when resource = 'storage_gb_month' then usd end)") }} as storage_micros,
        {{ to_micros("max(case when resource = 'bandwidth_gb' then usd end)") }} as bandwidth_micros,
    from {{ ref('resource_prices') }}
),

-- Exact, in whole parts of a micro-dollar: 30 x 10^9 to one.
costed as (
    select
        daily.tenant_id,
        daily.date,
        daily.llm_micros * {{ 30 * gigabyte }} as llm_parts,
        daily.stored_bytes * prices.storage_micros as storage_parts,
        daily.bytes_out * prices.bandwidth_micros * 30 as bandwidth_parts,
        daily.loaded_through,
    from daily
    cross join prices
)

select
    tenant_id,
    date,
    {{ micros_ratio('llm_parts', 30 * gigabyte) }} as llm_cost_usd,
    {{ micros_ratio('storage_parts', 30 * gigabyte) }} as storage_cost_usd,
    {{ micros_ratio('bandwidth_parts', 30 * gigabyte) }} as bandwidth_cost_usd,
    {{ micros_ratio('llm_parts + storage_parts + bandwidth_parts', 30 * gigabyte) }} as total_cost_usd,
    loaded_through,
from costed
where llm_parts + storage_parts + bandwidth_parts > 0
