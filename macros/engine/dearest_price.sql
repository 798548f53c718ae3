{#- The price rows of a group as one array, to be searched by `dearest_picos`. -#}
{% macro price_array() -%} {{ return(adapter.dispatch('price_array')()) }} {%- endmacro %}

{% macro default__price_array() -%}
    collect_list(named_struct(
        'nanos_per_1k_tokens_in', nanos_per_1k_tokens_in, 'nanos_per_1k_tokens_cached', nanos_per_1k_tokens_cached,
        'nanos_per_1k_tokens_out', nanos_per_1k_tokens_out, 'nanos_per_completion', nanos_per_completion
    ))
{%- endmacro %}

{% macro duckdb__price_array() -%}
    list({
        'nanos_per_1k_tokens_in': nanos_per_1k_tokens_in, 'nanos_per_1k_tokens_cached': nanos_per_1k_tokens_cached,
        'nanos_per_1k_tokens_out': nanos_per_1k_tokens_out, 'nanos_per_completion': nanos_per_completion
    })
{%- endmacro %}


{#- The event's cost at the dearest price row of an array, in trillionths of a dollar; NULL for no row. -#}
{% macro dearest_picos(relation, prices) -%} {{ return(adapter.dispatch('dearest_picos')(relation, prices)) }} {%- endmacro %}

{% macro default__dearest_picos(relation, prices) -%}
    array_max(transform({{ prices }}, price_row -> {{ picos_at(relation, 'price_row') }}))
{%- endmacro %}

{% macro duckdb__dearest_picos(relation, prices) -%}
    list_max(list_transform({{ prices }}, lambda price_row: {{ picos_at(relation, 'price_row') }}))
{%- endmacro %}
