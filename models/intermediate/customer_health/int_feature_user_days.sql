{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from ({{ new_local_dates(ref('stg_platform__feature_uses')) }}) as found
{%- endcall %}

with

feature_uses as (
    {{ by_local_date(ref('stg_platform__feature_uses'), ['feature', 'user_id', 'load_id']) }}
)

select
    tenant_id,
    date,
    feature,
    user_id,
    count(*) as uses,
    max(load_id) as loaded_through,
from feature_uses
group by tenant_id, date, feature, user_id
