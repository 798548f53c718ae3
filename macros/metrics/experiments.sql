{#-
    The metrics of experiments: name, kind and, by unit, numerator, denominator (of a ratio) and covariate (its value before
    the exposure), by the model that has the units.

        binary  0 or 1 by unit
        mean    a number by unit
        ratio   sum of numerators / sum of denominators
-#}
{% macro session_metrics() %}
    {{ return([
        ['completion', 'binary', 'case when is_completed then 1 else 0 end', none, none],
        ['turns', 'mean', 'turns', none, none],
        ['gold_delta', 'mean', 'gold_delta', none, none],
        ['avg_latency_ms', 'ratio', 'latency_ms', 'turns', none],
        ['fallback_rate', 'ratio', 'fallbacks', 'turns', none],
        ['stuck', 'binary', 'case when is_stuck then 1 else 0 end', none, none],
    ]) }}
{% endmacro %}


{% macro user_metrics() %}
    {{ return([
        ['retained_7d', 'binary', 'case when is_retained then 1 else 0 end', none, none],
        ['messages', 'mean', 'messages', none, 'messages_before'],
        ['conversations', 'mean', 'conversations', none, 'conversations_before'],
        ['rating', 'ratio', 'rating', 'ratings', none],
    ]) }}
{% endmacro %}


{#- One row for each unit of `relation` and metric. -#}
{% macro metric_values(relation, metrics) %}
    {%- for name, kind, numerator, denominator, covariate in metrics %}
    select
        experiment,
        variation,
        '{{ name }}' as metric,
        '{{ kind }}' as kind,
        cast({{ numerator }} as double) as numerator,
        cast({{ denominator or 1 }} as double) as denominator,
        cast({{ covariate or 'null' }} as double) as covariate,
        loaded_through,
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}
