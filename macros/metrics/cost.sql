{#-
    Joins that `priced_nanos` needs: the price row in force for the event's provider and model, and the provider's '*' row in
    force. int_price_periods has one row per price with the days [valid_from, valid_to) on which it is in force.
-#}
{% macro price_joins(relation) -%}
    left join {{ ref('int_price_periods') }} as price
        on {{ relation }}.provider = price.provider
        and {{ relation }}.model = price.model
        and cast({{ relation }}.occurred_at as date) >= price.valid_from
        and cast({{ relation }}.occurred_at as date) < price.valid_to
    left join {{ ref('int_price_periods') }} as default_price
        on {{ relation }}.provider = default_price.provider
        and default_price.model = '*'
        and cast({{ relation }}.occurred_at as date) >= default_price.valid_from
        and cast({{ relation }}.occurred_at as date) < default_price.valid_to
{%- endmacro %}


{#- Billionths of a dollar for the event's tokens and completions at the price in force; NULL without a price. -#}
{% macro priced_nanos(relation) -%}
    case
        when price.provider is not null then {{ nanos_at(relation, 'price') }}
        when default_price.provider is not null then {{ nanos_at(relation, 'default_price') }}
    end
{%- endmacro %}


{#-
    (tokens_in - tokens_cached)/1000 x in + tokens_cached/1000 x cached + tokens_out/1000 x out + completions x completion, at
    one price row, in billionths of a dollar. Exact: prices are whole micro-dollars per 1,000 tokens.
-#}
{% macro nanos_at(relation, price) -%}
    {{ to_wide(relation ~ '.tokens_in - coalesce(' ~ relation ~ '.tokens_cached, 0)') }} * {{ price }}.micros_per_1k_tokens_in
    + {{ to_wide('coalesce(' ~ relation ~ '.tokens_cached, 0)') }} * {{ price }}.micros_per_1k_tokens_cached
    + {{ to_wide(relation ~ '.tokens_out') }} * {{ price }}.micros_per_1k_tokens_out
    + {{ to_wide(relation ~ '.completions') }} * {{ price }}.micros_per_completion * 1000
{%- endmacro %}


{#- Billionths of a dollar as DECIMAL(18,6), rounded half up. Wide division is slow, and needed by absurd costs only. -#}
{% macro nanos_to_money(nanos) -%}
    {{ from_micros(
        'case when ' ~ nanos ~ ' < 1000000000000000000 then (cast(' ~ nanos ~ ' as bigint) + 500) // 1000 '
        ~ 'when ' ~ nanos ~ ' is not null then least((' ~ nanos ~ ' + 500) // 1000, 999999999999999999) end'
    ) }}
{%- endmacro %}
