{#- The data clock of the run, as a literal. -#}
{% macro as_of() -%}
    {%- set clock = model_state().as_of -%}
    {{ "timestamp '" ~ clock ~ "'" if clock else 'cast(null as timestamp)' }}
{%- endmacro %}


{#- The data clock at which this model was built last, as a literal. -#}
{% macro as_of_before() -%}
    {%- set clock = model_state().as_of_before -%}
    {{ "timestamp '" ~ clock ~ "'" if clock else 'cast(null as timestamp)' }}
{%- endmacro %}


{#- The UTC day of the data clock moved since this model was built last. -#}
{% macro day_passed() -%}
    cast({{ as_of() }} as date) is distinct from cast({{ as_of_before() }} as date)
{%- endmacro %}


{#- The UTC month of the data clock moved since this model was built last: other months are complete. -#}
{% macro month_passed() -%}
    {{ month_of(as_of()) }} is distinct from {{ month_of(as_of_before()) }}
{%- endmacro %}


{#- Joins that `local_time` and `local_date` need, for a relation with tenant_id and occurred_at. -#}
{% macro tenant_calendar(relation) -%}
    left join {{ ref('tenants') }} as tenants on {{ relation }}.tenant_id = tenants.tenant_id
    left join {{ ref('int_timezone_days') }} as timezone_days
        on tenants.timezone = timezone_days.timezone
        and cast({{ relation }}.occurred_at as date) = timezone_days.utc_date
{%- endmacro %}


{#-
    `<relation>.occurred_at` as wall time in its tenant's time zone; UTC for a tenant without one. The offset comes from
    int_timezone_days; only days with a change of offset, or outside of that table, ask the time-zone database by row.
-#}
{% macro local_time(relation) -%}
    case
        when tenants.timezone is null then {{ relation }}.occurred_at
        when timezone_days.has_transition is false
            then {{ dbt.dateadd('second', 'timezone_days.utc_offset_seconds', relation ~ '.occurred_at') }}
        else {{ to_local(relation ~ '.occurred_at', 'tenants.timezone') }}
    end
{%- endmacro %}


{#- The calendar day of `<relation>.occurred_at` in its tenant's time zone. -#}
{% macro local_date(relation) -%}
    cast({{ local_time(relation) }} as date)
{%- endmacro %}


{#-
    Rows of `relation` (tenant_id, occurred_at) with the named columns and `date`, their tenant's calendar day: for a model
    with the partition (tenant_id, date), and in an incremental run those of its touched partitions only. Dates are worked
    out for rows around the touched days, and no others: what a run costs doesn't grow with the history.
-#}
{% macro by_local_date(relation, columns) -%}
    select dated.*
    from (
        select
            events.tenant_id,
            {{ local_date('events') }} as date,
            {%- for column in columns %}
            events.{{ column }},
            {%- endfor %}
        from {{ relation }} as events
        {{ tenant_calendar('events') }}
        {{ around_touched_dates('events.occurred_at') }}
    ) as dated
    {{ in_touched_partitions('dated') }}
{%- endmacro %}


{#-
    Rows of `relation` (occurred_at) with the named columns and `date`, their UTC day; in an incremental run those of the model's
    touched partitions only.
-#}
{% macro by_utc_date(relation, columns) -%}
    select dated.*
    from (
        select
            {%- for column in columns %}
            events.{{ column }},
            {%- endfor %}
            cast(events.occurred_at as date) as date,
        from {{ relation }} as events
        {{ around_touched_dates('events.occurred_at') }}
    ) as dated
    {{ in_touched_partitions('dated') }}
{%- endmacro %}


{#- The UTC days of the rows of `relation` (occurred_at, load_id) that this model has not read, with the named columns. -#}
{% macro new_utc_dates(relation, columns) -%}
    select {{ columns | join(', ') }}, date
    from (
        select
            {%- for column in columns %}
            {{ column }},
            {%- endfor %}
            cast(occurred_at as date) as date,
            load_id,
        from {{ relation }}
    ) as dated
    where {{ is_new() }}
{%- endmacro %}


{#- The UTC day of the data clock: the days before it are complete. -#}
{% macro clock_day() -%}
    cast({{ as_of() }} as date)
{%- endmacro %}


{#- Whether a UTC date lies in the window of `days` that ends with the last complete day, or in one that ended `ago` days before. -#}
{% macro in_complete_days(date, days, ago=0) -%}
    ({{ date }} >= {{ add_days(clock_day(), -days - ago) }} and {{ date }} < {{ add_days(clock_day(), -ago) }})
{%- endmacro %}


{#- The tenant's calendar days of the rows of `relation` (tenant_id, occurred_at, load_id) that this model has not read. -#}
{% macro new_local_dates(relation) -%}
    select tenant_id, date
    from (
        select
            events.tenant_id,
            {{ local_date('events') }} as date,
            events.load_id,
        from {{ relation }} as events
        {{ tenant_calendar('events') }}
    ) as dated
    where {{ is_new() }}
{%- endmacro %}


{#- The data clock's calendar day in a time zone (NULL: UTC), at this build or, with `as_of_before()`, at the last one. -#}
{% macro clock_date(timezone, clock=none) -%}
    cast({{ to_local(clock or as_of(), "coalesce(" ~ timezone ~ ", 'UTC')") }} as date)
{%- endmacro %}


{#- The first day of a date's month. -#}
{% macro month_of(date) -%}
    cast({{ dbt.date_trunc('month', date) }} as date)
{%- endmacro %}


{#- The Monday of a date's ISO week. -#}
{% macro week_of(date) -%}
    cast({{ dbt.date_trunc('week', date) }} as date)
{%- endmacro %}
