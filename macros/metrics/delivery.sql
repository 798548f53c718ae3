{#-
    The DORA band, by the clusters of the Accelerate State of DevOps report 2023, whose limits are in order in all four
    measures:

                                 elite             high            medium           low
    deployment frequency         more than daily   weekly or more  monthly or more  (no month without one has a row)
    lead time for changes        under a day       up to a week    up to a month    longer
    change failure rate          up to 5%          up to 10%       up to 15%        higher
    failed deployment recovery   under an hour     under a day     up to a week     longer

    The band is the worst of the measures that are known. A month's frequency is its deployments over its calendar days; a
    month is 30 days in the lead time. Rates are compared as whole numbers, so that exactly 5% is elite.
-#}
{% macro dora_band(deployments, days, failed_deployments, lead_time_hours, restore_hours) -%}
    case greatest(
        case
            when {{ deployments }} > {{ days }} then 1
            when 7 * {{ deployments }} >= {{ days }} then 2
            else 3
        end,
        case
            when {{ lead_time_hours }} is null or {{ lead_time_hours }} < 24 then 1
            when {{ lead_time_hours }} <= 7 * 24 then 2
            when {{ lead_time_hours }} <= 30 * 24 then 3
            else 4
        end,
        case
            when 100 * {{ failed_deployments }} <= 5 * {{ deployments }} then 1
            when 100 * {{ failed_deployments }} <= 10 * {{ deployments }} then 2
            when 100 * {{ failed_deployments }} <= 15 * {{ deployments }} then 3
            else 4
        end,
        case
            when {{ restore_hours }} is null or {{ restore_hours }} < 1 then 1
            when {{ restore_hours }} < 24 then 2
            when {{ restore_hours }} <= 7 * 24 then 3
            else 4
        end
    )
        when 1 then 'elite'
        when 2 then 'high'
        when 3 then 'medium'
        else 'low'
    end
{%- endmacro %}
