{#- Whether a text is valid JSON; NULL for NULL. -#}
{% macro is_json(text) -%} {{ return(adapter.dispatch('is_json')(text)) }} {%- endmacro %}

{% macro default__is_json(text) -%} is_valid_json({{ text }}) {%- endmacro %}

{% macro spark__is_json(text) -%} try_parse_json({{ text }}) is not null {%- endmacro %}

{% macro duckdb__is_json(text) -%} json_valid({{ text }}) {%- endmacro %}


{#- A JSON object, as text, of the counts by name of the rows that fulfil the condition, in the order of the names. -#}
{% macro json_counts(name, count, condition) -%}
    {{ return(adapter.dispatch('json_counts')(name, count, condition)) }}
{%- endmacro %}

{% macro default__json_counts(name, count, condition) -%}
    to_json(map_from_entries(sort_array(collect_list(struct({{ name }}, {{ count }})) filter (where {{ condition }}))))
{%- endmacro %}

{% macro duckdb__json_counts(name, count, condition) -%}
    coalesce(
        '{' || string_agg(to_json({{ name }}) || ': ' || {{ count }}, ', ' order by {{ name }}) filter (where {{ condition }})
        || '}',
        '{}'
    )
{%- endmacro %}
