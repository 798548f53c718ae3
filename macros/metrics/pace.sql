{#-
    What a month comes to at its pace, for a group of one tenant and month. While the data clock's day lies in the month, that
    is what the complete days hold x the month's days / the complete days: nothing on the first day, when there are none. Every
    other month comes to what it holds.

    The group sums what `is_paced`; its projection is that sum x `pace_numerator` / `pace_denominator`, kept apart so that
    comparisons are exact.
-#}
{% macro is_paced(date, clock_date) -%}
    ({{ date }} < {{ clock_date }} or {{ month_of(date) }} is distinct from {{ month_of(clock_date) }})
{%- endmacro %}


{#- The days of the month that is projected; 1 for a month that is taken as it is. -#}
{% macro pace_numerator(month, clock_date) -%}
    case
        when {{ month_of(clock_date) }} = {{ month }}
            then cast(extract(day from {{ dbt.last_day(month, 'month') }}) as bigint)
        else 1
    end
{%- endmacro %}


{#- The complete days of the month that is projected; 1 for a month that is taken as it is. -#}
{% macro pace_denominator(month, clock_date) -%}
    case
        when {{ month_of(clock_date) }} = {{ month }} then cast(extract(day from {{ clock_date }}) as bigint) - 1
        else 1
    end
{%- endmacro %}
