{#-
    Joins that `priced_picos` needs: the price row in force for the event's provider and model, and the provider's '*' row in
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


{#- Trillionths of a dollar for the event's tokens and completions at the price in force; NULL without a price. -#}
{% macro priced_picos(relation) -%}
    case
        when price.provider is not null then {{ picos_at(relation, 'price') }}
        when default_price.provider is not null then {{ picos_at(relation, 'default_price') }}
    end
{%- endmacro %}


{#-
    (tokens_in - tokens_cached)/1000 x in + tokens_cached/1000 x cached + tokens_out/1000 x out + completions x completion, at
    one price row, in trillionths of a dollar. Exact: prices are whole billionths of a dollar per 1,000 tokens.
-#}
{% macro picos_at(relation, price) -%}
    {{ to_wide(relation ~ '.tokens_in - coalesce(' ~ relation ~ '.tokens_cached, 0)') }} * {{ price }}.nanos_per_1k_tokens_in
    + {{ to_wide('coalesce(' ~ relation ~ '.tokens_cached, 0)') }} * {{ price }}.nanos_per_1k_tokens_cached
    + {{ to_wide(relation ~ '.tokens_out') }} * {{ price }}.nanos_per_1k_tokens_out
    + {{ to_wide(relation ~ '.completions') }} * {{ price }}.nanos_per_completion * 1000
{%- endmacro %}


{#- Trillionths of a dollar as DECIMAL(18,6), rounded half up. Wide division is slow, and needed by absurd costs only. -#}
{% macro picos_to_money(picos) -%}
    {{ from_micros(
        'case when ' ~ picos ~ ' < 1000000000000000000 then (cast(' ~ picos ~ ' as bigint) + 500000) // 1000000 '
        ~ 'when ' ~ picos ~ ' is not null then least((' ~ picos ~ ' + 500000) // 1000000, 999999999999999999) end'
    ) }}
{%- endmacro %}
