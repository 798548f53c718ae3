{#- A rate: DOUBLE, NULL where the denominator is 0. -#}
{% macro rate(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif({{ denominator }}, 0)
{%- endmacro %}


{#- A rate times 100. -#}
{% macro pct(numerator, denominator) -%}
    100 * {{ rate(numerator, denominator) }}
{%- endmacro %}


{#- (current - previous) / previous x 100: DOUBLE, NULL where the previous is NULL or 0. -#}
{% macro change_pct(current, previous) -%}
    {{ pct(current ~ ' - ' ~ previous, previous) }}
{%- endmacro %}


{#- A whole number as BIGINT; it stops at the type's ends rather than fail on absurd input. -#}
{% macro to_count(expression) -%}
    cast(greatest(least({{ expression }}, 9223372036854775807), -9223372036854775808) as bigint)
{%- endmacro %}


{#- A BIGINT sum of one or more columns, 0 over nothing; it stops at the type's ends. -#}
{% macro sum_count() -%}
    {%- set sums = [] -%}
    {%- for column in varargs -%} {%- do sums.append('coalesce(sum(' ~ column ~ '), 0)') -%} {%- endfor -%}
    {{ to_count(sums | join(' + ')) }}
{%- endmacro %}


{#- A DECIMAL(18,6) sum, 0 over nothing; it stops at the type's ends. -#}
{% macro sum_money(expression) -%}
    {{ to_money('coalesce(sum(' ~ expression ~ '), 0)') }}
{%- endmacro %}


{#- A wide decimal as DECIMAL(18,6): it stops at the type's ends. -#}
{% macro to_money(amount) -%}
    cast(greatest(least({{ amount }}, 999999999999.999999), -999999999999.999999) as decimal(18, 6))
{%- endmacro %}


{#- How many rows of the group fulfil the condition: BIGINT. -#}
{% macro count_where(condition) -%}
    count(case when {{ condition }} then 1 end)
{%- endmacro %}


{#- Money as whole micro-dollars, exact. -#}
{% macro to_micros(money) -%}
    cast(cast({{ money }} as decimal(38, 6)) * 1000000 as {{ wide_integer() }})
{%- endmacro %}


{#- A price as whole billionths of a dollar, exact. -#}
{% macro to_nanos(price) -%}
    cast(cast({{ price }} as decimal(38, 9)) * 1000000000 as {{ wide_integer() }})
{%- endmacro %}


{#- Whole micro-dollars as DECIMAL(18,6), exact. -#}
{% macro from_micros(micros) -%}
    cast(cast({{ micros }} as decimal(18, 0)) * cast(0.000001 as decimal(7, 6)) as decimal(18, 6))
{%- endmacro %}


{#- money x numerator / denominator (whole numbers), rounded half up to micro-dollars; NULL where the denominator is 0. -#}
{% macro money_ratio(money, numerator, denominator) -%}
    {{ micros_ratio(to_micros(money) ~ ' * ' ~ numerator, denominator) }}
{%- endmacro %}


{#-
    Micro-dollars / denominator (whole numbers) as DECIMAL(18,6), halves up; NULL where the denominator is 0. It stops at the
    type's ends rather than fail on absurd input.
-#}
{% macro micros_ratio(numerator, denominator) -%}
    {%- set micros = half_up(numerator, denominator) -%}
    {{ from_micros(
        'case when ' ~ micros ~ ' > 999999999999999999 then 999999999999999999 '
        ~ 'when ' ~ micros ~ ' < -999999999999999999 then -999999999999999999 else ' ~ micros ~ ' end'
    ) }}
{%- endmacro %}


{#- The whole number nearest to numerator / denominator (whole numbers, denominator > 0), halves up; NULL where it is 0. -#}
{% macro half_up(numerator, denominator) -%}
    {{ floor_div('2 * (' ~ numerator ~ ') + (' ~ denominator ~ ')', '2 * nullif(' ~ denominator ~ ', 0)') }}
{%- endmacro %}
