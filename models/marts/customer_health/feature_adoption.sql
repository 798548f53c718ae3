{{ config(materialized='table', meta={'boundary': 'local_day'}) }}

with

windows as (
    {{ tenant_windows(ref('int_platform_days'), [28]) }}
),

-- The tenants with any platform event in their 28 days, whatever they used.
active as (
    select
        count(distinct days.tenant_id) as tenants,
        max(days.loaded_through) as loaded_through,
    from {{ ref('int_platform_days') }} as days
    inner join windows
        on days.tenant_id = windows.tenant_id
        and days.date >= windows.first_date
        and days.date < windows.end_date
),

used as (
    select
        user_days.feature,
        count(distinct user_days.tenant_id) as tenants,
        count(distinct user_days.user_id) as users,
    from {{ ref('int_feature_user_days') }} as user_days
    inner join windows
        on user_days.tenant_id = windows.tenant_id
        and user_days.date >= windows.first_date
        and user_days.date < windows.end_date
    group by user_days.feature
),

features as (
    select
        feature,
        min(date) as first_used_on,
        max(loaded_through) as loaded_through,
    from {{ ref('int_feature_user_days') }}
    group by feature
)

select
    features.feature,
    coalesce(used.tenants, 0) as tenants_28d,
    coalesce(used.users, 0) as users_28d,
    {{ rate('coalesce(used.tenants, 0)', 'active.tenants') }} as adoption_rate_28d,
    features.first_used_on,
    greatest(features.loaded_through, coalesce(active.loaded_through, 0)) as loaded_through,
from features
left join used on features.feature = used.feature
cross join active
