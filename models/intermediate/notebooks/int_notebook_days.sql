{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'notebook_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, notebook_id, date
    from ({{ new_utc_dates(ref('stg_notebooks__runs'), ['tenant_id', 'notebook_id']) }}) as runs
{%- endcall %}

with

runs as (
    {{ by_utc_date(ref('stg_notebooks__runs'), ['tenant_id', 'notebook_id', 'trigger', 'occurred_at', 'load_id']) }}
)

select
    tenant_id,
    notebook_id,
    date,
    count(*) as runs,
    {{ count_where("trigger = 'automation'") }} as automated_runs,
    min(occurred_at) as first_run_at,
    max(occurred_at) as last_run_at,
    max(case when trigger = 'automation' then occurred_at end) as last_automated_run_at,
    max(case when trigger = 'manual' then occurred_at end) as last_manual_run_at,
    max(load_id) as loaded_through,
from runs
group by tenant_id, notebook_id, date
