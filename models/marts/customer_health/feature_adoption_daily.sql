{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'feature', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, feature, date from {{ ref('int_feature_user_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

user_days as (
    select user_days.*
    from {{ ref('int_feature_user_days') }} as user_days
    {{ in_touched_partitions('user_days') }}
)

select
    tenant_id,
    feature,
    date,
    {{ sum_count('uses') }} as uses,
    count(user_id) as users,
    max(loaded_through) as loaded_through,
from user_days
group by tenant_id, feature, date
