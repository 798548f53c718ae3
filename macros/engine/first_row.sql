{#-
    Columns of the group's first row, by occurred_at and then event_id, among those that fulfil the condition: a struct, NULL
    without such a row.
-#}
{% macro first_row(columns, condition) -%} {{ return(adapter.dispatch('first_row')(columns, condition)) }} {%- endmacro %}

{% macro default__first_row(columns, condition) -%}
    min_by(
        named_struct({% for column in columns %}'{{ column }}', {{ column }}{{ ', ' if not loop.last }}{% endfor %}),
        struct(occurred_at, event_id)
    ) filter (where {{ condition }})
{%- endmacro %}

{% macro duckdb__first_row(columns, condition) -%}
    arg_min(
        {% raw %}{{% endraw %}{% for column in columns %}'{{ column }}': {{ column }}{{ ', ' if not loop.last }}{% endfor %}},
        {'occurred_at': occurred_at, 'event_id': event_id}
    ) filter (where {{ condition }})
{%- endmacro %}


{#- A column of a row that `first_row` found; NULL where it found none. -#}
{% macro of_row(row, column) -%} {{ return(adapter.dispatch('of_row')(row, column)) }} {%- endmacro %}

{% macro default__of_row(row, column) -%} {{ row }}.{{ column }} {%- endmacro %}

{% macro duckdb__of_row(row, column) -%} struct_extract({{ row }}, '{{ column }}') {%- endmacro %}


{#- The value in the group's row with the least `by`, any of them on a tie; rows without a `by` don't count. -#}
{% macro value_at_min(value, by) -%} {{ return(adapter.dispatch('value_at_min')(value, by)) }} {%- endmacro %}

{% macro default__value_at_min(value, by) -%} min_by({{ value }}, {{ by }}) {%- endmacro %}

{% macro duckdb__value_at_min(value, by) -%} arg_min({{ value }}, {{ by }}) {%- endmacro %}
