{#-
    The robust score: how far a value lies from the median of its baseline, in median absolute deviations scaled by 1.4826 to
    the standard deviation of a normal distribution. NULL for a baseline that doesn't vary.

    B. Iglewicz and D. C. Hoaglin, How to Detect and Handle Outliers (1993), call it the modified z-score, and a value beyond
    3.5 a potential outlier.
-#}
{% macro robust_score(value, median, mad) -%}
    ({{ value }} - {{ median }}) / nullif(1.4826 * {{ mad }}, 0)
{%- endmacro %}


{#- Whether a robust score tells of an anomaly. -#}
{% macro is_robust_anomaly(score) -%}
    coalesce(abs({{ score }}) > 3.5, false)
{%- endmacro %}


{#- The data clock's day where each tenant of the reference table is, at this build and at the last one. -#}
{% macro metric_clocks() -%}
    select
        tenant_id,
        {{ clock_date('timezone') }} as clock_day,
        {{ clock_date('timezone', as_of_before()) }} as clock_day_before,
    from {{ ref('tenants') }}
{%- endmacro %}


{#- Whether a day of int_daily_metrics lies before the data clock's, in the calendar by which its metric is dated. -#}
{% macro is_complete_metric_day(days, clocks, before=false) -%}
    {%- set clock_day = 'clock_day_before' if before else 'clock_day' -%}
    {%- set utc_day = 'cast(' ~ (as_of_before() if before else as_of()) ~ ' as date)' -%}
    ({{ days }}.date < case when {{ days }}.is_local then coalesce({{ clocks }}.{{ clock_day }}, {{ utc_day }}) else {{ utc_day }} end)
{%- endmacro %}


{#- Two ids as one name, `a/b`; a slash in an id is written as in a URL, so that no two pairs have one name. -#}
{% macro joined_by_slash(first, second) -%}
    {%- set parts = [] -%}
    {%- for part in (first, second) -%}
        {%- do parts.append("replace(replace(" ~ part ~ ", '%', '%25'), '/', '%2F')") -%}
    {%- endfor -%}
    {{ parts | join(" || '/' || ") }}
{%- endmacro %}
