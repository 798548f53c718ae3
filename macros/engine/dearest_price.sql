{#- The price rows of a group as one array, to be searched by `dearest_nanos`. -#}
{% macro price_array() -%} {{ return(adapter.dispatch('price_array')()) }} {%- endmacro %}

{% macro default__price_array() -%}
    collect_list(named_struct(
        'micros_per_1k_tokens_in', micros_per_1k_tokens_in, 'micros_per_1k_tokens_cached', micros_per_1k_tokens_cached,
        'micros_per_1k_tokens_out', micros_per_1k_tokens_out, 'micros_per_completion', micros_per_completion
    ))
{%- endmacro %}

{% macro duckdb__price_array() -%}
    list({
        'micros_per_1k_tokens_in': micros_per_1k_tokens_in, 'micros_per_1k_tokens_cached': micros_per_1k_tokens_cached,
        'micros_per_1k_tokens_out': micros_per_1k_tokens_out, 'micros_per_completion': micros_per_completion
    })
{%- endmacro %}


{#- The event's cost at the dearest price row of an array, in billionths of a dollar; NULL for no row. -#}
{% macro dearest_nanos(relation, prices) -%} {{ return(adapter.dispatch('dearest_nanos')(relation, prices)) }} {%- endmacro %}

{% macro default__dearest_nanos(relation, prices) -%}
    array_max(transform({{ prices }}, price_row -> {{ nanos_at(relation, 'price_row') }}))
{%- endmacro %}

{% macro duckdb__dearest_nanos(relation, prices) -%}
    list_max(list_transform({{ prices }}, lambda price_row: {{ nanos_at(relation, 'price_row') }}))
{%- endmacro %}
