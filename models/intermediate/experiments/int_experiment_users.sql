{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['user_id'], 'date_column': 'exposed_on'},
) }}

{#- An experiment is across tenants, where the hash alone is the user. Whatever an exposed user does may count. -#}
{%- call touched_partitions() %}
    with news as (
        select user_id from (
            select user_id, load_id, cast(occurred_at as date) as exposed_on
            from {{ ref('stg_experiments__exposures') }}
        ) as exposures
        where {{ is_new() }}
        union all
        select user_id from {{ ref('int_platform_events') }}
        where load_id > {{ model_state().loaded_through }} and user_id is not null
    )

    select distinct news.user_id
    from news
    inner join {{ ref('stg_experiments__exposures') }} as exposures on news.user_id = exposures.user_id
{%- endcall %}

with

exposures as (
    select exposures.*
    from {{ ref('stg_experiments__exposures') }} as exposures
    {{ in_touched_partitions('exposures') }}
),

-- Units of several variations are left out, so which of them came first makes no difference.
exposed as (
    select
        experiment,
        user_id,
        min(variation) as variation,
        min(variation) <> max(variation) as is_crossover,
        min(occurred_at) as first_exposed_at,
        max(occurred_at) as last_exposed_at,
        max(load_id) as loaded_through,
    from exposures
    group by experiment, user_id
),

windows as (
    select
        experiment,
        user_id,
        first_exposed_at,
        {{ dbt.dateadd('day', -14, 'first_exposed_at') }} as starts_at,
        {{ dbt.dateadd('day', 7, 'first_exposed_at') }} as returns_at,
        {{ dbt.dateadd('day', 14, 'first_exposed_at') }} as ends_at,
    from exposed
),

-- Events of the 14 days after the exposure count, those of the 14 days before it tell how the user was before.
active as (
    select
        windows.experiment,
        windows.user_id,
        events.occurred_at > windows.first_exposed_at as is_after,
        events.occurred_at >= windows.returns_at as is_return,
        events.event_type,
        events.load_id,
    from {{ ref('int_platform_events') }} as events
    inner join windows
        on events.user_id = windows.user_id
        and events.occurred_at >= windows.starts_at
        and events.occurred_at <= windows.ends_at
        and events.occurred_at <> windows.first_exposed_at
),

activity as (
    select
        experiment,
        user_id,
        {{ count_where('is_return') }} > 0 as is_retained,
        {{ count_where("is_after and event_type in ('message.sent', 'message.received')") }} as messages,
        {{ count_where("is_after and event_type = 'conversation.started'") }} as conversations,
        {{ count_where("not is_after and event_type in ('message.sent', 'message.received')") }} as messages_before,
        {{ count_where("not is_after and event_type = 'conversation.started'") }} as conversations_before,
        max(load_id) as loaded_through,
    from active
    group by experiment, user_id
),

rated as (
    select
        windows.experiment,
        windows.user_id,
        {{ sum_count('feedback.rating') }} as rating,
        count(*) as ratings,
    from {{ ref('stg_platform__feedback') }} as feedback
    inner join windows
        on feedback.user_id = windows.user_id
        and feedback.occurred_at > windows.first_exposed_at
        and feedback.occurred_at <= windows.ends_at
    group by windows.experiment, windows.user_id
)

select
    exposed.experiment,
    exposed.user_id,
    exposed.variation,
    exposed.is_crossover,
    exposed.first_exposed_at,
    exposed.last_exposed_at,
    cast(exposed.first_exposed_at as date) as exposed_on,
    coalesce(activity.is_retained, false) as is_retained,
    coalesce(activity.messages, 0) as messages,
    coalesce(activity.conversations, 0) as conversations,
    coalesce(activity.messages_before, 0) as messages_before,
    coalesce(activity.conversations_before, 0) as conversations_before,
    coalesce(rated.rating, 0) as rating,
    coalesce(rated.ratings, 0) as ratings,
    greatest(exposed.loaded_through, coalesce(activity.loaded_through, 0)) as loaded_through,
from exposed
left join activity on {{ same('exposed', 'activity', ['experiment', 'user_id']) }}
left join rated on {{ same('exposed', 'rated', ['experiment', 'user_id']) }}
