{#- An integer type wide enough for nano-dollars times tokens. -#}
{% macro wide_integer() -%} {{ return(adapter.dispatch('wide_integer')()) }} {%- endmacro %}

{% macro default__wide_integer() -%} decimal(38, 0) {%- endmacro %}

{% macro duckdb__wide_integer() -%} hugeint {%- endmacro %}


{#- Integer division that rounds down, also below zero. -#}
{% macro floor_div(numerator, denominator) -%} {{ return(adapter.dispatch('floor_div')(numerator, denominator)) }} {%- endmacro %}

{% macro default__floor_div(numerator, denominator) -%}
    floor(({{ numerator }}) / ({{ denominator }}))
{%- endmacro %}

{% macro duckdb__floor_div(numerator, denominator) -%}
    (({{ numerator }}) // ({{ denominator }}) - cast(
        ({{ numerator }}) < 0 and ({{ numerator }}) % ({{ denominator }}) <> 0 as integer
    ))
{%- endmacro %}


{#- Exact percentiles of one column in one pass, interpolated linearly: an array to pick from with `percentile`. -#}
{% macro percentiles(column, fractions) -%} {{ return(adapter.dispatch('percentiles')(column, fractions)) }} {%- endmacro %}

{% macro default__percentiles(column, fractions) -%}
    array(
        {%- for fraction in fractions -%}
            percentile_cont({{ fraction }}) within group (order by {{ column }}){{ ', ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}

{% macro duckdb__percentiles(column, fractions) -%}
    quantile_cont(cast({{ column }} as double), {{ fractions }})
{%- endmacro %}


{#- The n-th (from 1) of an array that `percentiles` made; NULL over nothing. -#}
{% macro percentile(percentiles, n) -%} {{ return(adapter.dispatch('percentile')(percentiles, n)) }} {%- endmacro %}

{% macro default__percentile(percentiles, n) -%} element_at({{ percentiles }}, {{ n }}) {%- endmacro %}

{% macro duckdb__percentile(percentiles, n) -%} {{ percentiles }}[{{ n }}] {%- endmacro %}


{#- A number as it can be squared: engines refuse squares beyond DOUBLE, and an absurd value must not fail the run. -#}
{% macro squarable(number) -%}
    case when {{ number }} > 1e150 then 1e150 when {{ number }} < -1e150 then -1e150 else {{ number }} end
{%- endmacro %}


{#- Sample standard deviation; NULL for fewer than two values. -#}
{% macro sample_stddev(column) -%} {{ return(adapter.dispatch('sample_stddev')(column)) }} {%- endmacro %}

{% macro default__sample_stddev(column) -%} stddev_samp({{ column }}) {%- endmacro %}

{% macro duckdb__sample_stddev(column) -%} stddev_samp({{ squarable(column) }}) {%- endmacro %}


{#- The median over a named window, interpolated linearly. -#}
{% macro median_over(column, window) -%} {{ return(adapter.dispatch('median_over')(column, window)) }} {%- endmacro %}

{% macro default__median_over(column, window) -%} percentile({{ column }}, 0.5) over {{ window }} {%- endmacro %}

{% macro duckdb__median_over(column, window) -%} quantile_cont({{ column }}, 0.5) over {{ window }} {%- endmacro %}


{#- The median absolute deviation from the median over a named window. -#}
{% macro mad_over(column, window) -%} {{ return(adapter.dispatch('mad_over')(column, window)) }} {%- endmacro %}

{% macro default__mad_over(column, window) -%}
    array_median(transform(
        collect_list({{ column }}) over {{ window }}, each -> abs(each - {{ median_over(column, window) }})
    ))
{%- endmacro %}

{% macro duckdb__mad_over(column, window) -%} mad({{ column }}) over {{ window }} {%- endmacro %}


{% macro to_wide(expression) -%}
    cast({{ expression }} as {{ wide_integer() }})
{%- endmacro %}


{#- The logarithm to base 2: DOUBLE. -#}
{% macro log2(expression) -%} {{ return(adapter.dispatch('log2')(expression)) }} {%- endmacro %}

{% macro default__log2(expression) -%} log(2, {{ expression }}) {%- endmacro %}

{% macro duckdb__log2(expression) -%} log2({{ expression }}) {%- endmacro %}
