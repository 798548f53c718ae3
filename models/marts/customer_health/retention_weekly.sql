{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['cohort_week'], 'date_column': 'cohort_week', 'boundary': 'day'},
) }}

{%- set clock_week = week_of(as_of()) %}

{#-
    A user's new week changes its cohort; an earlier first week takes the user from one cohort to another. A week that is
    complete now adds a row to every cohort, or takes one if the data clock went back.
-#}
{%- call touched_partitions() %}
    with cohorts as (
        select
            user_id,
            min(week) as cohort_week,
            min(case when load_id <= {{ model_state().loaded_through }} then week end) as cohort_week_before,
            max(case when week < {{ clock_week }} then load_id end) as load_id,
        from {{ ref('int_user_weeks') }}
        group by user_id
    )

    select cohort_week from cohorts
    where {{ is_new() }} or {{ clock_week }} is distinct from {{ week_of(as_of_before()) }}
    union all
    select cohort_week_before as cohort_week from cohorts
    where cohort_week_before > cohort_week and {{ is_new() }}
{%- endcall %}

with

user_weeks as (
    select * from {{ ref('int_user_weeks') }}
    where week < {{ clock_week }}
),

first_weeks as (
    select
        user_id,
        min(week) as cohort_week,
    from user_weeks
    group by user_id
),

users as (
    select first_weeks.*
    from first_weeks
    {{ in_touched_partitions('first_weeks') }}
),

active as (
    select
        users.cohort_week,
        user_weeks.week,
        count(*) as active_users,
        max(user_weeks.load_id) as loaded_through,
    from users
    inner join user_weeks on users.user_id = user_weeks.user_id
    group by users.cohort_week, user_weeks.week
),

-- All users of a cohort are active in its first week.
cohorts as (
    select
        cohort_week,
        active_users as cohort_users,
        loaded_through,
    from active
    where week = cohort_week
),

numbers as (
    {{ number_series(0, '(select ' ~ floor_div(days_between('min(cohort_week)', clock_week), 7) ~ ' from cohorts)') }}
),

weeks as (
    select
        cohorts.*,
        numbers.number as weeks_since,
        {{ add_days('cohorts.cohort_week', '7 * numbers.number') }} as week,
    from cohorts
    cross join numbers
)

select
    weeks.cohort_week,
    cast(weeks.weeks_since as bigint) as weeks_since,
    weeks.cohort_users,
    coalesce(active.active_users, 0) as active_users,
    {{ rate('coalesce(active.active_users, 0)', 'weeks.cohort_users') }} as retention,
    greatest(weeks.loaded_through, coalesce(active.loaded_through, 0)) as loaded_through,
from weeks
left join active
    on weeks.cohort_week = active.cohort_week
    and weeks.week = active.week
where weeks.week < {{ clock_week }}
