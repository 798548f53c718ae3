{#-
    An hourly mart holds the days before the data clock that the policy names (docs/retention.md), however it is built. It
    computes the hours that it would without a policy, and has `age_out` as its post-hook, which in the transaction of the
    rows takes out those of older days. They go to archive/marts/<mart>-<date>.parquet first. A day's file is written whole,
    so the model touches all partitions of an older day that has new events (`older_days_of_new_events`), and those of days
    that are held again (`days_held_again`).
-#}
{% macro age_out() %}
    {%- if execute and target.name != 'published' and model_state().as_of -%}
        {%- if target.name == 'prod' -%}
            {{ archive_days(days_to_archive()) }}
        {%- endif %}
        delete from {{ this }} where {{ is_aged_out() }};
    {%- endif -%}
{% endmacro %}


{#- A file for each day. The rows are put in order first: one file after another would read all of them once for each day. -#}
{% macro archive_days(days) -%}
    {%- if days %}
        create or replace temp table aged_out as select * from {{ this }} where {{ is_aged_out() }} order by hour;
        {%- for date in days %}
        {%- set midnight = "cast('" ~ date ~ "' as timestamp)" %}
        {%- set rows %} select * from aged_out where hour >= {{ midnight }} and hour < {{ dbt.dateadd('day', 1, midnight) }} {%- endset %}
        {{ write_parquet(rows, archived_marts() ~ date ~ '.parquet') }}
        {%- endfor %}
        drop table aged_out;
    {%- endif %}
{%- endmacro %}


{#- Whether the policy lets go of the hour, at the present data clock or at another. -#}
{% macro is_aged_out(clock=none) -%}
    hour < cast({{ first_hourly_day(clock or as_of()) }} as timestamp)
{%- endmacro %}


{#- The first UTC day that hourly marts hold. -#}
{% macro first_hourly_day(clock) -%}
    {{ add_days('cast(' ~ clock ~ ' as date)', -(hourly_days() | int)) }}
{%- endmacro %}


{#- Days before the data clock's that hourly marts hold; `agent-analytics` checks what the environment says. -#}
{% macro hourly_days() -%}
    {{ return(env_var('ANALYTICS_HOURLY_DAYS', '') or '90') }}
{%- endmacro %}


{% macro archived_marts() %}
    {{ return(storage_root() ~ '/archive/marts/' ~ model.name ~ '-') }}
{% endmacro %}


{#- The data clock is earlier than when this model was built last: the newest load was taken back. -#}
{% macro clock_went_back() %}
    {%- set state = model_state() -%}
    {{ return(state.as_of and state.as_of_before and state.as_of < state.as_of_before) }}
{% endmacro %}


{#-
    The days that leave. Where others left before, also those whose file must lose its rows: all that have one, if the model
    was built whole; if the data clock went back, those that are held again.
-#}
{% macro days_to_archive() %}
    {%- set is_whole = model_state().state == 'whole' -%}
    {%- set query -%}
        select distinct cast(cast(hour as date) as varchar) as date from {{ this }} where {{ is_aged_out() }}
        {%- if is_whole or clock_went_back() %}
        union
        select date
        from (
            select regexp_extract(file, '-([0-9]+-[0-9]+-[0-9]+)[.]parquet$', 1) as date
            from {{ files_like(archived_marts() ~ '*.parquet') }}
        ) as files
        where {{ 'true' if is_whole else 'cast(date as date) >= ' ~ first_hourly_day(as_of()) }}
        {%- endif %}
        order by date
    {%- endset -%}
    {{ return(run_query(query).columns[0].values()) }}
{% endmacro %}


{#- For the touched partitions of an hourly mart: those of `relation` in days that left, and have new events. -#}
{% macro older_days_of_new_events(relation) -%}
    select {{ partition_columns() | join(', ') }} from {{ relation }} where cast(hour as date) in (
        select cast(hour as date) from {{ relation }} where {{ is_new() }} and {{ is_aged_out() }}
    )
{%- endmacro %}


{#- For the touched partitions of an hourly mart: those of `relation` in days that left and are held again. -#}
{% macro days_held_again(relation) -%}
    select {{ partition_columns() | join(', ') }} from {{ relation }}
    where {{ is_aged_out(as_of_before()) ~ ' and not (' ~ is_aged_out() ~ ')' if clock_went_back() else 'false' }}
{%- endmacro %}
