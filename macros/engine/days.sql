{#- A date some days later, or earlier for a negative number: DATE. -#}
{% macro add_days(date, days) -%} {{ return(adapter.dispatch('add_days')(date, days)) }} {%- endmacro %}

{% macro default__add_days(date, days) -%} date_add({{ date }}, {{ days }}) {%- endmacro %}

{% macro duckdb__add_days(date, days) -%} cast({{ date }} + cast({{ days }} as integer) as date) {%- endmacro %}


{#- The days from one date to another. -#}
{% macro days_between(first, second) -%} {{ return(adapter.dispatch('days_between')(first, second)) }} {%- endmacro %}

{% macro default__days_between(first, second) -%} datediff({{ second }}, {{ first }}) {%- endmacro %}

{% macro duckdb__days_between(first, second) -%} ({{ second }} - {{ first }}) {%- endmacro %}


{#- The whole numbers from one to another, both included, as rows of one column `number`. -#}
{% macro number_series(first, last) -%} {{ return(adapter.dispatch('number_series')(first, last)) }} {%- endmacro %}

{% macro default__number_series(first, last) -%}
    select explode(sequence({{ first }}, {{ last }})) as number
{%- endmacro %}

{% macro duckdb__number_series(first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }})) as integer) as number
{%- endmacro %}


{#- The weekday of a date as text: '0' Monday to '6' Sunday. -#}
{% macro weekday(date) -%} {{ return(adapter.dispatch('weekday')(date)) }} {%- endmacro %}

{% macro default__weekday(date) -%} cast(weekday({{ date }}) as varchar) {%- endmacro %}

{% macro duckdb__weekday(date) -%} cast(extract(isodow from {{ date }}) - 1 as varchar) {%- endmacro %}
