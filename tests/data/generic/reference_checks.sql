{% test not_negative(model, column_name) %}
select *, '{{ column_name }} is negative: it must be 0 or more' as problem
from {{ model }}
where {{ column_name }} < 0
{% endtest %}


{#- For a column whose type keeps more decimals than are computed with. -#}
{% test at_most_decimals(model, column_name, decimals) %}
select *, '{{ column_name }} has more than {{ decimals }} decimals, which is as many as are kept: round it' as problem
from {{ model }}
where {{ column_name }} <> round({{ column_name }}, {{ decimals }})
{% endtest %}


{% test known_time_zone(model, column_name) %}
select *, 'no such IANA time zone: ' || {{ column_name }} || '; write it like Europe/Berlin, or UTC' as problem
from {{ model }}
where not {{ is_time_zone(column_name) }}
{% endtest %}


{% test valid_json(model, column_name) %}
select *, '{{ column_name }} is not valid JSON: write it like {"steps": 5}, with doubled quotation marks in the CSV' as problem
from {{ model }}
where not {{ is_json(column_name) }}
{% endtest %}


{% test unique_together(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count,
    'more than one row for the same {{ columns | join(", ") }}: keep one of them' as problem
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}


{#- Every row fulfils an SQL condition; `problem` says what to do about one that doesn't. -#}
{% test holds(model, condition, problem) %}
select *, {{ dbt.string_literal(dbt.escape_single_quotes(problem)) }} as problem
from {{ model }}
where not ({{ condition }})
{% endtest %}


{#- There is a row for every one of these values. -#}
{% test has_rows_for(model, column_name, values) %}
select needed.{{ column_name }}, 'no row for this {{ column_name }}: add one' as problem
from (
    {%- for value in values %}
    select '{{ value }}' as {{ column_name }}{{ ' union all' if not loop.last }}
    {%- endfor %}
) as needed
left join {{ model }} as found on needed.{{ column_name }} = found.{{ column_name }}
where found.{{ column_name }} is null
{% endtest %}


{#- Every threshold watches a value that is computed: its KPI is known, and has its scope and window. -#}
{% test watches_a_kpi(model) %}
{%- set problems %}
    case
        when kpi not in ('{{ kpis() | join("', '") }}') then 'unknown kpi: one of {{ kpis() | join(", ") }}'
        {%- for kpi, known in kpis().items() %}
        when kpi = '{{ kpi }}' and scope not in ('{{ known.scopes | join("', '") }}')
            then '{{ kpi }} has no such scope: one of {{ known.scopes | join(", ") }}'
        when kpi = '{{ kpi }}' and window_type not in ('{{ known.windows | join("', '") }}')
            then '{{ kpi }} has no such window_type: {{ known.windows | join(" or ") }}, or leave it empty'
        {%- endfor %}
    end
{%- endset %}
select *
from (
    select *, {{ problems }} as problem
    from {{ model }}
) as judged
where problem is not null
{% endtest %}
