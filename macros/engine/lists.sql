{#- The values of a group as a list, in any order. -#}
{% macro collected(column) -%} {{ return(adapter.dispatch('collected')(column)) }} {%- endmacro %}

{% macro default__collected(column) -%} collect_list({{ column }}) {%- endmacro %}

{% macro duckdb__collected(column) -%} list({{ column }}) {%- endmacro %}


{#- Exact percentiles of the values of all lists of a group: an array to pick from with `percentile`. -#}
{% macro percentiles_of_lists(lists, fractions) -%}
    {{ return(adapter.dispatch('percentiles_of_lists')(lists, fractions)) }}
{%- endmacro %}

{% macro default__percentiles_of_lists(lists, fractions) -%}
    {%- set ordered = 'array_sort(flatten(collect_list(' ~ lists ~ ')))' -%}
    {%- set place = 'each * (size(' ~ ordered ~ ') - 1)' -%}
    {%- set below = 'element_at(' ~ ordered ~ ', cast(floor(' ~ place ~ ') as integer) + 1)' -%}
    {%- set above = 'element_at(' ~ ordered ~ ', cast(ceil(' ~ place ~ ') as integer) + 1)' -%}
    transform(
        array({{ fractions | join(', ') }}),
        each -> {{ below }} + ({{ place }} - floor({{ place }})) * ({{ above }} - {{ below }})
    )
{%- endmacro %}

{% macro duckdb__percentiles_of_lists(lists, fractions) -%}
    list_aggregate(flatten(list({{ lists }})), 'quantile_cont', {{ fractions }})
{%- endmacro %}
