{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'workspace_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, workspace_id, date
    from ({{ new_utc_dates(ref('stg_notebooks__runs'), ['tenant_id', 'workspace_id']) }}) as runs
{%- endcall %}

with

runs as (
    {{ by_utc_date(ref('stg_notebooks__runs'), ['tenant_id', 'workspace_id', 'user_id', 'trigger', 'load_id']) }}
)

select
    tenant_id,
    workspace_id,
    date,
    user_id,
    max(load_id) as loaded_through,
from runs
where trigger = 'manual' and user_id is not null
group by tenant_id, workspace_id, date, user_id
