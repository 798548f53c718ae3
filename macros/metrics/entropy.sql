{#-
    Shannon entropy in bits of a discrete distribution, sum of -p log2(p), from the count of each value: use it in a query that
    groups the values' counts. `counts` is the column of counts. H = log2(N) - sum(n log2 n) / N.
-#}
{% macro entropy_bits(counts) -%}
    greatest(
        0.0, {{ log2('sum(' ~ counts ~ ')') }} - sum({{ counts }} * {{ log2(counts) }}) / nullif(sum({{ counts }}), 0)
    )
{%- endmacro %}
