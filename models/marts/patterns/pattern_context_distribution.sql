{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'pattern_id', 'window_type'], 'boundary': 'instant'},
) }}

{#- Windows with a new execution, those that gain or lose one as the clock goes on, and all of them if it went back. -#}
{%- call touched_partitions() %}
    select executions.tenant_id, executions.pattern_id, windows.window_type
    from {{ ref('int_pattern_executions') }} as executions
    cross join ({{ pattern_windows() }}) as windows
    where executions.occurred_at <= {{ as_of() }}
        and (
            {{ is_new('executions.loaded_through') }}
            or executions.occurred_at > {{ as_of_before() }}
            or {{ as_of_before() }} is null
        )
        and (
            executions.occurred_at > {{ add_microseconds(as_of(), '-windows.length_microseconds') }}
            or windows.length_microseconds is null
        )
{%- for window_type, hours in pattern_window_hours().items() %}
    union all
    select tenant_id, pattern_id, '{{ window_type }}' as window_type
    from {{ ref('int_pattern_executions') }}
    where occurred_at > {{ add_microseconds(as_of_before(), '-' ~ hours_in_microseconds(hours)) }}
        and occurred_at <= {{ add_microseconds(as_of(), '-' ~ hours_in_microseconds(hours)) }}
{%- endfor %}
    union all
    select tenant_id, pattern_id, window_type from {{ ref('int_pattern_windows') }}
    where {{ as_of() }} < {{ as_of_before() }}
    union all
    select tenant_id, pattern_id, window_type from {{ this }}
    where {{ as_of() }} < {{ as_of_before() }}
{%- endcall %}

with

history as (
    select * from {{ ref('int_pattern_executions') }}
),

windows as (
    {{ pattern_windows() }}
),

wanted as (
    {% if is_incremental() -%}
    select
        tenant_id,
        pattern_id,
        window_type,
    from {{ touched_relation() }}
    {%- else -%}
    select
        tenant_id,
        pattern_id,
        window_type,
    from {{ ref('int_pattern_windows') }}
    {%- endif %}
),

{{ pattern_distribution(as_of()) }}

select
    tenant_id,
    pattern_id,
    window_type,
    dimension,
    value,
    executions,
    share,
    loaded_through,
from distribution
