{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'workspace_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, workspace_id, date
    from ({{ new_utc_dates(ref('stg_notebooks__runs'), ['tenant_id', 'workspace_id']) }}) as runs
{%- endcall %}

with

runs as (
    {{ by_utc_date(
        ref('stg_notebooks__runs'),
        ['tenant_id', 'workspace_id', 'blueprint_id', 'trigger', 'occurred_at', 'event_id', 'load_id'],
    ) }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by tenant_id, workspace_id, date order by occurred_at desc, event_id desc
        ) as recency,
    from runs
)

select
    tenant_id,
    workspace_id,
    date,
    count(*) as runs,
    {{ count_where("trigger = 'automation'") }} as automated_runs,
    max(case when recency = 1 then blueprint_id end) as newest_blueprint_id,
    max(load_id) as loaded_through,
from ranked
group by tenant_id, workspace_id, date
