{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'storage_class', 'date'], 'boundary': 'local_day'},
) }}

{#- A change shows on its day and on all later ones; a data clock on another day brings, or takes, the days between. -#}
{%- call touched_partitions() %}
    with stores as (
        select
            tenant_id,
            storage_class,
            min(date) as first_day,
            max(date) as last_day,
            min(case when {{ is_new() }} then date end) as changed_day,
        from {{ ref('int_storage_changes') }}
        group by tenant_id, storage_class
    ),

    clocked as (
        select
            stores.*,
            coalesce({{ clock_date('tenants.timezone') }}, stores.first_day) as clock_day,
            coalesce({{ clock_date('tenants.timezone', as_of_before()) }}, stores.first_day) as clock_day_before,
        from stores
        left join {{ ref('tenants') }} as tenants on stores.tenant_id = tenants.tenant_id
    ),

    spans as (
        select
            tenant_id,
            storage_class,
            changed_day as from_day,
            greatest(last_day, clock_day) as to_day,
        from clocked
        where changed_day is not null
        union all
        select
            tenant_id,
            storage_class,
            greatest(least(clock_day, clock_day_before), first_day) as from_day,
            greatest(clock_day, clock_day_before) as to_day,
        from clocked
        where clock_day <> clock_day_before
    ),

    calendar as (
        {{ date_series('(select min(from_day) from spans)', '(select max(to_day) from spans)') }}
    )

    select spans.tenant_id, spans.storage_class, calendar.date_day as date
    from spans
    inner join calendar on calendar.date_day between spans.from_day and spans.to_day
{%- endcall %}

with

changes as (
    select changes.*
    from {{ ref('int_storage_changes') }} as changes
    {% if is_incremental() -%}
    inner join (select distinct tenant_id, storage_class from {{ touched_relation() }}) as touched
        on changes.tenant_id = touched.tenant_id
        and changes.storage_class = touched.storage_class
    {%- endif %}
),

stores as (
    select
        tenant_id,
        storage_class,
        min(date) as first_day,
    from changes
    group by tenant_id, storage_class
),

clocked as (
    select
        stores.*,
        {{ clock_date('tenants.timezone') }} as clock_day,
    from stores
    left join {{ ref('tenants') }} as tenants on stores.tenant_id = tenants.tenant_id
),

{%- set first_day = '(select min(date) from ' ~ (touched_relation() if is_incremental() else 'changes') ~ ')' %}

calendar as (
    {{ date_series(first_day, '(select max(clock_day) from clocked)') }}
),

-- The days of changes, and all days up to the data clock's: along them runs the sum.
entries as (
    select
        tenant_id,
        storage_class,
        date,
        bytes_added,
        bytes_removed,
        load_id,
    from changes
    union all
    select
        clocked.tenant_id,
        clocked.storage_class,
        calendar.date_day as date,
        0 as bytes_added,
        0 as bytes_removed,
        null as load_id,
    from clocked
    inner join calendar on calendar.date_day between clocked.first_day and clocked.clock_day
),

daily as (
    select
        tenant_id,
        storage_class,
        date,
        sum(bytes_added) as bytes_added,
        sum(bytes_removed) as bytes_removed,
        max(load_id) as load_id,
    from entries
    group by tenant_id, storage_class, date
),

running as (
    select
        tenant_id,
        storage_class,
        date,
        bytes_added,
        bytes_removed,
        sum(bytes_added - bytes_removed) over (partition by tenant_id, storage_class order by date) as balance,
        max(load_id) over (partition by tenant_id, storage_class order by date) as loaded_through,
    from daily
)

select
    running.tenant_id,
    running.storage_class,
    running.date,
    {{ to_count('running.bytes_added') }} as bytes_added,
    {{ to_count('running.bytes_removed') }} as bytes_removed,
    {{ to_count('greatest(running.balance, 0)') }} as stored_bytes,
    running.loaded_through,
from running
{{ in_touched_partitions('running') }}
