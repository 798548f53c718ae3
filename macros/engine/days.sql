{#- A date some days later, or earlier for a negative number: DATE. -#}
{% macro add_days(date, days) -%} {{ return(adapter.dispatch('add_days')(date, days)) }} {%- endmacro %}

{% macro default__add_days(date, days) -%} date_add({{ date }}, {{ days }}) {%- endmacro %}

{% macro duckdb__add_days(date, days) -%} cast({{ date }} + cast({{ days }} as integer) as date) {%- endmacro %}


{#- The whole numbers from one to another, both included, as rows of one column `number`. -#}
{% macro number_series(first, last) -%} {{ return(adapter.dispatch('number_series')(first, last)) }} {%- endmacro %}

{% macro default__number_series(first, last) -%}
    select explode(sequence({{ first }}, {{ last }})) as number
{%- endmacro %}

{% macro duckdb__number_series(first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }})) as integer) as number
{%- endmacro %}
