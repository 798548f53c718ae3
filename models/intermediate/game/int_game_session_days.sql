{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id', 'date'], 'vars': ['stuck_turns']},
) }}

{%- call touched_partitions() %}
{{ session_days_of_new_turns() }}
{%- endcall %}

with

turns as (
    {{ turns_of_touched_session_days() }}
),

-- How many of a turn and those just before it, as many as make a session stuck, went without progress.
runs as (
    select
        tenant_id,
        session_id,
        date,
        latency_ms,
        fell_back,
        gold_delta,
        items_acquired,
        load_id,
        count(case when not progressed then 1 end) over (
            partition by tenant_id, session_id, date
            order by occurred_at, event_id
            rows between {{ var('stuck_turns') | int - 1 }} preceding and current row
        ) as idle_turns,
    from turns
)

select
    date,
    tenant_id,
    session_id,
    count(*) as turns,
    sum(latency_ms) as latency_ms,
    {{ count_where('fell_back') }} as fallbacks,
    sum({{ gold_in('gold_delta') }}) as gold_in,
    sum({{ gold_out('gold_delta') }}) as gold_out,
    {{ sum_count('items_acquired') }} as items_acquired,
    max(idle_turns) >= {{ var('stuck_turns') | int }} as is_stuck,
    max(load_id) as loaded_through,
from runs
group by date, tenant_id, session_id
