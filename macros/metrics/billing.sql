{#-
    What usage above a plan's limits costs, in billionths of a dollar x `scale`: executions above x usd_per_execution + tokens
    above / 1000 x usd_per_1k_tokens. Usage is given x `scale` (a projection's denominator), so that whole numbers do. `tier` is
    a row of plan_tiers; NULL without one.
-#}
{% macro overage_nanos(executions, tokens, tier, scale='1') -%}
    ({{ above(executions, tier ~ '.included_executions', scale) }}
    * {{ to_micros(tier ~ '.overage_usd_per_execution') }} * 1000
    + {{ above(tokens, tier ~ '.included_tokens', scale) }} * {{ to_micros(tier ~ '.overage_usd_per_1k_tokens') }})
{%- endmacro %}


{#- A month's price and overage, in billionths of a dollar x `scale`: see `overage_nanos`. -#}
{% macro bill_nanos(executions, tokens, tier, scale='1') -%}
    {{ to_micros(tier ~ '.monthly_price_usd') }} * 1000 * {{ scale }}
    + {{ overage_nanos(executions, tokens, tier, scale) }}
{%- endmacro %}


{#- How much of the usage lies above the limit, 0 if none does; NULL without a limit. -#}
{% macro above(usage, limit, scale='1') -%}
    case
        when {{ to_wide(usage) }} > {{ to_wide(limit) }} * {{ scale }}
            then {{ to_wide(usage) }} - {{ to_wide(limit) }} * {{ scale }}
        when {{ limit }} is not null then 0
    end
{%- endmacro %}


{#- Whether the usage is at least so many percent of the limit, in whole numbers. -#}
{% macro reaches(usage, percent, limit) -%}
    {{ to_wide(usage) }} * 100 >= {{ to_wide(limit) }} * {{ percent }}
{%- endmacro %}
