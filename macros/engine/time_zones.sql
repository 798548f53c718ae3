{#- UTC wall time (TIMESTAMP) as wall time in an IANA time zone. Slow, some 2 microseconds a row: see `local_date`. -#}
{% macro to_local(timestamp, timezone) -%} {{ return(adapter.dispatch('to_local')(timestamp, timezone)) }} {%- endmacro %}

{% macro default__to_local(timestamp, timezone) -%} from_utc_timestamp({{ timestamp }}, {{ timezone }}) {%- endmacro %}

{% macro duckdb__to_local(timestamp, timezone) -%}
    timezone({{ timezone }}, timezone('UTC', {{ timestamp }}))
{%- endmacro %}


{#- The whole seconds from one timestamp to another. -#}
{% macro seconds_between(first, second) -%} {{ return(adapter.dispatch('seconds_between')(first, second)) }} {%- endmacro %}

{% macro default__seconds_between(first, second) -%}
    (unix_timestamp({{ second }}) - unix_timestamp({{ first }}))
{%- endmacro %}

{% macro duckdb__seconds_between(first, second) -%}
    date_diff('second', {{ first }}, {{ second }})
{%- endmacro %}


{#- The microseconds from one timestamp to another. -#}
{% macro microseconds_between(first, second) -%} {{ return(adapter.dispatch('microseconds_between')(first, second)) }} {%- endmacro %}

{% macro default__microseconds_between(first, second) -%}
    (unix_micros({{ second }}) - unix_micros({{ first }}))
{%- endmacro %}

{% macro duckdb__microseconds_between(first, second) -%}
    (epoch_us({{ second }}) - epoch_us({{ first }}))
{%- endmacro %}


{#- A timestamp some microseconds later, or earlier for a negative number. -#}
{% macro add_microseconds(timestamp, number) -%} {{ return(adapter.dispatch('add_microseconds')(timestamp, number)) }} {%- endmacro %}

{% macro default__add_microseconds(timestamp, number) -%} timestamp_micros(unix_micros({{ timestamp }}) + {{ number }}) {%- endmacro %}

{% macro duckdb__add_microseconds(timestamp, number) -%} ({{ timestamp }} + to_microseconds({{ number }})) {%- endmacro %}


{#- The days from one date to another, both included, as rows of one column `date_day` (DATE). -#}
{% macro date_series(first, last) -%} {{ return(adapter.dispatch('date_series')(first, last)) }} {%- endmacro %}

{% macro default__date_series(first, last) -%}
    select explode(sequence({{ first }}, {{ last }}, interval 1 day)) as date_day
{%- endmacro %}

{% macro duckdb__date_series(first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 day)) as date) as date_day
{%- endmacro %}


{#- The first days of the months from one to another, both included, as rows of one column `month` (DATE). -#}
{% macro month_series(first, last) -%} {{ return(adapter.dispatch('month_series')(first, last)) }} {%- endmacro %}

{% macro default__month_series(first, last) -%}
    select explode(sequence({{ first }}, {{ last }}, interval 1 month)) as month
{%- endmacro %}

{% macro duckdb__month_series(first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 month)) as date) as month
{%- endmacro %}


{#- Whether a name is an IANA time zone that the engine knows. -#}
{% macro is_time_zone(name) -%} {{ return(adapter.dispatch('is_time_zone')(name)) }} {%- endmacro %}

{% macro default__is_time_zone(name) -%}
    {{ exceptions.raise_compiler_error('is_time_zone: say which time zones the engine ' ~ target.type ~ ' knows') }}
{%- endmacro %}

{#- The engine also knows abbreviations of its own, which nobody else reads the same way: its BST is Bangladesh. -#}
{% macro duckdb__is_time_zone(name) -%}
    {{ name }} in (
        select name from pg_timezone_names()
        where name not like 'SystemV/%'
            and name not in (
                'ACT', 'AET', 'AGT', 'ART', 'AST', 'BET', 'BST', 'CAT', 'CNT', 'CST', 'CTT', 'EAT', 'ECT', 'IET', 'IST', 'JST',
                'MIT', 'NET', 'NST', 'PLT', 'PNT', 'PRT', 'PST', 'SST', 'VST', 'Canada/East-Saskatchewan', 'US/Pacific-New'
            )
    )
{%- endmacro %}
