{{ config(materialized='view') }}

with

events as (
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__messages') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__conversations') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__feedback') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__agents') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__users') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__workflows') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__documents') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__searches') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__api_calls') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__feature_uses') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__dashboard_views') }}
    union all
    select
        load_id,
        event_id,
        event_type,
        occurred_at,
        tenant_id,
        user_id,
    from {{ ref('stg_platform__exports') }}
)

select
    load_id,
    event_id,
    event_type,
    occurred_at,
    tenant_id,
    user_id,
from events
